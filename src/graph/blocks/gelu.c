/* The gate's activation: Gemma's tanh approximation, or the exact one where a checkpoint's config asks for it. */
#include <math.h>

#include "graph/builder.h"

const gx_value *gx_gelu_operator(gx_builder *b, const gx_value *x)
{
    gx_node *node = gx_graph_node(b->graph, "Gelu", gx_builder_name(b, "gelu"), GX_INPUTS(x));
    if (b->model->activation == GX_ACTIVATION_GELU_TANH)
        gx_node_string(b->graph, node, "approximate", "tanh");
    return gx_node_output(b->graph, node, NULL, x->dtype, x->shape);
}

static const gx_value *number(gx_builder *b, const char *leaf, double value)
{
    return gx_graph_float(b->graph, gx_builder_name(b, leaf), value);
}

/* tanh(sqrt(2 / pi) (x + 0.044715 x^3)) */
static const gx_value *bend_tanh(gx_builder *b, const gx_value *x)
{
    const double linear = sqrt(2 / 3.14159265358979323846);
    const gx_value *square = gx_builder_binary(b, "Mul", "gelu/square", x, x);
    const gx_value *cubic = gx_builder_binary(b, "Mul", "gelu/cubic", square, number(b, "gelu/cubic_factor", 0.044715 * linear));
    const gx_value *factor = gx_builder_binary(b, "Add", "gelu/factor", cubic, number(b, "gelu/linear_factor", linear));
    return gx_builder_unary(b, "Tanh", "gelu/tanh", gx_builder_binary(b, "Mul", "gelu/inner", factor, x));
}

static const gx_value *bend_erf(gx_builder *b, const gx_value *x)
{
    return gx_builder_unary(b, "Erf", "gelu/erf", gx_builder_binary(b, "Mul", "gelu/inner", x, number(b, "gelu/inner_factor", sqrt(0.5))));
}

/* x / 2 (1 + bent) */
const gx_value *gx_gelu_primitives(gx_builder *b, const gx_value *x)
{
    const gx_value *bent = b->model->activation == GX_ACTIVATION_GELU_TANH ? bend_tanh(b, x) : bend_erf(b, x);
    const gx_value *half = gx_builder_binary(b, "Mul", "gelu/half", x, number(b, "gelu/half_factor", 0.5));
    const gx_value *sum = gx_builder_binary(b, "Add", "gelu/sum", bent, number(b, "gelu/one", 1));
    return gx_builder_binary(b, "Mul", "gelu", half, sum);
}

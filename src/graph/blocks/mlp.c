/* The gated MLP: gate and up as one product. In fp16 graphs gelu and the gated product are computed in fp32: CPU kernels
 * of Gelu are fp32 only, and the product is where checkpoints overflow first. */
#include "graph/builder.h"

static const gx_value *gelu(gx_builder *b, const gx_value *x)
{
    gx_node *node = gx_graph_node(b->graph, "Gelu", gx_builder_name(b, "gelu"), GX_INPUTS(x));
    if (b->model->activation == GX_ACTIVATION_GELU_TANH)
        gx_node_string(b->graph, node, "approximate", "tanh");
    return gx_node_output(b->graph, node, NULL, x->dtype, x->shape);
}

const gx_value *gx_block_mlp(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_weight *weights[2] = {&layer->weights[GX_ROLE_GATE_PROJ], &layer->weights[GX_ROLE_UP_PROJ]};
    const gx_weight *down = &layer->weights[GX_ROLE_DOWN_PROJ];
    const gx_value *both = gx_block_linear(b, "gate_up_proj", x, weights, 2, GX_QUANT_ROLE_MLP_GATE_UP, gx_builder_gate_up_reader(b, number));
    both = gx_builder_cast(b, "gate_up_fp32", both, GX_DTYPE_F32);
    gx_node *split = gx_graph_node(g, "Split", gx_builder_name(b, "gate_up"), GX_INPUTS(both));
    gx_node_int(g, split, "axis", 1);
    gx_node_int(g, split, "num_outputs", 2);
    const gx_shape half = GX_SHAPE(b->tokens, gx_dim_number(weights[0]->rows));
    const gx_value *gate = gx_node_output(g, split, NULL, GX_DTYPE_F32, half);
    const gx_value *up = gx_node_output(g, split, NULL, GX_DTYPE_F32, half);
    const gx_value *product = gx_builder_binary(b, "Mul", "gated", gelu(b, gate), up);
    product = gx_builder_cast(b, "gated_cast", product, b->activation);
    return gx_block_linear(b, "down_proj", product, &down, 1, GX_QUANT_ROLE_MLP_DOWN, NULL);
}

/*
 * RMSNorm, in fp32 whatever the type of x: squares of fp16 values overflow, and the scaled epsilon is 0 in fp16. The
 * checkpoint's 1 + w is baked into the scale.
 */
#include "graph/builder.h"

/* stash_type 1: computes in fp32. */
const gx_value *gx_rms_norm_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *scale, double epsilon)
{
    gx_graph *g = b->graph;
    gx_node *node = gx_graph_node(g, "RMSNormalization", gx_builder_name(b, leaf), GX_INPUTS(x, scale));
    gx_node_int(g, node, "axis", -1);
    gx_node_float(g, node, "epsilon", epsilon);
    gx_node_int(g, node, "stash_type", 1);
    return gx_node_output(g, node, NULL, x->dtype, x->shape);
}

/* Until opset 17 the axes are an attribute. */
static const gx_value *mean_of_last(gx_builder *b, const char *leaf, const gx_value *x)
{
    gx_graph *g = b->graph;
    if (g->failed)
        return x;
    const int64_t axes[1] = {(int64_t)x->shape.rank - 1};
    const gx_value *axes_value = g->opset < 18 ? NULL : gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "_axes")), 1, axes);
    gx_node *node = gx_graph_node(g, "ReduceMean", gx_builder_name(b, leaf), GX_INPUTS(x, axes_value));
    if (!axes_value)
        gx_node_ints(g, node, "axes", 1, axes);
    gx_node_int(g, node, "keepdims", 1);
    gx_shape shape = x->shape;
    shape.dims[shape.rank - 1] = gx_dim_number(1);
    return gx_node_output(g, node, NULL, x->dtype, shape);
}

/* The chain that ONNX Runtime recognises and fuses. */
const gx_value *gx_rms_norm_primitives(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *scale, double epsilon)
{
    gx_graph *g = b->graph;
    const gx_value *wide = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/x_fp32"), x, GX_DTYPE_F32);
    const gx_value *two = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/two")), 2);
    const gx_value *squares = gx_builder_binary(b, "Pow", gx_builder_leaf(b, leaf, "/squares"), wide, two);
    const gx_value *mean = mean_of_last(b, gx_builder_leaf(b, leaf, "/mean"), squares);
    const gx_value *small = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/epsilon")), epsilon);
    const gx_value *root = gx_builder_unary(b, "Sqrt", gx_builder_leaf(b, leaf, "/root"), gx_builder_binary(b, "Add", gx_builder_leaf(b, leaf, "/positive"), mean, small));
    const gx_value *normed = gx_builder_binary(b, "Div", gx_builder_leaf(b, leaf, "/normed"), wide, root);
    const gx_value *wide_scale = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/scale_fp32"), scale, GX_DTYPE_F32);
    if (x->dtype == GX_DTYPE_F32)
        return gx_builder_binary(b, "Mul", leaf, normed, wide_scale);
    return gx_builder_cast(b, leaf, gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/scaled"), normed, wide_scale), x->dtype);
}

/* One node for a sum and its norm: a decode step is some hundred small nodes beside few large ones, and each costs a cold
 * start. In fp16 its kernels do not promise fp32 inside (KL on a CPU is three times that of the two nodes), so there it stays two. */
const gx_value *gx_add_rms_norm_fused(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_value *scale,
                                      double epsilon)
{
    if (x->dtype == GX_DTYPE_F16)
        return gx_add_rms_norm_apart(b, sum, leaf, stream, x, scale, epsilon);
    gx_graph *g = b->graph;
    gx_node *node = gx_graph_node(g, "com.microsoft:SkipSimplifiedLayerNormalization", gx_builder_name(b, leaf), GX_INPUTS(*stream, x, scale));
    gx_node_float(g, node, "epsilon", epsilon);
    const gx_value *normed = gx_node_output(g, node, NULL, x->dtype, x->shape);
    gx_node_skip_outputs(g, node, 2); /* of training */
    *stream = gx_node_output(g, node, sum, x->dtype, x->shape);
    return normed;
}

const gx_value *gx_add_rms_norm_apart(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_value *scale,
                                      double epsilon)
{
    *stream = gx_graph_apply(b->graph, "Add", sum, x->dtype, x->shape, GX_INPUTS(*stream, x));
    return b->profile->rms_norm(b, leaf, *stream, scale, epsilon);
}

static const gx_value *norm_scale(gx_builder *b, const char *leaf, const gx_weight *weight, double multiply, const gx_stream_reader *reader)
{
    gx_graph *g = b->graph;
    const gx_recipe recipe = {.sources = {weight}, .source_count = 1, .multiply = multiply, .column_scales = reader ? reader->inverse : NULL};
    const gx_scheme scheme = {.kind = GX_SCHEME_FLOAT, .dtype = b->activation};
    const char *name = gx_builder_leaf(b, gx_builder_name(b, leaf), "/weight");
    gx_stored *stored = gx_graph_store(g, name, &recipe, &scheme, "norms: the activation type");
    return gx_graph_stored_value(g, name, stored, GX_PART_VALUES, b->activation, GX_SHAPE(gx_dim_number(weight->columns)));
}

const gx_value *gx_block_norm(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *weight, double epsilon_scale, double multiply,
                              const gx_stream_reader *reader)
{
    return b->profile->rms_norm(b, leaf, x, norm_scale(b, leaf, weight, multiply, reader), b->model->rms_norm_eps * epsilon_scale);
}

const gx_value *gx_block_add_norm(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_weight *weight,
                                  double epsilon_scale, const gx_stream_reader *reader)
{
    return b->profile->add_rms_norm(b, sum, leaf, stream, x, norm_scale(b, leaf, weight, 1, reader), b->model->rms_norm_eps * epsilon_scale);
}

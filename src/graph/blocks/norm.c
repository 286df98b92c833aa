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

/* The chain that ONNX Runtime recognises and fuses. */
const gx_value *gx_rms_norm_primitives(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *scale, double epsilon)
{
    gx_graph *g = b->graph;
    const gx_value *wide = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/x_fp32"), x, GX_DTYPE_F32);
    const gx_value *two = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/two")), 2);
    const gx_value *squares = gx_builder_binary(b, "Pow", gx_builder_leaf(b, leaf, "/squares"), wide, two);
    const gx_value *mean = gx_builder_mean_of_last(b, gx_builder_leaf(b, leaf, "/mean"), squares);
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

const gx_value *gx_block_vector(gx_builder *b, const char *leaf, const gx_recipe *recipe, gx_dtype dtype)
{
    const gx_scheme scheme = {.kind = GX_SCHEME_FLOAT, .dtype = dtype};
    const char *name = gx_builder_name(b, leaf);
    gx_stored *stored = gx_graph_store(b->graph, name, recipe, &scheme, dtype == GX_DTYPE_F32 ? "vectors: fp32" : "vectors: the activation type");
    return gx_graph_stored_value(b->graph, name, stored, GX_PART_VALUES, dtype, GX_SHAPE(gx_dim_number(recipe->sources[0]->columns)));
}

static const gx_value *norm_scale(gx_builder *b, const char *leaf, const gx_weight *weight, double multiply, const gx_stream_reader *reader)
{
    const gx_recipe recipe = {.sources = {weight}, .source_count = 1, .multiply = multiply, .column_scales = reader ? reader->inverse : NULL};
    return gx_block_vector(b, gx_builder_leaf(b, leaf, "/weight"), &recipe, b->activation);
}

const gx_value *gx_block_norm(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *weight, double epsilon_scale, double multiply,
                              const gx_stream_reader *reader)
{
    return b->profile->rms_norm(b, leaf, x, norm_scale(b, leaf, weight, multiply, reader), b->model->rms_norm_eps * epsilon_scale);
}

const gx_value *gx_block_unit_norm(gx_builder *b, const char *leaf, const gx_value *x, double epsilon_scale)
{
    gx_graph *g = b->graph;
    if (g->failed)
        return x;
    const uint64_t columns = (uint64_t)x->shape.dims[x->shape.rank - 1].number;
    float *ones = GX_NEW_ARRAY(g->arena, float, columns);
    g->failed = !ones;
    for (uint64_t i = 0; ones && i < columns; i++)
        ones[i] = 1;
    const gx_value *scale = gx_graph_constant(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/ones")), GX_DTYPE_F32, GX_SHAPE(gx_dim_number(columns)), ones,
                                              columns * sizeof *ones);
    scale = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/ones/cast"), scale, x->dtype);
    return b->profile->rms_norm(b, leaf, x, scale, b->model->rms_norm_eps * epsilon_scale);
}

const gx_value *gx_block_add_norm(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_weight *weight,
                                  double epsilon_scale, const gx_stream_reader *reader)
{
    return b->profile->add_rms_norm(b, sum, leaf, stream, x, norm_scale(b, leaf, weight, 1, reader), b->model->rms_norm_eps * epsilon_scale);
}

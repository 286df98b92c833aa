/*
 * RMSNorm. RMSNormalization (opset 23) with stash_type 1 computes in fp32 whatever the type of x: squares of fp16 values
 * overflow, and the scaled epsilon is 0 in fp16. The checkpoint's 1 + w is baked into the scale.
 */
#include "graph/builder.h"

const gx_value *gx_block_norm(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *weight, double epsilon_scale, double multiply,
                              const gx_stream_reader *reader)
{
    gx_graph *g = b->graph;
    const gx_recipe recipe = {.sources = {weight}, .source_count = 1, .multiply = multiply, .column_scales = reader ? reader->inverse : NULL};
    const gx_scheme scheme = {.kind = GX_SCHEME_FLOAT, .dtype = b->activation};
    const char *name = gx_builder_name(b, leaf);
    const char *weight_name = g->failed ? NULL : gx_arena_printf(g->arena, "%s/weight", name);
    gx_stored *stored = gx_graph_store(g, weight_name ? weight_name : "", &recipe, &scheme, "norms: the activation type");
    const gx_value *scale = gx_graph_stored_value(g, weight_name ? weight_name : "", stored, GX_PART_VALUES, b->activation,
                                                  GX_SHAPE(gx_dim_number(weight->columns)));
    gx_node *node = gx_graph_node(g, "RMSNormalization", name, GX_INPUTS(x, scale));
    gx_node_int(g, node, "axis", -1);
    gx_node_float(g, node, "epsilon", b->model->rms_norm_eps * epsilon_scale);
    gx_node_int(g, node, "stash_type", 1);
    return gx_node_output(g, node, NULL, b->activation, x->shape);
}

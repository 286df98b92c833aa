/* com.microsoft's MultiHeadAttention, which looks both ways: for encoders. It knows as many key heads as query heads, so that shared ones are repeated. */
#include "graph/builder.h"

/* [batch, sequence, kv_heads * head_dim] to as many heads as queries have: each stands as often as it is shared, side by side. */
static const gx_value *repeat_heads(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer)
{
    gx_graph *g = b->graph;
    const uint32_t group = layer->num_attention_heads / layer->num_key_value_heads;
    const gx_dim heads = gx_dim_number(layer->num_key_value_heads), width = gx_dim_number(layer->head_dim);
    const gx_shape rows = GX_SHAPE(b->batch, b->sequence, gx_dim_number((uint64_t)layer->num_attention_heads * layer->head_dim));
    if (group == 1)
        return x;
    const gx_value *apart = gx_builder_reshape_to(b, gx_builder_leaf(b, leaf, "_apart"), x, GX_SHAPE(b->tokens, heads, gx_dim_number(1), width));
    const gx_value **copies = g->failed ? NULL : GX_NEW_ARRAY(g->arena, const gx_value *, group);
    g->failed = !copies;
    if (!copies)
        return x;
    for (uint32_t i = 0; i < group; i++)
        copies[i] = apart;
    gx_node *node = gx_graph_node(g, "Concat", gx_builder_name(b, gx_builder_leaf(b, leaf, "_repeated")), group, copies);
    gx_node_int(g, node, "axis", 2);
    const gx_value *repeated = gx_node_output(g, node, NULL, x->dtype, GX_SHAPE(b->tokens, heads, gx_dim_number(group), width));
    return gx_builder_reshape(b, gx_builder_leaf(b, leaf, "_rows"), repeated, b->rows_shape, rows);
}

const gx_value *gx_attend_multi_head(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number)
{
    (void)number;
    gx_graph *g = b->graph;
    const gx_value *k = repeat_heads(b, "k", heads->k, layer), *v = repeat_heads(b, "v", heads->v, layer);
    gx_node *node = gx_graph_node(g, "com.microsoft:MultiHeadAttention", gx_builder_name(b, "attention"),
                                  GX_INPUTS(heads->q, k, v, NULL, NULL, gx_builder_cache_kind(b, layer)->bias));
    gx_node_int(g, node, "num_heads", layer->num_attention_heads);
    gx_node_float(g, node, "scale", layer->attention_scale);
    return gx_node_output(g, node, NULL, b->activation, heads->q->shape);
}

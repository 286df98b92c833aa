/*
 * Attention that is told by a bias which keys a query sees (cache_kinds.c): the caches first get the call's keys and values, then
 * every query looks at the whole of them.
 */
#include "graph/builder.h"

/* The caches after this call; of an encoder the call's own keys and values. */
typedef struct written {
    const gx_value *key, *value; /* [batch, kv_heads, length, head_dim] */
} written;

static written write_caches(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind)
{
    if (!gx_builder_has_caches(b))
        return (written){heads->k, heads->v};
    if (!heads->k)
        return (written){gx_builder_shared(b, layer, "key"), gx_builder_shared(b, layer, "value")};
    const gx_cache_writer write = b->form ? b->profile->write_slots : gx_append_rows;
    return (written){write(b, layer, number, kind, "key", heads->k), write(b, layer, number, kind, "value", heads->v)};
}

const gx_value *gx_attend_operator(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_cache_kind *kind = gx_builder_cache_kind(b, layer);
    const written w = write_caches(b, heads, layer, number, kind);
    gx_node *node = gx_graph_node(g, "Attention", gx_builder_name(b, "attention"), GX_INPUTS(heads->q, w.key, w.value, kind->bias));
    gx_node_float(g, node, "scale", layer->attention_scale);
    if (layer->attention_softcap != 0) {
        gx_node_float(g, node, "softcap", layer->attention_softcap);
        gx_builder_needs_onnxruntime(b, 27); /* before, with a mask, it was wrong */
    }
    return gx_node_output(g, node, NULL, b->activation, heads->q->shape);
}

/* The queries of all heads that share a key head, one after another: [batch, kv_heads, heads / kv_heads * sequence, width]. */
static gx_shape grouped_shape(gx_builder *b, const gx_layer *layer, gx_dim width)
{
    const uint64_t group = layer->num_attention_heads / layer->num_key_value_heads;
    return GX_SHAPE(b->batch, gx_dim_number(layer->num_key_value_heads), gx_builder_times_sequence(b, group), width);
}

static gx_shape head_shape(const gx_builder *b, const gx_layer *layer, gx_dim width)
{
    return GX_SHAPE(b->batch, gx_dim_number(layer->num_attention_heads), b->sequence, width);
}

static const gx_value *matmul(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *y, gx_shape shape)
{
    return gx_graph_apply(b->graph, "MatMul", gx_builder_name(b, leaf), x->dtype, shape, GX_INPUTS(x, y));
}

/* In fp32 from the cap to the softmax: a step of fp16 near a cap of 50 is 1/32, which is 3 % of a probability. */
static const gx_value *probabilities(gx_builder *b, const gx_value *scores, const gx_layer *layer, const gx_cache_kind *kind)
{
    const bool capped = layer->attention_softcap != 0;
    if (capped)
        scores = gx_block_softcap(b, "softcap", gx_builder_cast(b, "scores_fp32", scores, GX_DTYPE_F32), layer->attention_softcap);
    scores = gx_builder_binary(b, "Add", "masked", scores, capped ? kind->bias_fp32 : kind->bias);
    gx_node *softmax = gx_graph_node(b->graph, "Softmax", gx_builder_name(b, "probabilities"), GX_INPUTS(scores));
    gx_node_int(b->graph, softmax, "axis", -1);
    return gx_builder_cast(b, "probabilities/cast", gx_node_output(b->graph, softmax, NULL, scores->dtype, scores->shape), b->activation);
}

const gx_value *gx_attend_primitives(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_cache_kind *kind = gx_builder_cache_kind(b, layer);
    const written w = write_caches(b, heads, layer, number, kind);
    const gx_dim width = gx_dim_number(layer->head_dim);

    const gx_value *scale = gx_builder_cast(b, "query_scale/cast", gx_graph_float(g, gx_builder_name(b, "query_scale"), layer->attention_scale), b->activation);
    const gx_value *scaled = gx_builder_binary(b, "Mul", "query_scaled", heads->q, scale);
    const gx_value *queries = gx_builder_reshape_to(b, "query_groups", scaled, grouped_shape(b, layer, width));
    const gx_value *keys = gx_builder_transpose(b, "keys", w.key, (const int64_t[]){0, 1, 3, 2});
    const gx_value *scores = matmul(b, "score_groups", queries, keys, grouped_shape(b, layer, kind->length));
    scores = gx_builder_reshape_to(b, "scores", scores, head_shape(b, layer, kind->length));
    const gx_value *weights = gx_builder_reshape_to(b, "probability_groups", probabilities(b, scores, layer, kind), grouped_shape(b, layer, kind->length));
    const gx_value *output = matmul(b, "attention_groups", weights, w.value, grouped_shape(b, layer, width));
    return gx_builder_reshape_to(b, "attention", output, head_shape(b, layer, width));
}

/*
 * Attention on static caches that are written by slot number: the new keys and values are put into their slots, then every
 * query looks at the whole cache through the bias of its kind (cache_kinds.c). Written to the buffer that it was read from, a
 * cache is updated in place.
 */
#include "graph/builder.h"

/* The caches after this call. */
typedef struct written {
    const gx_value *key, *value; /* [batch, kv_heads, length, head_dim] */
} written;

static const gx_value *scatter_rows(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows)
{
    gx_graph *g = b->graph;
    const gx_value *past = gx_builder_past(b, layer, number, what);
    gx_node *node = gx_graph_node(g, "TensorScatter", gx_builder_name(b, gx_builder_leaf(b, what, "_cache")), GX_INPUTS(past, rows, kind->slots));
    gx_node_int(g, node, "axis", 2);
    gx_node_string(g, node, "mode", kind->ring ? "circular" : "linear");
    return gx_builder_present(b, node, layer, number, what);
}

static const gx_value *scatter_elements(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows)
{
    const gx_value *past = gx_builder_past(b, layer, number, what);
    gx_node *node = gx_graph_node(b->graph, "ScatterND", gx_builder_name(b, gx_builder_leaf(b, what, "_cache")), GX_INPUTS(past, kind->slots, rows));
    return gx_builder_present(b, node, layer, number, what);
}

const gx_value *gx_attend_operator(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_cache_kind *kind = gx_builder_cache_kind(b, layer);
    const written w = {scatter_rows(b, layer, number, kind, "key", heads->k), scatter_rows(b, layer, number, kind, "value", heads->v)};
    gx_node *node = gx_graph_node(g, "Attention", gx_builder_name(b, "attention"), GX_INPUTS(heads->q, w.key, w.value, kind->bias));
    gx_node_float(g, node, "scale", layer->attention_scale);
    return gx_node_output(g, node, NULL, b->activation, heads->q->shape);
}

/* The queries of all heads that share a key head, one after another: [batch, kv_heads, heads / kv_heads * sequence, width]. */
static gx_shape grouped_shape(const gx_builder *b, const gx_layer *layer, gx_dim width)
{
    const uint64_t group = layer->num_attention_heads / layer->num_key_value_heads;
    return GX_SHAPE(b->batch, gx_dim_number(layer->num_key_value_heads), gx_dim_number(group * (uint64_t)b->sequence.number), width);
}

static gx_shape head_shape(const gx_builder *b, const gx_layer *layer, gx_dim width)
{
    return GX_SHAPE(b->batch, gx_dim_number(layer->num_attention_heads), b->sequence, width);
}

static const gx_value *matmul(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *y, gx_shape shape)
{
    return gx_graph_apply(b->graph, "MatMul", gx_builder_name(b, leaf), x->dtype, shape, GX_INPUTS(x, y));
}

const gx_value *gx_attend_primitives(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_cache_kind *kind = gx_builder_cache_kind(b, layer);
    const written w = {scatter_elements(b, layer, number, kind, "key", heads->k), scatter_elements(b, layer, number, kind, "value", heads->v)};
    const gx_dim length = gx_dim_number(kind->length), width = gx_dim_number(layer->head_dim);

    const gx_value *scale = gx_builder_cast(b, "query_scale/cast", gx_graph_float(g, gx_builder_name(b, "query_scale"), layer->attention_scale), b->activation);
    const gx_value *scaled = gx_builder_binary(b, "Mul", "query_scaled", heads->q, scale);
    const gx_value *queries = gx_builder_reshape_to(b, "query_groups", scaled, grouped_shape(b, layer, width));
    const gx_value *keys = gx_builder_transpose(b, "keys", w.key, (const int64_t[]){0, 1, 3, 2});
    const gx_value *scores = matmul(b, "score_groups", queries, keys, grouped_shape(b, layer, length));
    scores = gx_builder_reshape_to(b, "scores", scores, head_shape(b, layer, length));
    scores = gx_builder_binary(b, "Add", "masked", scores, kind->bias);
    gx_node *softmax = gx_graph_node(g, "Softmax", gx_builder_name(b, "probabilities"), GX_INPUTS(scores));
    gx_node_int(g, softmax, "axis", -1);
    const gx_value *probabilities = gx_node_output(g, softmax, NULL, b->activation, scores->shape);
    const gx_value *weights = gx_builder_reshape_to(b, "probability_groups", probabilities, grouped_shape(b, layer, length));
    const gx_value *output = matmul(b, "attention_groups", weights, w.value, grouped_shape(b, layer, width));
    return gx_builder_reshape_to(b, "attention", output, head_shape(b, layer, width));
}

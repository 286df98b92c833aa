/*
 * Self-attention with grouped key/value heads: one product for q, k and v (three weights stacked: the activation is read,
 * and for int8 arithmetic quantised, once), optional per-head norms, rotation, GroupQueryAttention.
 */
#include <stdio.h>

#include "graph/builder.h"

/* [batch, sequence, heads * head_dim] from a slice [tokens, heads * head_dim]: norm per head, then rotation. */
static const gx_value *prepare_heads(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *norm, const gx_layer *layer,
                                     uint32_t heads)
{
    gx_graph *g = b->graph;
    const gx_dim head_dim = gx_dim_number(layer->head_dim), heads_dim = gx_dim_number(heads);
    if (norm->tensor) {
        const gx_value *shape = gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "_heads_shape")), 3, (const int64_t[]){-1, heads, layer->head_dim});
        x = gx_builder_reshape(b, gx_builder_leaf(b, leaf, "_heads"), x, shape, GX_SHAPE(b->tokens, heads_dim, head_dim));
        x = gx_block_norm(b, gx_builder_leaf(b, leaf, "_norm"), x, norm, 1, 1, NULL);
    }
    const gx_value *flat = gx_builder_reshape(b, gx_builder_leaf(b, leaf, "_3d"), x, b->rows_shape, GX_SHAPE(b->batch, b->sequence, gx_dim_number((uint64_t)heads * layer->head_dim)));
    const gx_rope_values *rope = gx_builder_rope(b, layer);
    gx_node *node = gx_graph_node(g, "RotaryEmbedding", gx_builder_name(b, gx_builder_leaf(b, leaf, "_rotary")), GX_INPUTS(flat, rope->cos, rope->sin));
    gx_node_int(g, node, "num_heads", heads);
    return gx_node_output(g, node, NULL, flat->dtype, flat->shape);
}

typedef struct split_qkv {
    const gx_value *q, *k, *v;
} split_qkv;

static split_qkv project(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_weight *weights[3] = {&layer->weights[GX_ROLE_Q_PROJ], &layer->weights[GX_ROLE_K_PROJ], &layer->weights[GX_ROLE_V_PROJ]};
    const gx_value *qkv = gx_block_linear(b, "qkv_proj", x, weights, 3, GX_QUANT_ROLE_ATTENTION_QKV, gx_builder_qkv_reader(b, number));
    const int64_t widths[3] = {(int64_t)weights[0]->rows, (int64_t)weights[1]->rows, (int64_t)weights[2]->rows};
    const gx_value *widths_value = gx_graph_int64_list(g, gx_builder_name(b, "qkv_widths"), 3, widths);
    gx_node *node = gx_graph_node(g, "Split", gx_builder_name(b, "qkv"), GX_INPUTS(qkv, widths_value));
    gx_node_int(g, node, "axis", 1);
    split_qkv result;
    result.q = gx_node_output(g, node, NULL, qkv->dtype, GX_SHAPE(b->tokens, gx_dim_number(weights[0]->rows)));
    result.k = gx_node_output(g, node, NULL, qkv->dtype, GX_SHAPE(b->tokens, gx_dim_number(weights[1]->rows)));
    result.v = gx_node_output(g, node, NULL, qkv->dtype, GX_SHAPE(b->tokens, gx_dim_number(weights[2]->rows)));
    return result;
}

static const gx_value *cache_input(gx_builder *b, const gx_layer *layer, uint32_t number, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "past_key_values.%u.%s", number, what);
    return gx_graph_input(b->graph, name, b->activation,
                          GX_SHAPE(b->batch, gx_dim_number(layer->num_key_value_heads), b->past, gx_dim_number(layer->head_dim)));
}

/* The operator's own window counts the query itself, as Gemma's does. */
static const gx_value *attend(gx_builder *b, const split_qkv *heads, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    char name[64];
    const gx_value *past_key = cache_input(b, layer, number, "key"), *past_value = cache_input(b, layer, number, "value");
    gx_node *node = gx_graph_node(g, "com.microsoft:GroupQueryAttention", gx_builder_name(b, "attention"),
                                  GX_INPUTS(heads->q, heads->k, heads->v, past_key, past_value, b->seqlens_k, b->total_sequence_length,
                                            NULL, NULL, NULL, b->attention_bias));
    gx_node_int(g, node, "num_heads", layer->num_attention_heads);
    gx_node_int(g, node, "kv_num_heads", layer->num_key_value_heads);
    gx_node_float(g, node, "scale", layer->attention_scale);
    gx_node_int(g, node, "local_window_size", layer->sliding_window ? (int64_t)layer->sliding_window : -1);
    gx_node_int(g, node, "do_rotary", 0);
    const gx_value *output = gx_node_output(g, node, NULL, b->activation, heads->q->shape);
    const gx_shape present =
        GX_SHAPE(b->batch, gx_dim_number(layer->num_key_value_heads), b->total, gx_dim_number(layer->head_dim));
    snprintf(name, sizeof name, "present.%u.key", number);
    gx_graph_output(g, gx_node_output(g, node, name, b->activation, present));
    snprintf(name, sizeof name, "present.%u.value", number);
    gx_graph_output(g, gx_node_output(g, node, name, b->activation, present));
    return output;
}

const gx_value *gx_block_attention(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    split_qkv heads = project(b, x, layer, number);
    heads.q = prepare_heads(b, "q", heads.q, &layer->weights[GX_ROLE_Q_NORM], layer, layer->num_attention_heads);
    heads.k = prepare_heads(b, "k", heads.k, &layer->weights[GX_ROLE_K_NORM], layer, layer->num_key_value_heads);
    heads.v = gx_builder_reshape(b, "v_3d", heads.v, b->rows_shape,
                                 GX_SHAPE(b->batch, b->sequence, gx_dim_number(layer->weights[GX_ROLE_V_PROJ].rows)));
    const gx_value *output = attend(b, &heads, layer, number);
    const uint64_t width = layer->weights[GX_ROLE_O_PROJ].columns;
    const gx_value *shape = gx_graph_int64_list(b->graph, gx_builder_name(b, "tokens_shape"), 2, (const int64_t[]){-1, (int64_t)width});
    const gx_value *flat = gx_builder_reshape(b, "attention_2d", output, shape, GX_SHAPE(b->tokens, gx_dim_number(width)));
    const gx_weight *weight = &layer->weights[GX_ROLE_O_PROJ];
    return gx_block_linear(b, "o_proj", flat, &weight, 1, GX_QUANT_ROLE_ATTENTION_OUTPUT, NULL);
}

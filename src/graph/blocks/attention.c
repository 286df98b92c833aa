/*
 * Self-attention with grouped key/value heads: one product for q, k and v (three weights stacked: the activation is read,
 * and for int8 arithmetic quantised, once), optional per-head norms, rotation, and the profile's attention.
 */
#include <stdio.h>

#include "graph/builder.h"

/* From [tokens, heads * head_dim] to what the profile attends on. */
static const gx_value *arrange_heads(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads)
{
    if (!b->profile->heads_first)
        return gx_builder_reshape(b, gx_builder_leaf(b, leaf, "_3d"), x, b->rows_shape, GX_SHAPE(b->batch, b->sequence, gx_dim_number((uint64_t)heads * layer->head_dim)));
    const gx_shape rows = GX_SHAPE(b->batch, b->sequence, gx_dim_number(heads), gx_dim_number(layer->head_dim));
    return gx_builder_transpose(b, gx_builder_leaf(b, leaf, "_heads_first"), gx_builder_reshape_to(b, gx_builder_leaf(b, leaf, "_4d"), x, rows),
                                (const int64_t[]){0, 2, 1, 3});
}

/* Norm per head, then rotation. */
static const gx_value *prepare_heads(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *norm, const gx_layer *layer,
                                     uint32_t heads)
{
    if (norm->tensor) {
        x = gx_builder_reshape_to(b, gx_builder_leaf(b, leaf, "_heads"), x, GX_SHAPE(b->tokens, gx_dim_number(heads), gx_dim_number(layer->head_dim)));
        x = gx_block_norm(b, gx_builder_leaf(b, leaf, "_norm"), x, norm, 1, 1, NULL);
    }
    x = arrange_heads(b, leaf, x, layer, heads);
    return b->profile->rotate(b, gx_builder_leaf(b, leaf, "_rotary"), x, layer, heads);
}

static gx_heads project(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    const gx_weight *weights[3] = {&layer->weights[GX_ROLE_Q_PROJ], &layer->weights[GX_ROLE_K_PROJ], &layer->weights[GX_ROLE_V_PROJ]};
    const gx_value *qkv = gx_block_linear(b, "qkv_proj", x, weights, 3, GX_QUANT_ROLE_ATTENTION_QKV, gx_builder_qkv_reader(b, number));
    const gx_value *parts[3];
    gx_builder_split(b, "qkv", qkv, 3, (const uint64_t[]){weights[0]->rows, weights[1]->rows, weights[2]->rows}, parts);
    return (gx_heads){parts[0], parts[1], parts[2]};
}

const gx_value *gx_block_attention(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    gx_heads heads = project(b, x, layer, number);
    heads.q = prepare_heads(b, "q", heads.q, &layer->weights[GX_ROLE_Q_NORM], layer, layer->num_attention_heads);
    heads.k = prepare_heads(b, "k", heads.k, &layer->weights[GX_ROLE_K_NORM], layer, layer->num_key_value_heads);
    heads.v = arrange_heads(b, "v", heads.v, layer, layer->num_key_value_heads);
    const gx_value *output = b->profile->attend(b, &heads, layer, number);
    if (b->profile->heads_first)
        output = gx_builder_transpose(b, "attention_rows", output, (const int64_t[]){0, 2, 1, 3});
    const gx_weight *weight = &layer->weights[GX_ROLE_O_PROJ];
    output = gx_builder_reshape_to(b, "attention_2d", output, GX_SHAPE(b->tokens, gx_dim_number(weight->columns)));
    return gx_block_linear(b, "o_proj", output, &weight, 1, GX_QUANT_ROLE_ATTENTION_OUTPUT, NULL);
}

/*
 * Self-attention with grouped key/value heads: one product for q, k and v (three weights stacked: the activation is read,
 * and for int8 arithmetic quantised, once), optional per-head norms, rotation, and the profile's attention.
 */
#include <stdio.h>

#include "graph/builder.h"

/* A layer that reads another one's caches has nothing to append, which GroupQueryAttention wants (or, with keys of length 0, copies the caches).
 * A GPU's GroupQueryAttention drops the softcap without a word (ONNX Runtime 1.30, WebGPU), and fp16 files are those that GPUs take. */
const gx_attention_form *gx_builder_attention_form(const gx_builder *b, const gx_layer *layer)
{
    const bool exposed = layer->attention_softcap != 0 && b->activation == GX_DTYPE_F16 && !b->form;
    const bool shared = layer->cache_layer != (uint32_t)(layer - b->model->layers);
    if (!gx_builder_has_caches(b))
        return &b->profile->encoder_attention;
    return exposed || shared ? &b->profile->bias_attention : &b->profile->attention;
}

bool gx_builder_attends_by_bias(const gx_builder *b, bool by_bias)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        if (gx_builder_attention_form(b, &b->model->layers[n])->by_bias == by_bias)
            return true;
    return false;
}

/* From [tokens, heads * head_dim] to what the form attends on. */
static const gx_value *arrange_heads(gx_builder *b, const gx_attention_form *form, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads)
{
    const gx_dim width = gx_dim_number(layer->head_dim);
    if (!form->heads_first)
        return gx_builder_reshape(b, gx_builder_leaf(b, leaf, "_3d"), x, b->rows_shape, GX_SHAPE(b->batch, b->sequence, gx_dim_number((uint64_t)heads * layer->head_dim)));
    x = gx_builder_reshape_to(b, gx_builder_leaf(b, leaf, "_4d"), x, GX_SHAPE(b->batch, b->sequence, gx_dim_number(heads), width));
    return gx_builder_transpose(b, gx_builder_leaf(b, leaf, "_heads_first"), x, (const int64_t[]){0, 2, 1, 3});
}

/* Norm per head, then rotation. */
static const gx_value *prepare_heads(gx_builder *b, const gx_attention_form *form, const char *leaf, const gx_value *x, const gx_weight *norm,
                                     const gx_layer *layer, uint32_t heads)
{
    if (norm->tensor) {
        x = gx_builder_reshape_to(b, gx_builder_leaf(b, leaf, "_heads"), x, GX_SHAPE(b->tokens, gx_dim_number(heads), gx_dim_number(layer->head_dim)));
        x = gx_block_norm(b, gx_builder_leaf(b, leaf, "_norm"), x, norm, 1, 1, NULL);
    }
    x = arrange_heads(b, form, leaf, x, layer, heads);
    return form->rotate(b, gx_builder_leaf(b, leaf, "_rotary"), x, layer, heads);
}

/* NULL: the layer reads another one's. */
static gx_heads project(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    static const gx_role roles[3] = {GX_ROLE_Q_PROJ, GX_ROLE_K_PROJ, GX_ROLE_V_PROJ};
    const gx_weight *weights[3];
    uint64_t widths[3];
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (!layer->weights[roles[i]].tensor)
            continue;
        weights[count] = &layer->weights[roles[i]];
        widths[count] = weights[count]->rows;
        count++;
    }
    const gx_value *parts[3] = {NULL, NULL, NULL};
    parts[0] = gx_block_linear(b, "qkv_proj", x, weights, count, GX_QUANT_ROLE_ATTENTION_QKV, gx_builder_qkv_reader(b, number));
    if (count > 1)
        gx_builder_split(b, "qkv", parts[0], count, widths, parts);
    return (gx_heads){parts[0], parts[1], layer->keys_are_values ? parts[1] : parts[2]};
}

/* Values are not rotated; in some families they are normed, without a weight. */
static const gx_value *prepare_values(gx_builder *b, const gx_attention_form *form, const gx_value *v, const gx_layer *layer)
{
    if (layer->normalizes_values) {
        v = gx_builder_reshape_to(b, "v_heads", v, GX_SHAPE(b->tokens, gx_dim_number(layer->num_key_value_heads), gx_dim_number(layer->head_dim)));
        v = gx_block_unit_norm(b, "v_norm", v, 1);
    }
    return arrange_heads(b, form, "v", v, layer, layer->num_key_value_heads);
}

const gx_value *gx_block_attention(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    const gx_attention_form *form = gx_builder_attention_form(b, layer);
    gx_heads heads = project(b, x, layer, number);
    heads.q = prepare_heads(b, form, "q", heads.q, &layer->weights[GX_ROLE_Q_NORM], layer, layer->num_attention_heads);
    if (heads.k) {
        heads.v = prepare_values(b, form, heads.v, layer);
        heads.k = prepare_heads(b, form, "k", heads.k, &layer->weights[GX_ROLE_K_NORM], layer, layer->num_key_value_heads);
    }
    const gx_value *output = form->attend(b, &heads, layer, number);
    if (form->heads_first)
        output = gx_builder_transpose(b, "attention_rows", output, (const int64_t[]){0, 2, 1, 3});
    const gx_weight *weight = &layer->weights[GX_ROLE_O_PROJ];
    output = gx_builder_reshape_to(b, "attention_2d", output, GX_SHAPE(b->tokens, gx_dim_number(weight->columns)));
    return gx_block_linear(b, "o_proj", output, &weight, 1, GX_QUANT_ROLE_ATTENTION_OUTPUT, NULL);
}

/*
 * What the blocks share while one decoder graph is built: the graph, the model, the choices, and the values that every
 * layer reads. A block is one mathematical idea in one file; it takes values and returns a value.
 *
 * Hidden states are kept as [tokens, hidden_size], tokens = batch_size * sequence_length, so that one Gemm reads a
 * weight exactly as checkpoints store it, [out, in]: nothing is ever transposed.
 */
#ifndef GX_GRAPH_BUILDER_H
#define GX_GRAPH_BUILDER_H

#include "graph/decoder.h"

typedef struct gx_rope_values {
    const gx_value *cos, *sin; /* [batch_size, sequence_length, head_dim / 2], of the activation type */
} gx_rope_values;

#define GX_MAX_ROPES 4

typedef struct gx_builder {
    gx_graph *graph;
    const gx_model *model;
    const gx_decoder_options *options;
    gx_dtype activation;     /* F32 or F16 */
    double residual_scale;   /* the residual stream holds x times this */
    gx_dim batch, sequence, past, total, tokens;
    const gx_value *batch_1d, *sequence_1d, *total_1d; /* int64 [1] */
    const gx_value *rows_shape;                        /* int64 [3]: batch_size, sequence_length, -1 */
    const gx_value *seqlens_k;                         /* int32 [batch_size]: total length - 1 */
    const gx_value *total_sequence_length;             /* int32 scalar */
    const gx_value *attention_bias;                    /* [batch_size, 1, sequence, total]: 0, or a large negative where padding is */
    const gx_rope *ropes[GX_MAX_ROPES];                /* the distinct ones of the layers */
    gx_rope_values rope_values[GX_MAX_ROPES];
    unsigned rope_count;
    char scope[96]; /* "/model/layers.3/self_attn": in front of every node's name */
} gx_builder;

/* "<scope>/<leaf>" in the arena; "" when memory is out. */
const char *gx_builder_name(gx_builder *b, const char *leaf);

/* "<leaf><suffix>" in the arena, for the name of a part of a block. */
const char *gx_builder_leaf(gx_builder *b, const char *leaf, const char *suffix);

/* Shorthands over gx_graph_apply. */
const gx_value *gx_builder_cast(gx_builder *b, const char *leaf, const gx_value *x, gx_dtype dtype); /* x itself when it has the type */
const gx_value *gx_builder_reshape(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *shape, gx_shape result);
const gx_value *gx_builder_binary(gx_builder *b, const char *op_type, const char *leaf, const gx_value *x, const gx_value *y); /* x's type and shape */

/* ---- blocks ---- */

/* Values of the whole graph: blocks/inputs.c, blocks/rope.c */
void gx_block_lengths(gx_builder *b, const gx_value *input_ids, const gx_value *attention_mask);
void gx_block_attention_bias(gx_builder *b, const gx_value *attention_mask);
void gx_block_rope_tables(gx_builder *b, const gx_value *position_ids);
const gx_rope_values *gx_builder_rope(const gx_builder *b, const gx_layer *layer);

/* RMSNorm over the last dimension of x, which has any rank. `epsilon_scale`: for a stream that holds s·x, s². `multiply`: the
 * result times it. `reader`: who reads the result, balanced; or NULL. The result has the activation type. */
const gx_value *gx_block_norm(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *weight, double epsilon_scale, double multiply,
                              const gx_stream_reader *reader);

/* The embedding's bytes are the head's when tied: both weigh errors as the head does. */
static inline const float *gx_builder_head_importance(const gx_builder *b)
{
    return b->options->importance ? b->options->importance->head.importance : NULL;
}

/* The readers of a layer's two norms on the stream; NULL: weights are stored as they are. */
static inline const gx_stream_reader *gx_builder_qkv_reader(const gx_builder *b, uint32_t layer)
{
    return b->options->importance ? &b->options->importance->qkv[layer] : NULL;
}

static inline const gx_stream_reader *gx_builder_gate_up_reader(const gx_builder *b, uint32_t layer)
{
    return b->options->importance ? &b->options->importance->gate_up[layer] : NULL;
}

/* Declares a weight under the scheme that the policy picks for its role. */
gx_stored *gx_builder_store(gx_builder *b, const char *name, const gx_recipe *recipe, gx_quant_role role);

/* x [rows, in] by a stored weight [out, in]: [rows, out]. */
const gx_value *gx_block_product(gx_builder *b, const char *leaf, const gx_value *x, gx_stored *stored);

/* x [tokens, in] by the rows of up to three weights stacked: [tokens, out]. `reader`: what x is, or NULL. */
const gx_value *gx_block_linear(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *const *weights, unsigned weight_count,
                                gx_quant_role role, const gx_stream_reader *reader);

/* input_ids [batch, sequence] to the residual stream [tokens, hidden_size]. */
const gx_value *gx_block_embedding(gx_builder *b, const gx_value *input_ids);

/* Self-attention of one layer on the normed stream [tokens, hidden_size], without its norms and residual add. */
const gx_value *gx_block_attention(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number);

/* gelu(gate x) * up x, down: [tokens, hidden_size]. */
const gx_value *gx_block_mlp(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number);

/* Final norm, last position (unless all are wanted), product with the head's weight, softcap: the graph output "logits". */
void gx_block_head(gx_builder *b, const gx_value *x);

#endif

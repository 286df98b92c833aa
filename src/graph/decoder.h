/*
 * The decoder graph of a bound model; of one that embeds texts, the encoder's.
 *
 * Dynamic: the contract that Transformers.js, ONNX Runtime GenAI and plain ONNX Runtime share. Inputs input_ids,
 * attention_mask, position_ids, past_key_values.N.key|value; outputs logits and present.N.key|value.
 *
 * Static: every dimension a number, and caches of a fixed length under the same names. Instead of mask and positions:
 *   ort                  seqlens_k int32 [batch], total_sequence_length int32 [1], as GroupQueryAttention has them
 *   standard, primitive  position int64 [batch]: of the call's first id, row by row
 * and, where the call has several ids and only one row's logits are wanted, last_index int64 [batch]: which of them.
 *
 * Apart: two dynamic graphs, one behind the other. The embedding's has the input input_ids and the outputs
 *   inputs_embeds     fp32 [batch, sequence, hidden_size]: rows of the embedding, times its multiplier
 *   per_layer_inputs  fp32 [batch, sequence, num_hidden_layers, hidden_size_per_layer_input], where layers have inputs of their
 *                     own: rows of their embedding, times sqrt(hidden_size_per_layer_input)
 * and the body's has these as inputs instead of input_ids. What follows from inputs_embeds is computed in the body, so a
 * host may put other rows into it.
 *
 * Encoder: inputs input_ids, attention_mask; outputs last_hidden_state [batch, sequence, hidden_size] and sentence_embedding [batch, dimension],
 * both fp32. Static: the same, with numbers as dimensions.
 */
#ifndef GX_GRAPH_DECODER_H
#define GX_GRAPH_DECODER_H

#include "graph/graph.h"
#include "graph/profile.h"

/* How weights that read the residual stream through a norm are quantised (quant/importance.h); of the model's hidden_size each. */
typedef struct gx_stream_reader {
    const float *importance;   /* what an error costs, after balancing */
    const float *balance;      /* columns are stored times it, the norm's weight times its inverse; NULL: neither */
    const float *inverse;
} gx_stream_reader;

typedef struct gx_decoder_importance {
    gx_stream_reader *qkv;     /* [num_hidden_layers] */
    gx_stream_reader *gate_up; /* [num_hidden_layers] */
    gx_stream_reader head;     /* not balanced: the embedding is the same bytes */
} gx_decoder_importance;

typedef struct gx_static_form {
    uint64_t batch_size, sequence_length; /* ids of a call */
    uint64_t max_length;                  /* positions */
    uint64_t longest_call;                /* the largest sequence_length of the graphs that share the caches */
    bool bounded;                         /* layers with a sliding window keep it and some slack instead of max_length */
} gx_static_form;

/* Slots of a layer's cache: max_length, or fewer where it is bounded. */
uint64_t gx_static_cache_length(const gx_static_form *form, const gx_profile *profile, const gx_layer *layer);

typedef enum gx_decoder_piece { GX_DECODER_WHOLE, GX_DECODER_EMBEDDING, GX_DECODER_BODY } gx_decoder_piece;

typedef struct gx_decoder_options {
    gx_decoder_piece piece;
    const gx_policy *policy;   /* types and schemes of one precision */
    const gx_profile *profile;
    const gx_static_form *form; /* NULL: dynamic */
    uint64_t embedding_dim;  /* encoder: leading values of the sentence's embedding that are kept; 0: all */
    bool all_logits;         /* logits of every position instead of the last one */
    double residual_scale;   /* the residual stream holds x times this power of two; 1: as it is */
    int accuracy_level;      /* MatMulNBits: 0, 1 or 4 */
    const gx_decoder_importance *importance; /* NULL: errors cost alike, nothing is balanced */
} gx_decoder_options;

/* Whether one buffer may be bound as past and present of each cache: what a dynamic decoder's metadata says as gemma_onnx.shared_cache. */
bool gx_decoder_shares_caches(const gx_model *model, const gx_profile *profile, gx_dtype activation);

/* The graph lives in `arena`; `model` must outlive it. */
gx_status gx_decoder_build(gx_graph **out, gx_arena *arena, const gx_model *model, const gx_decoder_options *options, gx_error *error) GX_MUST_USE;

#endif

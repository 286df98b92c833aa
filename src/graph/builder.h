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
#include "graph/forms.h"

typedef struct gx_rope_values {
    const gx_value *cos, *sin; /* [batch_size, sequence_length, head_dim / 2], of the activation type */
} gx_rope_values;

#define GX_MAX_ROPES 4

/* What layers with caches alike share, where a bias says what a query sees. */
struct gx_cache_kind {
    gx_dim length; /* after the call */
    uint64_t sliding_window, heads;
    bool ring;             /* static: position p is in slot p mod length; else in slot p */
    const gx_value *slots; /* static: where the call's keys go, as the profile's write_slots takes it */
    const gx_value *bias, *bias_fp32; /* [batch, 1, sequence, length]: 0, or a large negative where a query does not see a slot; of the activation type, and in fp32 */
};

#define GX_MAX_CACHE_KINDS 4

/* int64 [1]: a dimension that is a symbol. */
typedef struct gx_length {
    const char *symbol;
    const gx_value *value;
} gx_length;

/* int64 [rank] */
typedef struct gx_shape_value {
    gx_shape shape;
    const gx_value *value;
} gx_shape_value;

#define GX_MAX_LENGTHS 8
#define GX_MAX_SHAPES 32

/* A layer's keys and values, by side: before and after the call. */
typedef struct gx_cache_values {
    const gx_value *past[2], *present[2];
} gx_cache_values;

struct gx_builder {
    gx_graph *graph;
    const gx_model *model;
    const gx_decoder_options *options;
    gx_dtype activation;     /* F32 or F16 */
    double residual_scale;   /* the residual stream holds x times this */
    const gx_profile *profile;
    const gx_static_form *form; /* NULL: dynamic */
    gx_dim batch, sequence, past, total, tokens; /* past, total: dynamic graphs only */
    gx_dim cache_length;                         /* of what layers that attend by bias see; total, or what a longer buffer has */
    const gx_value *batch_1d, *sequence_1d, *total_1d; /* int64 [1]; dynamic graphs only */
    const gx_value *rows_shape;                        /* int64 [3]: batch_size, sequence_length, -1 */
    const gx_value *seqlens_k;                         /* int32 [batch_size]: total length - 1 */
    const gx_value *total_sequence_length;             /* int32 scalar */
    const gx_value *attention_bias;                    /* GroupQueryAttention: [batch_size, 1, sequence, total]: 0, or a large negative where padding is; NULL: static */
    const gx_value *attention_mask;                    /* encoder: int64 [batch_size, sequence] */
    const gx_value *real_keys;                         /* by_bias: bool [batch_size, 1, 1, cache_length]: no padding; */
    const gx_value *key_indices, *query_indices;       /* … int64 [cache_length], [sequence, 1]: places in the cache; not with fixed caches */
    const gx_value *positions;                         /* int64 [batch_size, sequence] */
    const gx_value *first_position;                    /* int64 [batch_size]: static graphs that take a position */
    const gx_value *last_index;                        /* int64 [batch_size]: whose logits are wanted; NULL: of the last id */
    gx_cache_values *caches;                           /* [num_hidden_layers] */
    const gx_value *streams;                           /* [tokens, altup.streams, hidden_size]; NULL: the residual stream is one */
    const gx_value *per_layer_inputs;                  /* fp32 [batch_size, sequence_length, num_hidden_layers, hidden_size_per_layer_input]: the body's input; NULL: none */
    const gx_value *layer_inputs;                      /* fp32 [tokens, num_hidden_layers, hidden_size_per_layer_input]; NULL: none */
    gx_cache_kind cache_kinds[GX_MAX_CACHE_KINDS];
    unsigned cache_kind_count;
    const gx_rope *ropes[GX_MAX_ROPES];                /* the distinct ones of the layers */
    gx_rope_values rope_values[GX_MAX_ROPES];
    unsigned rope_count;
    gx_length lengths[GX_MAX_LENGTHS];      /* dynamic graphs: what is known of them */
    gx_shape_value shapes[GX_MAX_SHAPES];   /* … and what was made of that; layers share them */
    unsigned length_count, shape_count;
    unsigned onnxruntime; /* the minor version that the graph so far needs */
    char scope[96];       /* "/model/layers.3/self_attn": in front of every node's name */
};

/* Keys of earlier calls; an encoder has none. */
static inline bool gx_builder_has_caches(const gx_builder *b)
{
    return !b->model->bidirectional;
}

static inline bool gx_builder_has_fixed_caches(const gx_builder *b)
{
    return b->form && gx_builder_has_caches(b);
}

/* Hides a key: exp(-30000 - max) is 0 in fp32, and the number exists in fp16. */
#define GX_HIDDEN_KEY_BIAS (-30000.0)

void gx_builder_set_scope(gx_builder *b, const char *format, ...) GX_PRINTF(2, 3);

/* "<scope>/<leaf>" in the arena; "" when memory is out. */
const char *gx_builder_name(gx_builder *b, const char *leaf);

/* "<leaf><suffix>" in the arena, for the name of a part of a block. */
const char *gx_builder_leaf(gx_builder *b, const char *leaf, const char *suffix);

/* Shorthands over gx_graph_apply. */
const gx_value *gx_builder_cast(gx_builder *b, const char *leaf, const gx_value *x, gx_dtype dtype); /* x itself when it has the type */
const gx_value *gx_builder_reshape(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *shape, gx_shape result);
const gx_value *gx_builder_binary(gx_builder *b, const char *op_type, const char *leaf, const gx_value *x, const gx_value *y); /* x's type and shape */
const gx_value *gx_builder_unary(gx_builder *b, const char *op_type, const char *leaf, const gx_value *x);                      /* x's type and shape */
/* One dimension of `shape` may be any symbol; more of them must be known. */
const gx_value *gx_builder_reshape_to(gx_builder *b, const char *leaf, const gx_value *x, gx_shape shape);
const gx_value *gx_builder_transpose(gx_builder *b, const char *leaf, const gx_value *x, const int64_t *order);
const gx_value *gx_builder_concat(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *y, unsigned axis);

/* Pieces of the given widths along the last dimension of x: parts[i] [..., widths[i]]. */
void gx_builder_split(gx_builder *b, const char *leaf, const gx_value *x, unsigned count, const uint64_t *widths, const gx_value **parts);

/* Something of this graph is right from that minor version on; measured, docs/runtimes.md. */
void gx_builder_needs_onnxruntime(gx_builder *b, unsigned minor);

/* The mean along the last dimension of x, which stays, of 1. */
const gx_value *gx_builder_mean_of_last(gx_builder *b, const char *leaf, const gx_value *x);

/* int64 [1]: dimension `axis` of x, which is not known beforehand. */
const gx_value *gx_builder_dimension(gx_builder *b, const char *leaf, const gx_value *x, int64_t axis);
const gx_value *gx_builder_scalar(gx_builder *b, const char *leaf, const gx_value *x); /* int64 [1] to a scalar */

/* Lengths and shapes of dynamic graphs. lengths.c */
void gx_builder_know_length(gx_builder *b, gx_dim dim, const gx_value *value);
gx_dim gx_builder_times_sequence(gx_builder *b, uint64_t factor); /* of any graph */
const gx_value *gx_builder_shape_value(gx_builder *b, const char *leaf, gx_shape shape);

/* ---- blocks ---- */

/* Values of the whole graph, from its inputs, which they declare: input_ids is returned, of the body's graph inputs_embeds.
 * blocks/inputs.c, inputs_static.c, inputs_encoder.c */
const gx_value *gx_block_inputs(gx_builder *b);
const gx_value *gx_block_embedding_inputs(gx_builder *b); /* of the embedding's graph */
const gx_value *gx_block_static_inputs(gx_builder *b);
const gx_value *gx_block_encoder_inputs(gx_builder *b);

/* blocks/rope.c, blocks/cache_kinds.c */
void gx_block_rope_tables(gx_builder *b);
const gx_rope_values *gx_builder_rope(const gx_builder *b, const gx_layer *layer);
void gx_block_cache_kinds(gx_builder *b);
const gx_cache_kind *gx_builder_cache_kind(const gx_builder *b, const gx_layer *layer);

/* How a layer attends, as the profile says. blocks/attention.c */
const gx_attention_form *gx_builder_attention_form(const gx_builder *b, const gx_layer *layer);
bool gx_builder_attends_by_bias(const gx_builder *b, bool by_bias); /* any layer does so, or does otherwise */

/* Declares past_key_values.N.<what> when it is first asked for, or gives a node's next output as present.N.<what>. */
const gx_value *gx_builder_past(gx_builder *b, const gx_layer *layer, uint32_t number, const char *what);
const gx_value *gx_builder_present(gx_builder *b, gx_node *node, const gx_layer *layer, uint32_t number, const char *what);
const gx_value *gx_builder_shared(const gx_builder *b, const gx_layer *layer, const char *what); /* that of the layer whose cache this one reads */

/* RMSNorm over the last dimension of x, which has any rank. `epsilon_scale`: for a stream that holds s·x, s². `multiply`: the
 * result times it. `reader`: who reads the result, balanced; or NULL. The result has the activation type. */
const gx_value *gx_block_norm(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *weight, double epsilon_scale, double multiply,
                              const gx_stream_reader *reader);

/* The same of what x makes of the residual stream: *stream becomes *stream + x, a value called `sum` (its whole name). */
const gx_value *gx_block_add_norm(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_weight *weight,
                                  double epsilon_scale, const gx_stream_reader *reader);

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

/* input_ids [batch, sequence] as [tokens]. */
const gx_value *gx_block_flat_ids(gx_builder *b, const gx_value *input_ids);

/* The rows of the embedding for ids [tokens], times its multiplier and `multiply`: fp32 [tokens, hidden_size]. */
const gx_value *gx_block_embedding(gx_builder *b, const gx_value *ids, double multiply);

/* The rows `ids` [tokens] of a weight, or of several side by side that are stored alike: fp32 [tokens, their columns]. */
const gx_value *gx_block_lookup(gx_builder *b, const gx_value *ids, gx_stored *const *stored, unsigned stored_count);

/* The rows of all layers' own embeddings for ids [tokens], times their multiplier: fp32 [tokens, num_hidden_layers * hidden_size_per_layer_input].
 * blocks/layer_inputs.c */
const gx_value *gx_block_layer_embedding(gx_builder *b, const gx_value *ids);

/* b->layer_inputs, from those rows, in any shape, and the embedded stream. */
void gx_block_layer_inputs(gx_builder *b, const gx_value *embedded, const gx_value *stream);

/* The embedded stream [tokens, hidden_size] through all layers. layers.c */
const gx_value *gx_build_layers(gx_builder *b, const gx_value *stream);

/* What the layer's own input, gated by the stream, adds to it. */
const gx_value *gx_block_layer_input(gx_builder *b, const gx_value *stream, const gx_layer *layer, uint32_t number);

/* b->streams, from the embedded stream; for a layer all of them are predicted, and the active one is returned; from its output all are corrected;
 * at the end they become one again. blocks/altup.c */
void gx_block_altup_begin(gx_builder *b, const gx_value *embedded);
const gx_value *gx_block_altup_predict(gx_builder *b, const gx_layer *layer);
void gx_block_altup_correct(gx_builder *b, const gx_value *predicted, const gx_value *output, const gx_layer *layer, uint32_t number);
const gx_value *gx_block_altup_end(gx_builder *b);

/* x: the stream, normed for attention. */
const gx_value *gx_block_laurel(gx_builder *b, const gx_value *x, const gx_layer *layer);

/* A vector of the checkpoint as an initializer. */
const gx_value *gx_block_vector(gx_builder *b, const char *leaf, const gx_recipe *recipe, gx_dtype dtype);

/* RMSNorm without a weight over the last dimension of x. */
const gx_value *gx_block_unit_norm(gx_builder *b, const char *leaf, const gx_value *x, double epsilon_scale);

/* The sum of the experts that the router picks from the stream, of x: the stream normed for them. blocks/experts.c */
const gx_value *gx_block_experts(gx_builder *b, const gx_value *stream, const gx_value *x, const gx_layer *layer);

/* Self-attention of one layer on the normed stream [tokens, hidden_size], without its norms and residual add. */
const gx_value *gx_block_attention(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number);

/* gelu(gate x) * up x, down: [tokens, hidden_size]. */
const gx_value *gx_block_mlp(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number);

/* cap * tanh(x / cap) */
const gx_value *gx_block_softcap(gx_builder *b, const char *leaf, const gx_value *x, double cap);

/* Final norm, last position (unless all are wanted), product with the head's weight, softcap: the graph output "logits". */
void gx_block_head(gx_builder *b, const gx_value *x);

/* Final norm, mean, dense layers, length 1: the graph outputs "last_hidden_state" and "sentence_embedding". */
void gx_block_sentence(gx_builder *b, const gx_value *x);

#endif

/*
 * A bound model: what config.json (or GGUF metadata) and the family's table say, with every weight found and every shape
 * checked. After gx_model_open succeeds, later stages may trust every number and pointer in it. All of it borrows from
 * the model's arena and from the checkpoint, which must outlive it.
 */
#ifndef GX_MODEL_MODEL_H
#define GX_MODEL_MODEL_H

#include "base/json.h"
#include "checkpoint/checkpoint.h"

/* What a weight does, whatever its file calls it: Gemma 1's "post_attention_layernorm" is a PRE_FEEDFORWARD_NORM. */
typedef enum gx_role {
    GX_ROLE_EMBEDDING,  /* [vocab_size, hidden_size] */
    GX_ROLE_FINAL_NORM, /* [hidden_size] */
    GX_ROLE_LM_HEAD,    /* [vocab_size, hidden_size]; the embedding's tensor when tied */
    GX_ROLE_STREAM_IN,  /* one per stream but the first: [hidden_size, hidden_size] */
    GX_ROLE_STREAM_OUT,
    GX_ROLE_PER_LAYER_EMBEDDING,        /* [vocab_size_per_layer_input, num_hidden_layers * hidden_size_per_layer_input] */
    GX_ROLE_PER_LAYER_MODEL_PROJECTION, /* [num_hidden_layers * hidden_size_per_layer_input, hidden_size] */
    GX_ROLE_PER_LAYER_PROJECTION_NORM,  /* [hidden_size_per_layer_input] */
    GX_ROLE_INPUT_NORM, /* from here on: one per layer */
    GX_ROLE_Q_PROJ,     /* [num_attention_heads * head_dim, hidden_size] */
    GX_ROLE_K_PROJ,     /* [num_key_value_heads * head_dim, hidden_size] */
    GX_ROLE_V_PROJ,
    GX_ROLE_O_PROJ, /* [hidden_size, num_attention_heads * head_dim] */
    GX_ROLE_Q_NORM, /* [head_dim], one weight for all heads */
    GX_ROLE_K_NORM,
    GX_ROLE_POST_ATTENTION_NORM,
    GX_ROLE_PRE_FEEDFORWARD_NORM,
    GX_ROLE_GATE_PROJ, /* [intermediate_size, hidden_size] */
    GX_ROLE_UP_PROJ,
    GX_ROLE_DOWN_PROJ, /* [hidden_size, intermediate_size] */
    GX_ROLE_POST_FEEDFORWARD_NORM,
    GX_ROLE_ROUTER_PROJ,             /* [num_experts, hidden_size] */
    GX_ROLE_ROUTER_SCALE,            /* [hidden_size] */
    GX_ROLE_ROUTER_PER_EXPERT_SCALE, /* [num_experts] */
    GX_ROLE_EXPERTS_GATE_UP,         /* [num_experts * 2 * moe_intermediate_size, hidden_size]: of each expert its gate, then its up */
    GX_ROLE_EXPERTS_DOWN,            /* [num_experts * hidden_size, moe_intermediate_size] */
    GX_ROLE_POST_MLP_NORM,           /* of the MLP beside experts */
    GX_ROLE_PRE_EXPERTS_NORM,
    GX_ROLE_POST_EXPERTS_NORM,
    GX_ROLE_PER_LAYER_INPUT_GATE, /* [hidden_size_per_layer_input, hidden_size] */
    GX_ROLE_PER_LAYER_PROJECTION, /* [hidden_size, hidden_size_per_layer_input] */
    GX_ROLE_POST_PER_LAYER_INPUT_NORM,
    GX_ROLE_LAYER_SCALAR, /* [1] */
    GX_ROLE_LAUREL_LEFT,  /* [laurel_rank, hidden_size] */
    GX_ROLE_LAUREL_RIGHT, /* [hidden_size, laurel_rank] */
    GX_ROLE_POST_LAUREL_NORM,
    GX_ROLE_ALTUP_ROUTER_NORM,    /* [hidden_size] */
    GX_ROLE_ALTUP_ROUTER,         /* [streams, hidden_size] */
    GX_ROLE_ALTUP_PREDICTION,     /* [streams * streams, streams] */
    GX_ROLE_ALTUP_CORRECTION,     /* [streams, streams] */
    GX_ROLE_ALTUP_CORRECT_SCALE,  /* [hidden_size] */
    GX_ROLE_COUNT,
} gx_role;

const char *gx_role_name(gx_role role); /* "q_proj" */

typedef struct gx_weight {
    const gx_tensor *tensor; /* NULL: this model has no such weight */
    uint64_t first_row;      /* of the tensor: some hold several weights */
    uint64_t rows;           /* a vector is one row */
    uint64_t columns;
    double add; /* added to every element on reading: 1 for the norms of safetensors files, whose factor is 1 + w; GGUF holds the sum */
} gx_weight;

/* Angle of pair i at position p: p * theta^(-2 i / head_dim) / factor. Pairs are (i, i + head_dim / 2). */
typedef struct gx_rope {
    double theta;
    double factor;       /* 1, or that of rope_scaling {"rope_type": "linear"} */
    double rotated_part; /* of the pairs, from the first on, those that turn: 1, or the partial_rotary_factor of "proportional" */
    uint32_t head_dim;
} gx_rope;

static inline uint32_t gx_rope_pairs(const gx_rope *rope)
{
    return (uint32_t)(rope->rotated_part * rope->head_dim / 2);
}

static inline bool gx_rope_equal(const gx_rope *a, const gx_rope *b)
{
    return a->theta == b->theta && a->factor == b->factor && a->rotated_part == b->rotated_part && a->head_dim == b->head_dim;
}

typedef struct gx_layer {
    bool slides;             /* of the kind "sliding_attention" */
    uint64_t sliding_window; /* keys visible to a query, itself included (and as many behind it, where bidirectional); 0: all before it */
    gx_rope rope;
    uint32_t num_attention_heads;
    uint32_t num_key_value_heads;
    uint32_t head_dim;
    uint32_t intermediate_size;
    uint32_t cache_layer;             /* whose keys and values it reads: its own number, or that of an earlier layer, and it then has none */
    bool shares_cache;                /* reads another layer's, or is read by another one */
    bool keys_are_values;             /* v is what k is before its norm and rotation */
    bool normalizes_values;           /* v goes through a norm without a weight */
    double gate_cutoff;               /* where sparse_gate: this many standard deviations above its mean, a gate begins to be positive */
    bool sparse_gate;
    uint32_t num_experts;             /* 0: an MLP alone; else experts beside it */
    uint32_t top_k_experts;           /* of them for each token */
    uint32_t moe_intermediate_size;
    double attention_scale;           /* times q·k */
    double attention_softcap;         /* scaled scores become c * tanh(score / c) before the mask; 0: they do not */
    gx_weight weights[GX_ROLE_COUNT]; /* a norm that is absent is not applied */
} gx_layer;

typedef enum gx_activation { GX_ACTIVATION_GELU_TANH, GX_ACTIVATION_GELU_ERF } gx_activation;

typedef struct gx_family gx_family; /* model/family.h */

#define GX_MAX_EOS 8

/* AltUp (Gemma 3n): the residual stream is several, of which a layer works on one and corrects all. */
#define GX_MAX_STREAMS 8
typedef struct gx_altup {
    uint32_t streams; /* 0: the residual stream is one, and the rest of this means nothing */
    uint32_t active;
    bool correct_scale;
    uint32_t laurel_rank;
    gx_weight in[GX_MAX_STREAMS], out[GX_MAX_STREAMS]; /* of each stream but the first */
} gx_altup;

/* What becomes of the last hidden states of a model that embeds texts: their mean, through matrices one after another. */
#define GX_MAX_DENSE 4
typedef struct gx_sentence {
    gx_weight dense[GX_MAX_DENSE]; /* [out, in], without a bias or an activation */
    unsigned dense_count;
    bool normalize;                /* brought to length 1 */
    uint64_t dimension;            /* of the result */
} gx_sentence;

typedef struct gx_model {
    const gx_family *family;
    const char *family_name;       /* family->name */
    const gx_checkpoint *checkpoint;
    uint32_t hidden_size;
    uint32_t vocab_size;
    uint32_t num_hidden_layers;
    uint32_t max_position_embeddings;
    uint32_t hidden_size_per_layer_input; /* 0: layers have no inputs of their own */
    uint32_t vocab_size_per_layer_input;  /* ids from here on have the input of id 0 */
    gx_altup altup;
    bool bidirectional;   /* an encoder: every position sees those behind it, too, there are no caches and no head … */
    gx_sentence sentence; /* … but this */
    double rms_norm_eps;
    double embedding_multiplier;    /* sqrt(hidden_size), as an fp32 number */
    double final_logit_softcapping; /* 0: none */
    gx_activation activation;
    bool tie_word_embeddings;
    int64_t bos_token_id, pad_token_id; /* -1: not said */
    int64_t eos_token_ids[GX_MAX_EOS];
    size_t eos_token_count;
    gx_weight weights[GX_ROLE_COUNT]; /* the roles outside the layers */
    gx_layer *layers;                 /* [num_hidden_layers] */
    uint64_t parameters;              /* elements of all bound weights, a tied head counted once */
    const gx_tensor **left_out;       /* tensors of the checkpoint that are no part of the text decoder */
    size_t left_out_count;
    const char **notes;               /* what the reader ignored or decided, for `inspect`: one sentence each */
    size_t note_count;
    yyjson_mut_doc *config;           /* config.json of the text decoder, as it should stand beside the ONNX files */
    bool config_is_source;            /* it says just what the source's own config.json says */
} gx_model;

static inline bool gx_layer_has_own_cache(const gx_model *model, uint32_t number)
{
    return model->layers[number].cache_layer == number;
}

static inline uint32_t gx_model_cache_count(const gx_model *model) /* layers with caches of their own */
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        count += gx_layer_has_own_cache(model, n);
    return count;
}

/* `checkpoint` must outlive the model. Missing, extra and misshapen tensors are all listed in one message. */
gx_status gx_model_open(gx_model **out, const gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;
void gx_model_close(gx_model *model); /* NULL allowed */

/* Rows [first_row, first_row + rows) of a weight as fp32, `add` applied. `scratch` as for gx_checkpoint_read_rows. */
gx_status gx_weight_read_rows(const gx_model *model, const gx_weight *weight, uint64_t first_row, uint64_t rows, void *scratch,
                              float *out, gx_error *error) GX_MUST_USE;

/* What the stream is multiplied by behind the layer; 1 where there is no such weight. */
gx_status gx_layer_read_scalar(double *out, const gx_model *model, const gx_layer *layer, gx_error *error) GX_MUST_USE;

/* A whole vector (a norm) into `out` [columns]; allocates its own scratch. */
gx_status gx_weight_read_vector(const gx_model *model, const gx_weight *weight, float *out, gx_error *error) GX_MUST_USE;

#endif

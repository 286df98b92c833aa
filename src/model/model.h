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
    GX_ROLE_COUNT,
} gx_role;

const char *gx_role_name(gx_role role); /* "q_proj" */

typedef struct gx_weight {
    const gx_tensor *tensor; /* NULL: this model has no such weight */
    uint64_t rows;           /* a vector is one row */
    uint64_t columns;
    double add; /* added to every element on reading: 1 for the norms of safetensors files, whose factor is 1 + w; GGUF holds the sum */
} gx_weight;

/* Angle of pair i at position p: p * theta^(-2 i / head_dim) / factor. Pairs are (i, i + head_dim / 2). */
typedef struct gx_rope {
    double theta;
    double factor; /* 1, or that of rope_scaling {"rope_type": "linear"} */
} gx_rope;

typedef struct gx_layer {
    uint64_t sliding_window; /* keys visible to a query, itself included; 0: all before it */
    gx_rope rope;
    uint32_t num_attention_heads;
    uint32_t num_key_value_heads;
    uint32_t head_dim;
    uint32_t intermediate_size;
    double attention_scale;           /* times q·k */
    gx_weight weights[GX_ROLE_COUNT]; /* a norm that is absent is not applied */
} gx_layer;

typedef enum gx_activation { GX_ACTIVATION_GELU_TANH, GX_ACTIVATION_GELU_ERF } gx_activation;

typedef struct gx_family gx_family; /* model/family.h */

#define GX_MAX_EOS 8

typedef struct gx_model {
    const gx_family *family;
    const char *family_name;       /* family->name */
    const gx_checkpoint *checkpoint;
    uint32_t hidden_size;
    uint32_t vocab_size;
    uint32_t num_hidden_layers;
    uint32_t max_position_embeddings;
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

/* `checkpoint` must outlive the model. Missing, extra and misshapen tensors are all listed in one message. */
gx_status gx_model_open(gx_model **out, const gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;
void gx_model_close(gx_model *model); /* NULL allowed */

/* Rows [first_row, first_row + rows) of a weight as fp32, `add` applied. `scratch` as for gx_checkpoint_read_rows. */
gx_status gx_weight_read_rows(const gx_model *model, const gx_weight *weight, uint64_t first_row, uint64_t rows, void *scratch,
                              float *out, gx_error *error) GX_MUST_USE;

/* A whole vector (a norm) into `out` [columns]; allocates its own scratch. */
gx_status gx_weight_read_vector(const gx_model *model, const gx_weight *weight, float *out, gx_error *error) GX_MUST_USE;

#endif

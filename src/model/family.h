/*
 * A Gemma family is a table: one file in families/, one line in registry.c. Everything here is constant data; the code
 * that reads it (config.c, resolve.c) knows no family by name.
 */
#ifndef GX_MODEL_FAMILY_H
#define GX_MODEL_FAMILY_H

#include "model/model.h"

/* A dimension of a tensor's expected shape. */
typedef enum gx_dimension {
    GX_DIM_NONE,
    GX_DIM_VOCAB,
    GX_DIM_HIDDEN,
    GX_DIM_HEADS, /* num_attention_heads * head_dim */
    GX_DIM_KV_HEADS,
    GX_DIM_HEAD,
    GX_DIM_INTERMEDIATE,
} gx_dimension;

typedef struct gx_tensor_row {
    gx_role role;
    const char *name; /* after the decoder's prefix; "%u" is the layer */
    const char *gguf_name;
    gx_dimension shape[2]; /* slowest first; a vector has GX_DIM_NONE second */
    bool optional;
} gx_tensor_row;

/* The class defaults of the family's configuration in Transformers: published files leave keys out. */
typedef struct gx_config_defaults {
    uint32_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
    uint32_t max_position_embeddings;
    double rms_norm_eps;
    double rope_theta;
    double rope_local_base_freq;    /* 0: all layers share rope_theta */
    uint32_t sliding_window;        /* 0: the family has no sliding layers */
    uint32_t sliding_window_pattern; /* layer n is full when (n + 1) is a multiple of it */
    double query_pre_attn_scalar;   /* 0: the family has no such key and uses head_dim */
    double final_logit_softcapping; /* 0: none */
    bool honours_final_softcap;     /* whether Transformers reads the key in this family */
} gx_config_defaults;

struct gx_family {
    const char *name;
    const char *const *architectures; /* "Gemma3ForCausalLM", …; ends with NULL */
    const char *const *model_types;   /* of the text decoder; ends with NULL */
    const char *text_model_type;      /* written into config.json */
    const char *text_architecture;
    const char *gguf_architecture; /* NULL: llama.cpp does not write it */
    gx_config_defaults defaults;
    double norm_add;      /* 1: the norm's factor is 1 + weight in Hugging Face files */
    double gguf_norm_add; /* the same for GGUF, which stores the sum */
    const gx_tensor_row *tensors; /* rows for the model and for each layer */
    size_t tensor_count;
};

extern const gx_family *const gx_families[]; /* ends with NULL */

#endif

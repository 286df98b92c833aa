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
    GX_DIM_ONE,
    GX_DIM_PER_LAYER_INPUT,      /* hidden_size_per_layer_input */
    GX_DIM_PER_LAYER_INPUTS,     /* the same of all layers */
    GX_DIM_PER_LAYER_VOCAB,      /* vocab_size_per_layer_input */
    GX_DIM_EXPERTS,              /* num_experts */
    GX_DIM_EXPERT_INTERMEDIATE,  /* moe_intermediate_size */
    GX_DIM_EXPERT_GATE_AND_UP,   /* twice that */
    GX_DIM_STREAMS,              /* altup_num_inputs */
    GX_DIM_STREAM_PAIRS,         /* its square */
    GX_DIM_LAUREL,               /* laurel_rank */
} gx_dimension;

/* When a tensor belongs to the model. Where it does not, one that is there is left out. */
typedef enum gx_when {
    GX_ALWAYS,
    GX_WHEN_KEYS_ARE_OWN,     /* the layer does not read another one's caches */
    GX_WHEN_VALUES_ARE_OWN,   /* … nor takes its keys as values */
    GX_WHEN_PER_LAYER_INPUTS, /* hidden_size_per_layer_input is not 0 */
    GX_WHEN_EXPERTS,          /* the layer has experts */
    GX_PER_STREAM,            /* one for each stream but the first; in a GGUF one above the other in a tensor */
} gx_when;

typedef struct gx_tensor_row {
    gx_role role;
    const char *name; /* after the decoder's prefix; "%u" is the layer */
    const char *gguf_name;
    gx_dimension shape[3]; /* slowest first; then GX_DIM_NONE. One of three is bound as a matrix: rows of rows */
    gx_when when;
} gx_tensor_row;

typedef struct gx_config_source gx_config_source; /* model/config.h */

/* c * tanh(x / c) on scores or logits. */
typedef struct gx_softcap_default {
    double value;  /* 0: none */
    bool honoured; /* whether Transformers reads the key in this family */
} gx_softcap_default;

/* The class defaults of the family's configuration in Transformers: published files leave keys out. */
typedef struct gx_config_defaults {
    uint32_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
    uint32_t max_position_embeddings;
    double rms_norm_eps;
    double rope_theta;
    double rope_local_base_freq;    /* 0: all layers share rope_theta */
    uint32_t sliding_window;        /* 0: the family has no sliding layers */
    uint32_t sliding_window_pattern; /* layer n is full when (n + 1) is a multiple of it */
    bool last_layer_full;            /* whatever the pattern or layer_types say */
    bool reads_pattern_key;          /* whether Transformers reads "sliding_window_pattern" in this family */
    double query_pre_attn_scalar;   /* 0: the family has no such key and uses head_dim */
    bool unscaled_attention;        /* … or has no scale at all */
    bool rope_parameters_only;      /* Transformers does not read the older dialect's rope keys */
    double full_partial_rotary_factor; /* where rope_parameters say nothing: the part of a full layer's pairs that rotate; 0: all */
    gx_softcap_default attention_softcap, final_softcap;
    uint32_t hidden_size_per_layer_input, vocab_size_per_layer_input; /* 0: Transformers does not read the keys in this family */
} gx_config_defaults;

/* The config.json around the text decoder's with which Transformers.js loads it as two graphs. */
typedef struct gx_apart_config {
    const char *model_type;   /* NULL: it loads the decoder as one graph, by the text decoder's own config */
    const char *architecture;
} gx_apart_config;

struct gx_family {
    const char *name;
    const char *const *architectures; /* "Gemma3ForCausalLM", …; ends with NULL */
    const char *const *model_types;   /* of the text decoder; ends with NULL */
    const char *package_model_type;   /* of the multimodal package around it; NULL: none */
    const char *text_model_type;      /* written into config.json */
    const char *text_architecture;
    gx_apart_config apart;
    const char *genai_model_type; /* what ONNX Runtime GenAI calls it; "decoder" where it has no name for it; NULL: no text decoder */
    const char *gguf_architecture; /* NULL: llama.cpp does not write it */
    const char *gguf_tokenizer;    /* the kind of tokenizer in its GGUF files, where that is one with merges; NULL: SentencePiece's */
    uint32_t gguf_27b_layers; /* how llama.cpp knows the 27B, whose attention scale GGUF does not store; 0: none */
    gx_config_defaults defaults;
    bool bidirectional;   /* its configs say use_bidirectional_attention; what is sliding_window there is the width of both sides */
    double norm_add;      /* 1: the norm's factor is 1 + weight in Hugging Face files */
    double gguf_norm_add; /* the same for GGUF, which stores the sum */
    /* What this family alone has in its config: fills the model and its layers, which hold all that is common. NULL: nothing. */
    gx_status (*read_config)(gx_model *model, const gx_config_source *source, gx_error *error);
    /* config.json keys that a GGUF of this family says in a way of its own; what is common is in `root` already. NULL: none. */
    gx_status (*add_gguf_config)(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, gx_error *error);
    bool normalizes_values;       /* v goes through a norm without a weight */
    const gx_tensor_row *tensors; /* rows for the model and for each layer */
    size_t tensor_count;
};

extern const gx_family *const gx_families[]; /* ends with NULL */

/* "gemma, gemma2, …": the model types, or the architectures of GGUF files, that are known. For messages. */
void gx_families_text(char *out, size_t size, bool gguf);

#endif

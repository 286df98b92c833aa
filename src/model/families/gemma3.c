/* Gemma 3 (270m … 27b), its text decoder inside the multimodal package, and the fine-tunes that share the architecture. */
#include "model/families/rows.h"

static const gx_tensor_row tensors[] = {
    GX_ROWS_OUTSIDE_LAYERS, GX_ROW_INPUT_NORM,  GX_ROWS_ATTENTION, GX_ROWS_HEAD_NORMS, GX_ROW_PRE_FEEDFORWARD_NORM("pre_feedforward_layernorm"),
    GX_ROWS_POST_NORMS,     GX_ROWS_MLP,
};

/* Of Gemma3TextConfig. The published 4b file holds six of these keys and leaves the rest to the class. */
#define DEFAULTS \
    { \
        .vocab_size = 262208, \
        .hidden_size = 2304, \
        .intermediate_size = 9216, \
        .num_hidden_layers = 26, \
        .num_attention_heads = 8, \
        .num_key_value_heads = 4, \
        .head_dim = 256, \
        .max_position_embeddings = 131072, \
        .rms_norm_eps = 1e-6, \
        .rope_theta = 1000000.0, \
        .rope_local_base_freq = 10000.0, \
        .sliding_window = 4096, \
        .sliding_window_pattern = 6, \
        .reads_pattern_key = true, \
        .query_pre_attn_scalar = 256, \
        .final_softcap = {.honoured = true}, \
    }

static const char *const architectures[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", NULL};
static const char *const model_types[] = {"gemma3_text", NULL};

const gx_family gx_family_gemma3 = {
    .name = "gemma3",
    .architectures = architectures,
    .model_types = model_types,
    .package_model_type = "gemma3",
    .text_model_type = "gemma3_text",
    .text_architecture = "Gemma3ForCausalLM",
    .genai_model_type = "gemma3_text",
    .gguf_architecture = "gemma3",
    .defaults = DEFAULTS,
    .gguf_27b_layers = 62,
    .norm_add = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

/* EmbeddingGemma: the same decoder, seen as an encoder. */
static const char *const embedding_architectures[] = {"Gemma3TextModel", NULL};

const gx_family gx_family_embeddinggemma = {
    .name = "embeddinggemma",
    .architectures = embedding_architectures,
    .model_types = model_types,
    .text_model_type = "gemma3_text",
    .text_architecture = "Gemma3TextModel",
    .gguf_architecture = "gemma-embedding",
    .defaults = DEFAULTS,
    .bidirectional = true,
    .norm_add = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

/* Gemma 1, Gemma 1.1 and CodeGemma. Two norms a layer; "post_attention_layernorm" stands before the MLP. */
#include "model/families/rows.h"

static const gx_tensor_row tensors[] = {
    GX_ROWS_OUTSIDE_LAYERS, GX_ROW_INPUT_NORM, GX_ROWS_ATTENTION, GX_ROW_PRE_FEEDFORWARD_NORM("post_attention_layernorm"), GX_ROWS_MLP,
};

static const char *const architectures[] = {"GemmaForCausalLM", NULL};
static const char *const model_types[] = {"gemma", NULL};

const gx_family gx_family_gemma = {
    .name = "gemma",
    .architectures = architectures,
    .model_types = model_types,
    .text_model_type = "gemma",
    .text_architecture = "GemmaForCausalLM",
    .genai_model_type = "gemma",
    .gguf_architecture = "gemma",
    .defaults = {.vocab_size = 256000,
                 .hidden_size = 3072,
                 .intermediate_size = 24576,
                 .num_hidden_layers = 28,
                 .num_attention_heads = 16,
                 .num_key_value_heads = 16,
                 .head_dim = 256,
                 .max_position_embeddings = 8192,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 10000.0},
    .norm_add = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

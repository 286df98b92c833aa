/* Gemma 2 (2b, 9b, 27b) and ShieldGemma: four norms a layer, both softcaps, and every other layer slides, the first one included. */
#include "model/families/rows.h"

static const gx_tensor_row tensors[] = {
    GX_ROWS_OUTSIDE_LAYERS, GX_ROW_INPUT_NORM, GX_ROWS_ATTENTION, GX_ROW_PRE_FEEDFORWARD_NORM("pre_feedforward_layernorm"), GX_ROWS_POST_NORMS, GX_ROWS_MLP,
};

static const char *const architectures[] = {"Gemma2ForCausalLM", NULL};
static const char *const model_types[] = {"gemma2", NULL};

const gx_family gx_family_gemma2 = {
    .name = "gemma2",
    .architectures = architectures,
    .model_types = model_types,
    .text_model_type = "gemma2",
    .text_architecture = "Gemma2ForCausalLM",
    .genai_model_type = "gemma2",
    .gguf_architecture = "gemma2",
    .defaults = {.vocab_size = 256000,
                 .hidden_size = 2304,
                 .intermediate_size = 9216,
                 .num_hidden_layers = 26,
                 .num_attention_heads = 8,
                 .num_key_value_heads = 4,
                 .head_dim = 256,
                 .max_position_embeddings = 8192,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 10000.0,
                 .sliding_window = 4096,
                 .sliding_window_pattern = 2,
                 .query_pre_attn_scalar = 256,
                 .attention_softcap = {.value = 50, .honoured = true},
                 .final_softcap = {.value = 30, .honoured = true}},
    .gguf_27b_layers = 46,
    .norm_add = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

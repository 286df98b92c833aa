/* VaultGemma 1b: Gemma 2's attention between Gemma 1's two norms, under Gemma 2's names. The published model has null softcaps
 * and no sliding layer; the class's defaults have both. */
#include "model/families/rows.h"

static const gx_tensor_row tensors[] = {
    GX_ROWS_OUTSIDE_LAYERS, GX_ROW_INPUT_NORM, GX_ROWS_ATTENTION, GX_ROW_PRE_FEEDFORWARD_NORM("pre_feedforward_layernorm"), GX_ROWS_MLP,
};

static const char *const architectures[] = {"VaultGemmaForCausalLM", NULL};
static const char *const model_types[] = {"vaultgemma", NULL};

const gx_family gx_family_vaultgemma = {
    .name = "vaultgemma",
    .architectures = architectures,
    .model_types = model_types,
    .text_model_type = "vaultgemma",
    .text_architecture = "VaultGemmaForCausalLM",
    .genai_model_type = "decoder",
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
    .norm_add = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

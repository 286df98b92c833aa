/* Gemma 3 (270m … 27b), its text decoder inside the multimodal package, and the fine-tunes that share the architecture. */
#include "model/family.h"

static const gx_tensor_row tensors[] = {
    {GX_ROLE_EMBEDDING, "embed_tokens.weight", "token_embd.weight", {GX_DIM_VOCAB, GX_DIM_HIDDEN}, false},
    {GX_ROLE_FINAL_NORM, "norm.weight", "output_norm.weight", {GX_DIM_HIDDEN, GX_DIM_NONE}, false},
    {GX_ROLE_INPUT_NORM, "layers.%u.input_layernorm.weight", "blk.%u.attn_norm.weight", {GX_DIM_HIDDEN, GX_DIM_NONE}, false},
    {GX_ROLE_Q_PROJ, "layers.%u.self_attn.q_proj.weight", "blk.%u.attn_q.weight", {GX_DIM_HEADS, GX_DIM_HIDDEN}, false},
    {GX_ROLE_K_PROJ, "layers.%u.self_attn.k_proj.weight", "blk.%u.attn_k.weight", {GX_DIM_KV_HEADS, GX_DIM_HIDDEN}, false},
    {GX_ROLE_V_PROJ, "layers.%u.self_attn.v_proj.weight", "blk.%u.attn_v.weight", {GX_DIM_KV_HEADS, GX_DIM_HIDDEN}, false},
    {GX_ROLE_O_PROJ, "layers.%u.self_attn.o_proj.weight", "blk.%u.attn_output.weight", {GX_DIM_HIDDEN, GX_DIM_HEADS}, false},
    {GX_ROLE_Q_NORM, "layers.%u.self_attn.q_norm.weight", "blk.%u.attn_q_norm.weight", {GX_DIM_HEAD, GX_DIM_NONE}, false},
    {GX_ROLE_K_NORM, "layers.%u.self_attn.k_norm.weight", "blk.%u.attn_k_norm.weight", {GX_DIM_HEAD, GX_DIM_NONE}, false},
    {GX_ROLE_POST_ATTENTION_NORM,
     "layers.%u.post_attention_layernorm.weight",
     "blk.%u.post_attention_norm.weight",
     {GX_DIM_HIDDEN, GX_DIM_NONE},
     false},
    {GX_ROLE_PRE_FEEDFORWARD_NORM,
     "layers.%u.pre_feedforward_layernorm.weight",
     "blk.%u.ffn_norm.weight",
     {GX_DIM_HIDDEN, GX_DIM_NONE},
     false},
    {GX_ROLE_GATE_PROJ, "layers.%u.mlp.gate_proj.weight", "blk.%u.ffn_gate.weight", {GX_DIM_INTERMEDIATE, GX_DIM_HIDDEN}, false},
    {GX_ROLE_UP_PROJ, "layers.%u.mlp.up_proj.weight", "blk.%u.ffn_up.weight", {GX_DIM_INTERMEDIATE, GX_DIM_HIDDEN}, false},
    {GX_ROLE_DOWN_PROJ, "layers.%u.mlp.down_proj.weight", "blk.%u.ffn_down.weight", {GX_DIM_HIDDEN, GX_DIM_INTERMEDIATE}, false},
    {GX_ROLE_POST_FEEDFORWARD_NORM,
     "layers.%u.post_feedforward_layernorm.weight",
     "blk.%u.post_ffw_norm.weight",
     {GX_DIM_HIDDEN, GX_DIM_NONE},
     false},
};

static const char *const architectures[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", NULL};
static const char *const model_types[] = {"gemma3_text", NULL};

const gx_family gx_family_gemma3 = {
    .name = "gemma3",
    .architectures = architectures,
    .model_types = model_types,
    .text_model_type = "gemma3_text",
    .text_architecture = "Gemma3ForCausalLM",
    .gguf_architecture = "gemma3",
    /* The published 4b file holds six of these keys and leaves the rest to the class. */
    .defaults = {.vocab_size = 262208,
                 .hidden_size = 2304,
                 .intermediate_size = 9216,
                 .num_hidden_layers = 26,
                 .num_attention_heads = 8,
                 .num_key_value_heads = 4,
                 .head_dim = 256,
                 .max_position_embeddings = 131072,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1000000.0,
                 .rope_local_base_freq = 10000.0,
                 .sliding_window = 4096,
                 .sliding_window_pattern = 6,
                 .query_pre_attn_scalar = 256,
                 .honours_final_softcap = true},
    .norm_add = 1,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

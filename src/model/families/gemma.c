/* Gemma 1, Gemma 1.1 and CodeGemma. Two norms a layer; "post_attention_layernorm" stands before the MLP. */
#include "model/family.h"

static const gx_tensor_row tensors[] = {
    {GX_ROLE_EMBEDDING, "embed_tokens.weight", "token_embd.weight", {GX_DIM_VOCAB, GX_DIM_HIDDEN}, false},
    {GX_ROLE_FINAL_NORM, "norm.weight", "output_norm.weight", {GX_DIM_HIDDEN, GX_DIM_NONE}, false},
    {GX_ROLE_INPUT_NORM, "layers.%u.input_layernorm.weight", "blk.%u.attn_norm.weight", {GX_DIM_HIDDEN, GX_DIM_NONE}, false},
    {GX_ROLE_Q_PROJ, "layers.%u.self_attn.q_proj.weight", "blk.%u.attn_q.weight", {GX_DIM_HEADS, GX_DIM_HIDDEN}, false},
    {GX_ROLE_K_PROJ, "layers.%u.self_attn.k_proj.weight", "blk.%u.attn_k.weight", {GX_DIM_KV_HEADS, GX_DIM_HIDDEN}, false},
    {GX_ROLE_V_PROJ, "layers.%u.self_attn.v_proj.weight", "blk.%u.attn_v.weight", {GX_DIM_KV_HEADS, GX_DIM_HIDDEN}, false},
    {GX_ROLE_O_PROJ, "layers.%u.self_attn.o_proj.weight", "blk.%u.attn_output.weight", {GX_DIM_HIDDEN, GX_DIM_HEADS}, false},
    {GX_ROLE_PRE_FEEDFORWARD_NORM,
     "layers.%u.post_attention_layernorm.weight",
     "blk.%u.ffn_norm.weight",
     {GX_DIM_HIDDEN, GX_DIM_NONE},
     false},
    {GX_ROLE_GATE_PROJ, "layers.%u.mlp.gate_proj.weight", "blk.%u.ffn_gate.weight", {GX_DIM_INTERMEDIATE, GX_DIM_HIDDEN}, false},
    {GX_ROLE_UP_PROJ, "layers.%u.mlp.up_proj.weight", "blk.%u.ffn_up.weight", {GX_DIM_INTERMEDIATE, GX_DIM_HIDDEN}, false},
    {GX_ROLE_DOWN_PROJ, "layers.%u.mlp.down_proj.weight", "blk.%u.ffn_down.weight", {GX_DIM_HIDDEN, GX_DIM_INTERMEDIATE}, false},
};

static const char *const architectures[] = {"GemmaForCausalLM", NULL};
static const char *const model_types[] = {"gemma", NULL};

const gx_family gx_family_gemma = {
    .name = "gemma",
    .architectures = architectures,
    .model_types = model_types,
    .text_model_type = "gemma",
    .text_architecture = "GemmaForCausalLM",
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

/* Rows that families share: one name for each part, and how it is called in either format. */
#ifndef GX_MODEL_FAMILIES_ROWS_H
#define GX_MODEL_FAMILIES_ROWS_H

#include "model/family.h"

#define GX_MATRIX_WHEN(when, role, rows, columns, name, gguf_name) {role, name, gguf_name, {rows, columns, GX_DIM_NONE}, when}
#define GX_VECTOR_WHEN(when, role, elements, name, gguf_name) {role, name, gguf_name, {elements, GX_DIM_NONE, GX_DIM_NONE}, when}
#define GX_MATRIX(role, rows, columns, name, gguf_name) GX_MATRIX_WHEN(GX_ALWAYS, role, rows, columns, name, gguf_name)
#define GX_VECTOR(role, elements, name, gguf_name) GX_VECTOR_WHEN(GX_ALWAYS, role, elements, name, gguf_name)

#define GX_ROWS_OUTSIDE_LAYERS                                                                              \
    GX_MATRIX(GX_ROLE_EMBEDDING, GX_DIM_VOCAB, GX_DIM_HIDDEN, "embed_tokens.weight", "token_embd.weight"), \
    GX_VECTOR(GX_ROLE_FINAL_NORM, GX_DIM_HIDDEN, "norm.weight", "output_norm.weight")

#define GX_ROW_INPUT_NORM GX_VECTOR(GX_ROLE_INPUT_NORM, GX_DIM_HIDDEN, "layers.%u.input_layernorm.weight", "blk.%u.attn_norm.weight")

#define GX_ROWS_ATTENTION                                                                                                                     \
    GX_MATRIX(GX_ROLE_Q_PROJ, GX_DIM_HEADS, GX_DIM_HIDDEN, "layers.%u.self_attn.q_proj.weight", "blk.%u.attn_q.weight"),                      \
    GX_MATRIX_WHEN(GX_WHEN_KEYS_ARE_OWN, GX_ROLE_K_PROJ, GX_DIM_KV_HEADS, GX_DIM_HIDDEN, "layers.%u.self_attn.k_proj.weight",                 \
                   "blk.%u.attn_k.weight"),                                                                                                   \
    GX_MATRIX_WHEN(GX_WHEN_VALUES_ARE_OWN, GX_ROLE_V_PROJ, GX_DIM_KV_HEADS, GX_DIM_HIDDEN, "layers.%u.self_attn.v_proj.weight",               \
                   "blk.%u.attn_v.weight"),                                                                                                   \
    GX_MATRIX(GX_ROLE_O_PROJ, GX_DIM_HIDDEN, GX_DIM_HEADS, "layers.%u.self_attn.o_proj.weight", "blk.%u.attn_output.weight")

#define GX_ROWS_HEAD_NORMS                                                                                              \
    GX_VECTOR(GX_ROLE_Q_NORM, GX_DIM_HEAD, "layers.%u.self_attn.q_norm.weight", "blk.%u.attn_q_norm.weight"),           \
    GX_VECTOR_WHEN(GX_WHEN_KEYS_ARE_OWN, GX_ROLE_K_NORM, GX_DIM_HEAD, "layers.%u.self_attn.k_norm.weight", "blk.%u.attn_k_norm.weight")

#define GX_ROW_PRE_FEEDFORWARD_NORM(name) GX_VECTOR(GX_ROLE_PRE_FEEDFORWARD_NORM, GX_DIM_HIDDEN, "layers.%u." name ".weight", "blk.%u.ffn_norm.weight")

#define GX_ROWS_POST_NORMS                                                                                                                              \
    GX_VECTOR(GX_ROLE_POST_ATTENTION_NORM, GX_DIM_HIDDEN, "layers.%u.post_attention_layernorm.weight", "blk.%u.post_attention_norm.weight"),            \
    GX_VECTOR(GX_ROLE_POST_FEEDFORWARD_NORM, GX_DIM_HIDDEN, "layers.%u.post_feedforward_layernorm.weight", "blk.%u.post_ffw_norm.weight")

#define GX_ROWS_MLP                                                                                                                       \
    GX_MATRIX(GX_ROLE_GATE_PROJ, GX_DIM_INTERMEDIATE, GX_DIM_HIDDEN, "layers.%u.mlp.gate_proj.weight", "blk.%u.ffn_gate.weight"),         \
    GX_MATRIX(GX_ROLE_UP_PROJ, GX_DIM_INTERMEDIATE, GX_DIM_HIDDEN, "layers.%u.mlp.up_proj.weight", "blk.%u.ffn_up.weight"),               \
    GX_MATRIX(GX_ROLE_DOWN_PROJ, GX_DIM_HIDDEN, GX_DIM_INTERMEDIATE, "layers.%u.mlp.down_proj.weight", "blk.%u.ffn_down.weight")

/* Per-layer inputs of Gemma 3n and 4. */
#define GX_ROWS_PER_LAYER_INPUTS                                                                                                              \
    GX_MATRIX_WHEN(GX_WHEN_PER_LAYER_INPUTS, GX_ROLE_PER_LAYER_EMBEDDING, GX_DIM_PER_LAYER_VOCAB, GX_DIM_PER_LAYER_INPUTS,                     \
                   "embed_tokens_per_layer.weight", "per_layer_token_embd.weight"),                                                           \
    GX_MATRIX_WHEN(GX_WHEN_PER_LAYER_INPUTS, GX_ROLE_PER_LAYER_MODEL_PROJECTION, GX_DIM_PER_LAYER_INPUTS, GX_DIM_HIDDEN,                       \
                   "per_layer_model_projection.weight", "per_layer_model_proj.weight"),                                                       \
    GX_VECTOR_WHEN(GX_WHEN_PER_LAYER_INPUTS, GX_ROLE_PER_LAYER_PROJECTION_NORM, GX_DIM_PER_LAYER_INPUT, "per_layer_projection_norm.weight",    \
                   "per_layer_proj_norm.weight"),                                                                                             \
    GX_MATRIX_WHEN(GX_WHEN_PER_LAYER_INPUTS, GX_ROLE_PER_LAYER_INPUT_GATE, GX_DIM_PER_LAYER_INPUT, GX_DIM_HIDDEN,                              \
                   "layers.%u.per_layer_input_gate.weight", "blk.%u.inp_gate.weight"),                                                        \
    GX_MATRIX_WHEN(GX_WHEN_PER_LAYER_INPUTS, GX_ROLE_PER_LAYER_PROJECTION, GX_DIM_HIDDEN, GX_DIM_PER_LAYER_INPUT,                              \
                   "layers.%u.per_layer_projection.weight", "blk.%u.proj.weight"),                                                            \
    GX_VECTOR_WHEN(GX_WHEN_PER_LAYER_INPUTS, GX_ROLE_POST_PER_LAYER_INPUT_NORM, GX_DIM_HIDDEN, "layers.%u.post_per_layer_input_norm.weight",   \
                   "blk.%u.post_norm.weight")

#endif

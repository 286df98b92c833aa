/* The table. Configurations as published, without the keys that say what the class's default says; parameters as the Hub counts them, where it counts
 * the decoder alone, and else by hand. */
#include "model/published.h"

#define IDS(...) (const char *const[]){__VA_ARGS__, NULL}
#define TINY "tiny checkpoints of the family against Transformers; parameter count"
#define ROPE4                                                                                                                              \
    "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"partial_rotary_factor\":0.25,\"rope_theta\":1000000.0},"    \
    "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":10000.0}},\"final_logit_softcapping\":30.0"
#define GELU_TRAP "the file says \"gelu\" and means the tanh form"
#define PARITY_TRAP "even layers slide; both softcaps; the default attention of Transformers drops the one on scores"
#define SCALING_TRAP "most of text_config is left to the class's defaults; linear RoPE scaling is for full layers only"
#define INPUTS_TRAP "inputs for each layer; the last layers read other layers' caches, though tensors for their own are in the file"

const gx_published gx_published_models[] = {
    {IDS("google/gemma-2b", "google/gemma-2b-it", "google/gemma-1.1-2b-it", "google/codegemma-2b", "google/codegemma-1.1-2b"), 2506172416,
     "{\"architectures\":[\"GemmaForCausalLM\"],\"model_type\":\"gemma\",\"hidden_act\":\"gelu\",\"hidden_size\":2048,\"intermediate_size\":16384,"
     "\"num_hidden_layers\":18,\"num_attention_heads\":8,\"num_key_value_heads\":1}",
     TINY, GELU_TRAP},
    {IDS("google/gemma-7b", "google/gemma-7b-it", "google/gemma-1.1-7b-it", "google/codegemma-7b", "google/codegemma-7b-it"), 8537680896,
     "{\"architectures\":[\"GemmaForCausalLM\"],\"model_type\":\"gemma\",\"hidden_act\":\"gelu\"}", TINY, GELU_TRAP "; heads wider together than hidden_size"},
    {IDS("google/gemma-2-2b", "google/gemma-2-2b-it", "google/gemma-2-2b-jpn-it", "google/shieldgemma-2b"), 2614341888,
     "{\"architectures\":[\"Gemma2ForCausalLM\"],\"model_type\":\"gemma2\"}", TINY, PARITY_TRAP},
    {IDS("google/gemma-2-9b", "google/gemma-2-9b-it", "google/shieldgemma-9b"), 9241705984,
     "{\"architectures\":[\"Gemma2ForCausalLM\"],\"model_type\":\"gemma2\",\"hidden_size\":3584,\"intermediate_size\":14336,\"num_hidden_layers\":42,"
     "\"num_attention_heads\":16,\"num_key_value_heads\":8}",
     TINY, PARITY_TRAP},
    {IDS("google/gemma-2-27b", "google/gemma-2-27b-it", "google/shieldgemma-27b"), 27227128320,
     "{\"architectures\":[\"Gemma2ForCausalLM\"],\"model_type\":\"gemma2\",\"hidden_size\":4608,\"intermediate_size\":36864,\"num_hidden_layers\":46,"
     "\"num_attention_heads\":32,\"num_key_value_heads\":16,\"head_dim\":128,\"query_pre_attn_scalar\":144}",
     TINY, PARITY_TRAP "; scores are scaled by 144, not by head_dim"},
    {IDS("google/gemma-3-270m", "google/gemma-3-270m-it", "google/functiongemma-270m-it"), 268098176,
     "{\"architectures\":[\"Gemma3ForCausalLM\"],\"model_type\":\"gemma3_text\",\"vocab_size\":262144,\"hidden_size\":640,\"intermediate_size\":2048,"
     "\"num_hidden_layers\":18,\"num_attention_heads\":4,\"num_key_value_heads\":1,\"max_position_embeddings\":32768,\"sliding_window\":512}",
     "the real base model against Transformers, every precision", "the stream outgrows fp16"},
    {IDS("google/gemma-3-1b-pt", "google/gemma-3-1b-it"), 999885952,
     "{\"architectures\":[\"Gemma3ForCausalLM\"],\"model_type\":\"gemma3_text\",\"vocab_size\":262144,\"hidden_size\":1152,\"intermediate_size\":6912,"
     "\"num_attention_heads\":4,\"num_key_value_heads\":1,\"max_position_embeddings\":32768,\"sliding_window\":512}",
     TINY, "ends on two sliding layers; the stream outgrows fp16"},
    {IDS("google/gemma-3-4b-pt", "google/gemma-3-4b-it", "google/medgemma-4b-pt", "google/medgemma-4b-it", "google/translategemma-4b-it", "google/shieldgemma-2-4b-it"),
     3880263168,
     "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"model_type\":\"gemma3\",\"text_config\":{\"model_type\":\"gemma3_text\",\"hidden_size\":2560,"
     "\"intermediate_size\":10240,\"num_hidden_layers\":34,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":1024}}",
     TINY, SCALING_TRAP},
    {IDS("google/gemma-3-12b-pt", "google/gemma-3-12b-it", "google/translategemma-12b-it"), 11766034176,
     "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"model_type\":\"gemma3\",\"text_config\":{\"model_type\":\"gemma3_text\",\"hidden_size\":3840,"
     "\"intermediate_size\":15360,\"num_attention_heads\":16,\"num_hidden_layers\":48,\"num_key_value_heads\":8,"
     "\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":1024}}",
     TINY, SCALING_TRAP},
    {IDS("google/gemma-3-27b-pt", "google/gemma-3-27b-it", "google/medgemma-27b-it", "google/medgemma-27b-text-it", "google/translategemma-27b-it"), 27009346304,
     "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"model_type\":\"gemma3\",\"text_config\":{\"model_type\":\"gemma3_text\",\"hidden_size\":5376,"
     "\"intermediate_size\":21504,\"num_attention_heads\":32,\"num_hidden_layers\":62,\"num_key_value_heads\":16,\"head_dim\":128,"
     "\"query_pre_attn_scalar\":168,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":1024}}",
     TINY, SCALING_TRAP "; scores are scaled by 168, not by head_dim"},
    {IDS("google/embeddinggemma-300m", "google/embeddinggemma-300m-qat-q4_0-unquantized", "google/embeddinggemma-300m-qat-q8_0-unquantized"), 302863104,
     "{\"architectures\":[\"Gemma3TextModel\"],\"model_type\":\"gemma3_text\",\"use_bidirectional_attention\":true,\"vocab_size\":262144,\"hidden_size\":768,"
     "\"intermediate_size\":1152,\"num_hidden_layers\":24,\"num_attention_heads\":3,\"num_key_value_heads\":1,\"max_position_embeddings\":2048,"
     "\"sliding_window\":512}",
     TINY, "looks both ways; half of sliding_window to each side; two dense layers behind the mean (4,718,592 parameters) are not counted here"},
    {IDS("google/gemma-3n-E2B", "google/gemma-3n-E2B-it"), 4435182688,
     "{\"architectures\":[\"Gemma3nForConditionalGeneration\"],\"model_type\":\"gemma3n\",\"text_config\":{\"model_type\":\"gemma3n_text\","
     "\"intermediate_size\":8192,\"num_hidden_layers\":30,\"num_kv_shared_layers\":10}}",
     TINY, INPUTS_TRAP},
    {IDS("google/gemma-3n-E4B", "google/gemma-3n-E4B-it"), 6835235568,
     "{\"architectures\":[\"Gemma3nForConditionalGeneration\"],\"model_type\":\"gemma3n\",\"text_config\":{\"model_type\":\"gemma3n_text\"}}", TINY, INPUTS_TRAP},
    {IDS("google/gemma-4-E2B", "google/gemma-4-E2B-it"), 4628569379,
     "{\"architectures\":[\"Gemma4ForConditionalGeneration\"],\"model_type\":\"gemma4\",\"text_config\":{\"model_type\":\"gemma4_text\",\"hidden_size\":1536,"
     "\"intermediate_size\":6144,\"num_hidden_layers\":35,\"num_key_value_heads\":1,\"num_kv_shared_layers\":20,\"use_double_wide_mlp\":true,"
     "\"layer_types\":[\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\","
     "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\","
     "\"sliding_attention\",\"full_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"full_attention\","
     "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\",\"sliding_attention\","
     "\"sliding_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\","
     "\"full_attention\"]," ROPE4 "}}",
     TINY, INPUTS_TRAP "; those have twice the MLP"},
    {IDS("google/gemma-4-E4B", "google/gemma-4-E4B-it"), 7463013418,
     "{\"architectures\":[\"Gemma4ForConditionalGeneration\"],\"model_type\":\"gemma4\",\"text_config\":{\"model_type\":\"gemma4_text\",\"hidden_size\":2560,"
     "\"intermediate_size\":10240,\"num_hidden_layers\":42,\"num_key_value_heads\":2,\"num_kv_shared_layers\":18," ROPE4 "}}",
     TINY, INPUTS_TRAP},
    {IDS("google/gemma-4-12B", "google/gemma-4-12B-it"), 11907350320,
     "{\"architectures\":[\"Gemma4UnifiedForConditionalGeneration\"],\"model_type\":\"gemma4_unified\",\"text_config\":{\"model_type\":\"gemma4_unified_text\","
     "\"hidden_size\":3840,\"intermediate_size\":15360,\"num_hidden_layers\":48,\"num_attention_heads\":16,\"num_key_value_heads\":8,"
     "\"num_global_key_value_heads\":1,\"attention_k_eq_v\":true," ROPE4 "}}",
     TINY, "full layers have other heads, and no values of their own"},
    {IDS("google/gemma-4-26B-A4B", "google/gemma-4-26B-A4B-it"), 25233141790,
     "{\"architectures\":[\"Gemma4ForConditionalGeneration\"],\"model_type\":\"gemma4\",\"text_config\":{\"model_type\":\"gemma4_text\",\"hidden_size\":2816,"
     "\"intermediate_size\":2112,\"num_attention_heads\":16,\"num_key_value_heads\":8,\"num_global_key_value_heads\":2,\"attention_k_eq_v\":true,"
     "\"hidden_size_per_layer_input\":0,\"sliding_window\":1024,\"enable_moe_block\":true,\"num_experts\":128,\"top_k_experts\":8,"
     "\"moe_intermediate_size\":704," ROPE4 "}}",
     TINY, "experts beside the MLP; the router reads the stream before the norm"},
    {IDS("google/gemma-4-31B", "google/gemma-4-31B-it"), 30697345340,
     "{\"architectures\":[\"Gemma4ForConditionalGeneration\"],\"model_type\":\"gemma4\",\"text_config\":{\"model_type\":\"gemma4_text\",\"hidden_size\":5376,"
     "\"intermediate_size\":21504,\"num_hidden_layers\":60,\"num_attention_heads\":32,\"num_key_value_heads\":16,\"num_global_key_value_heads\":4,"
     "\"attention_k_eq_v\":true,\"hidden_size_per_layer_input\":0,\"sliding_window\":1024," ROPE4 "}}",
     TINY, "full layers have other heads, and no values of their own"},
    {IDS("google/vaultgemma-1b"), 1038741120,
     "{\"architectures\":[\"VaultGemmaForCausalLM\"],\"model_type\":\"vaultgemma\",\"hidden_size\":1152,\"intermediate_size\":6912,\"num_attention_heads\":4,"
     "\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null,\"sliding_window\":512,\"max_position_embeddings\":1024,"
     "\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\","
     "\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\","
     "\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\","
     "\"full_attention\",\"full_attention\",\"full_attention\"]}",
     TINY, "softcaps are null, which is not absent; two norms a layer"},
    {NULL, 0, NULL, NULL, NULL},
};

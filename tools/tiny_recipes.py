"""What the tiny checkpoints are: the table that make_tiny_checkpoints.py works from.

Each recipe is one folder. `config` is its config.json, as such a file would be published; the sizes are awkward on purpose
(no multiple of 32, odd vocabularies, a window shorter than every prompt) so that a wrong stride, pad or window shows.
"""

GEMMA_COMMON = {
    "architectures": ["GemmaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2,
    "eos_token_id": 1, "initializer_range": 0.02, "max_position_embeddings": 8192, "model_type": "gemma", "pad_token_id": 0,
    "rms_norm_eps": 1e-06, "use_cache": True,
}

GEMMA3_COMMON = {
    "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "attn_logit_softcapping": None, "bos_token_id": 2, "eos_token_id": 1, "final_logit_softcapping": None,
    "hidden_activation": "gelu_pytorch_tanh", "initializer_range": 0.02, "max_position_embeddings": 32768,
    "model_type": "gemma3_text", "pad_token_id": 0, "rms_norm_eps": 1e-06, "use_cache": True,
}

# A vision tower of the right kind, as small as it gets: the text decoder must be found beside it.
VISION = {
    "hidden_size": 16, "image_size": 8, "intermediate_size": 24, "model_type": "siglip_vision_model",
    "num_attention_heads": 2, "num_hidden_layers": 1, "patch_size": 4, "vision_use_head": False,
}


def multimodal(text, **keys):
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "mm_tokens_per_image": 4,
            "text_config": text, "vision_config": VISION, **keys}


# What a tensor of Transformers' own state dict is called in the file: (prefix there, prefix here).
PUBLISHED_MULTIMODAL = (
    ("model.language_model.", "language_model.model."), ("model.vision_tower.", "vision_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)

RECIPES = [
    # ---- Gemma 1
    {
        "name": "gemma-mqa",
        "why": "as gemma-2b was published: hidden_act 'gelu' (meant: the tanh form), one key/value head, no tie key",
        "config": GEMMA_COMMON | {
            "head_dim": 16, "hidden_act": "gelu", "hidden_activation": None, "hidden_size": 40, "intermediate_size": 28,
            "num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 1, "rope_scaling": None,
            "rope_theta": 10000.0, "torch_dtype": "float32", "transformers_version": "4.38.0.dev0", "vocab_size": 257},
    },
    {
        "name": "gemma-mha-bf16",
        "why": "as gemma-1.1 was published; as many key/value heads as heads; stored in bf16",
        "dtype": "bfloat16",
        "config": GEMMA_COMMON | {
            "head_dim": 16, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 72,
            "intermediate_size": 44, "num_attention_heads": 3, "num_hidden_layers": 2, "num_key_value_heads": 3,
            "rope_scaling": None, "rope_theta": 10000.0, "torch_dtype": "bfloat16", "transformers_version": "4.40.0.dev0",
            "vocab_size": 301},
    },
    {
        "name": "gemma-gqa-sharded",
        "why": "the newer config dialect with linear RoPE scaling; grouped heads; an epsilon large enough to matter; shards with an "
               "index",
        "shard_size": "48KB",
        "config": GEMMA_COMMON | {
            "dtype": "float32", "eos_token_id": [1, 107], "head_dim": 32, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 24,
            "intermediate_size": 44, "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
            "rms_norm_eps": 0.001, "rope_parameters": {"factor": 2.0, "rope_theta": 5000.0, "rope_type": "linear"},
            "tie_word_embeddings": True, "transformers_version": "5.24.0", "vocab_size": 131},
    },
    {
        "name": "gemma-untied-f16",
        "why": "a head of its own (tie_word_embeddings false); stored in fp16; the stale inv_freq buffers of old re-uploads",
        "dtype": "float16",
        "inv_freq": True,
        "config": GEMMA_COMMON | {
            "head_dim": 32, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 40, "intermediate_size": 60,
            "num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 1, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.44.2", "vocab_size": 131},
    },
    # ---- Gemma 3, text only
    {
        "name": "gemma3-pattern",
        "why": "as gemma-3-1b was published: sliding_window_pattern, three layers on a pattern of two, query_pre_attn_scalar "
               "that is not head_dim",
        "config": GEMMA3_COMMON | {
            "cache_implementation": "hybrid", "eos_token_id": [1, 106], "head_dim": 16, "hidden_size": 40,
            "intermediate_size": 30, "num_attention_heads": 2, "num_hidden_layers": 3, "num_key_value_heads": 1,
            "query_pre_attn_scalar": 24, "rope_local_base_freq": 10000, "rope_scaling": None, "rope_theta": 1000000,
            "sliding_window": 6, "sliding_window_pattern": 2, "torch_dtype": "float32",
            "transformers_version": "4.50.0.dev0", "vocab_size": 157},
    },
    {
        "name": "gemma3-types-bf16",
        "why": "irregular layer_types, the newer dialect's two thetas, a low final softcap (honoured), an attention softcap and "
               "a _sliding_window_pattern (ignored), grouped heads, a large epsilon, bf16",
        "dtype": "bfloat16",
        "config": GEMMA3_COMMON | {
            "_sliding_window_pattern": 3, "attn_logit_softcapping": 2.0, "dtype": "bfloat16", "final_logit_softcapping": 3.0,
            "head_dim": 16, "hidden_size": 40, "intermediate_size": 50,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "num_attention_heads": 4, "num_hidden_layers": 4, "num_key_value_heads": 2, "query_pre_attn_scalar": 12, "rms_norm_eps": 0.001,
            "rope_parameters": {"full_attention": {"rope_theta": 50000.0, "rope_type": "default"},
                                "sliding_attention": {"rope_theta": 3000.0, "rope_type": "default"}},
            "sliding_window": 5, "tie_word_embeddings": True, "transformers_version": "5.24.0",
            "use_bidirectional_attention": False, "vocab_size": 193},
    },
    {
        "name": "gemma3-untied-f16",
        "why": "a head of its own, layer_types in the older dialect with linear scaling, heads wider than hidden_size, fp16",
        "dtype": "float16",
        "config": GEMMA3_COMMON | {
            "eos_token_id": [1, 50, 96], "head_dim": 32, "hidden_size": 72, "intermediate_size": 40,
            "layer_types": ["sliding_attention", "full_attention"], "num_attention_heads": 3, "num_hidden_layers": 2,
            "num_key_value_heads": 1, "query_pre_attn_scalar": 32, "rope_local_base_freq": 10000.0,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "rope_theta": 1000000.0, "sliding_window": 5,
            "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.55.0.dev0", "vocab_size": 97},
    },
    {
        "name": "gemma3-finetune",
        "why": "as fine-tunes are saved: a redundant lm_head.weight equal to the tied embedding; a rope_scaling that says only "
               "'type' (ignored); two key/value heads, as many as heads",
        "redundant_head": True,
        "config": GEMMA3_COMMON | {
            "eos_token_id": 106, "head_dim": 16, "hidden_size": 40, "intermediate_size": 30, "num_attention_heads": 2,
            "num_hidden_layers": 2, "num_key_value_heads": 2, "query_pre_attn_scalar": 16, "rope_local_base_freq": 10000,
            "rope_scaling": {"factor": 8.0, "type": "linear"}, "rope_theta": 1000000, "sliding_window": 7,
            "sliding_window_pattern": 2, "torch_dtype": "float32", "transformers_version": "4.51.3", "vocab_size": 151},
    },
    {
        "name": "gemma3-other-head",
        "why": "tied by its config, but with an lm_head.weight that differs from the embedding: Transformers then uses the "
               "head that is there; a _sliding_window_pattern alone (ignored: the pattern stays six, so all layers slide)",
        "other_head": True,
        "config": GEMMA3_COMMON | {
            "_sliding_window_pattern": 2, "head_dim": 16, "hidden_size": 40, "intermediate_size": 30,
            "num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 1, "query_pre_attn_scalar": 16,
            "rope_local_base_freq": 10000.0, "rope_scaling": None, "rope_theta": 1000000.0, "sliding_window": 8,
            "torch_dtype": "float32", "transformers_version": "4.56.0.dev0", "vocab_size": 109},
    },
    # ---- Gemma 3, the decoder inside a multimodal package
    {
        "name": "gemma3-multimodal",
        "why": "as gemma-3-4b was published: 'language_model.model.' names, text_config with most keys left to the class "
               "defaults, linear scaling on global layers, seven layers on the default pattern of six, bf16",
        "dtype": "bfloat16",
        "rename": PUBLISHED_MULTIMODAL,
        "config": multimodal(
            {"head_dim": 16, "hidden_size": 24, "intermediate_size": 36, "model_type": "gemma3_text",
             "num_attention_heads": 2, "num_hidden_layers": 7, "num_key_value_heads": 2, "query_pre_attn_scalar": 20,
             "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 7, "vocab_size": 103},
            boi_token_index=99, eoi_token_index=100, eos_token_id=[1, 98], image_token_index=101, initializer_range=0.02,
            torch_dtype="bfloat16", transformers_version="4.50.0.dev0"),
    },
    {
        "name": "gemma3-multimodal-sharded",
        "why": "as Transformers saves it since 4.52: 'model.language_model.' names, both dialects' nesting (rope_parameters in "
               "text_config, linear scaling on the global layer), shards",
        "shard_size": "48KB",
        "rename": (),
        "config": multimodal(
            {k: v for k, v in GEMMA3_COMMON.items() if k not in ("architectures", "eos_token_id")} | {
                "dtype": "float32", "head_dim": 16, "hidden_size": 36, "intermediate_size": 40,
                "layer_types": ["full_attention", "sliding_attention"], "num_attention_heads": 3, "num_hidden_layers": 2,
                "num_key_value_heads": 1, "query_pre_attn_scalar": 10,
                "rope_parameters": {
                    "full_attention": {"factor": 8.0, "rope_theta": 1000000.0, "rope_type": "linear"},
                    "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
                "sliding_window": 6, "vocab_size": 101},
            boi_token_index=97, dtype="float32", eoi_token_index=98, eos_token_id=[1, 96], image_token_index=99,
            initializer_range=0.02, tie_word_embeddings=True, transformers_version="5.24.0"),
    },
]

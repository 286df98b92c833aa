"""What the tiny checkpoints are: the table that make_tiny_checkpoints.py works from.

Each recipe is one folder. `config` is its config.json, as such a file would be published; the sizes are awkward on purpose
(no multiple of 32, odd vocabularies, a window shorter than every prompt) so that a wrong stride, pad or window shows. `weights`
says, by a part of the name, which tensors get another (mean, standard deviation) than make_tiny_checkpoints.py gives by shape.
"""

GEMMA_COMMON = {
    "architectures": ["GemmaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2,
    "eos_token_id": 1, "initializer_range": 0.02, "max_position_embeddings": 8192, "model_type": "gemma", "pad_token_id": 0,
    "rms_norm_eps": 1e-06, "use_cache": True,
}

GEMMA2_COMMON = {
    "architectures": ["Gemma2ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2,
    "eos_token_id": 1, "hidden_activation": "gelu_pytorch_tanh", "initializer_range": 0.02, "max_position_embeddings": 8192,
    "model_type": "gemma2", "pad_token_id": 0, "rms_norm_eps": 1e-06, "use_cache": True,
}

VAULT_COMMON = GEMMA2_COMMON | {
    "architectures": ["VaultGemmaForCausalLM"], "max_position_embeddings": 1024, "model_type": "vaultgemma",
}

GEMMA3_COMMON = {
    "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "attn_logit_softcapping": None, "bos_token_id": 2, "eos_token_id": 1, "final_logit_softcapping": None,
    "hidden_activation": "gelu_pytorch_tanh", "initializer_range": 0.02, "max_position_embeddings": 32768,
    "model_type": "gemma3_text", "pad_token_id": 0, "rms_norm_eps": 1e-06, "use_cache": True,
}

EMBEDDING_COMMON = GEMMA3_COMMON | {
    "architectures": ["Gemma3TextModel"], "max_position_embeddings": 2048, "use_bidirectional_attention": True,
}

GEMMA4_COMMON = {
    "architectures": ["Gemma4ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "attention_k_eq_v": False,
    "bos_token_id": 2, "enable_moe_block": False, "eos_token_id": 1, "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size_per_layer_input": 0, "initializer_range": 0.02, "max_position_embeddings": 131072, "model_type": "gemma4_text",
    "num_kv_shared_layers": 0, "pad_token_id": 0, "rms_norm_eps": 1e-06, "tie_word_embeddings": True,
    "use_bidirectional_attention": None, "use_cache": True, "use_double_wide_mlp": False,
}
GEMMA4_ROPE = {
    "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"},
    "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
}

GEMMA3N_COMMON = {
    "altup_active_idx": 0, "altup_coef_clip": 120.0, "altup_correct_scale": True, "altup_num_inputs": 4,
    "architectures": ["Gemma3nForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2,
    "eos_token_id": 1, "hidden_activation": "gelu_pytorch_tanh", "initializer_range": 0.02, "max_position_embeddings": 32768,
    "model_type": "gemma3n_text", "pad_token_id": 0, "rms_norm_eps": 1e-06, "use_cache": True,
}

# A vision tower of the right kind, as small as it gets: the text decoder must be found beside it.
VISION = {
    "hidden_size": 16, "image_size": 8, "intermediate_size": 24, "model_type": "siglip_vision_model",
    "num_attention_heads": 2, "num_hidden_layers": 1, "patch_size": 4, "vision_use_head": False,
}


def multimodal(text, **keys):
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "mm_tokens_per_image": 4,
            "text_config": text, "vision_config": VISION, **keys}


GEMMA4_VISION = {
    "head_dim": 8, "hidden_size": 16, "intermediate_size": 24, "model_type": "gemma4_vision", "num_attention_heads": 2,
    "num_hidden_layers": 1, "num_key_value_heads": 2, "patch_size": 4, "pooling_kernel_size": 2, "position_embedding_size": 12,
}
GEMMA4_AUDIO = {
    "hidden_size": 16, "model_type": "gemma4_audio", "num_attention_heads": 2, "num_hidden_layers": 1, "output_proj_dims": 12,
    "subsampling_conv_channels": [4, 2],
}


def multimodal4(text, vision, audio, **keys):
    text = {k: v for k, v in text.items() if k not in ("architectures", "eos_token_id")}
    return {"architectures": ["Gemma4ForConditionalGeneration"], "audio_config": audio, "audio_token_id": 94, "boa_token_id": 90,
            "boi_token_id": 91, "eoa_token_index": 92, "eoi_token_id": 93, "eos_token_id": [1, 106], "image_token_id": 95,
            "initializer_range": 0.02, "model_type": "gemma4", "text_config": text, "tie_word_embeddings": True,
            "video_token_id": 96, "vision_config": vision, **keys}


GEMMA3N_VISION = {
    "architecture": "mobilenetv5_300m_enc", "do_pooling": False, "hidden_size": 12, "initializer_range": 0.02,
    "label_names": ["LABEL_0", "LABEL_1"], "model_args": None, "model_type": "gemma3n_vision", "num_classes": 2,
    "rms_norm_eps": 1e-06, "vocab_offset": 101, "vocab_size": 4,
}
GEMMA3N_AUDIO = {
    "conf_num_attention_heads": 2, "conf_num_hidden_layers": 1, "hidden_size": 16, "model_type": "gemma3n_audio",
    "rms_norm_eps": 1e-06, "vocab_offset": 105, "vocab_size": 4,
}
# Names as published. Transformers makes the vision tower only with another package, so these are but stand-ins.
GEMMA3N_TOWERS = {
    "model.audio_tower.conformer.0.attention.attn.per_dim_scale": (8,),
    "model.audio_tower.conformer.0.attention.attn.q_proj.weight": (16, 16),
    "model.audio_tower.subsample_conv_projection.conv_0.conv.weight": (4, 1, 3, 3),
    "model.embed_audio.embedding.weight": (4, 16),
    "model.embed_audio.embedding_projection.weight": (24, 16),
    "model.embed_audio.hard_embedding_norm.weight": (16,),
    "model.embed_audio.soft_embedding_norm.weight": (16,),
    "model.embed_vision.embedding.weight": (4, 12),
    "model.embed_vision.embedding_projection.weight": (24, 12),
    "model.embed_vision.hard_embedding_norm.weight": (12,),
    "model.embed_vision.soft_embedding_norm.weight": (12,),
    "model.vision_tower.timm_model.blocks.0.0.bn1.weight": (8,),
    "model.vision_tower.timm_model.conv_stem.conv.bias": (8,),
    "model.vision_tower.timm_model.conv_stem.conv.weight": (8, 3, 3, 3),
}


# What a tensor of Transformers' own state dict is called in the file: (prefix there, prefix here).
PUBLISHED_MULTIMODAL = (
    ("model.language_model.", "language_model.model."), ("model.vision_tower.", "vision_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)
PUBLISHED_UNIFIED = (
    ("model.embed_vision.multimodal_embedder.", "model.embed_vision."), ("model.embed_vision.pos_", "model.vision_embedder.pos_"),
    ("model.embed_vision.patch_", "model.vision_embedder.patch_"),
)
SLIDING, FULL = "sliding_attention", "full_attention"

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
    # ---- Gemma 2
    {
        "name": "gemma2-published",
        "why": "as gemma-2-9b was published: no layer_types (even layers slide), three of them; query_pre_attn_scalar that is not "
               "head_dim; caps low enough to bend; a sliding_window_size beside sliding_window (ignored, so it differs here)",
        "config": GEMMA2_COMMON | {
            "attn_logit_softcapping": 2.0, "cache_implementation": "hybrid", "final_logit_softcapping": 3.0, "head_dim": 16,
            "hidden_act": "gelu_pytorch_tanh", "hidden_size": 24, "intermediate_size": 28, "num_attention_heads": 2,
            "num_hidden_layers": 3, "num_key_value_heads": 1, "query_pre_attn_scalar": 9, "rope_theta": 10000.0,
            "sliding_window": 6, "sliding_window_size": 9, "torch_dtype": "float32", "transformers_version": "4.42.4",
            "vocab_size": 101},
    },
    {
        "name": "gemma2-defaults-bf16",
        "why": "most keys left to the class defaults: caps of 50 and 30 (scores and logits large enough to feel them), the window, "
               "the layer types, theta; grouped heads; bf16",
        "dtype": "bfloat16",
        "weights": {"model.norm": (5.0, 0.5)},
        "config": {
            "architectures": ["Gemma2ForCausalLM"], "eos_token_id": [1, 107], "head_dim": 16, "hidden_size": 40,
            "intermediate_size": 44, "model_type": "gemma2", "num_attention_heads": 4, "num_hidden_layers": 2,
            "num_key_value_heads": 2, "query_pre_attn_scalar": 1, "torch_dtype": "bfloat16", "transformers_version": "4.43.1",
            "vocab_size": 113},
    },
    {
        "name": "gemma2-no-caps-f16",
        "why": "both caps null, which is not absent; a head of its own; as many key/value heads as heads; fp16",
        "dtype": "float16",
        "config": GEMMA2_COMMON | {
            "attn_logit_softcapping": None, "final_logit_softcapping": None, "head_dim": 16, "hidden_size": 36,
            "intermediate_size": 50, "num_attention_heads": 3, "num_hidden_layers": 2, "num_key_value_heads": 3,
            "query_pre_attn_scalar": 12, "rope_theta": 10000.0, "sliding_window": 5, "tie_word_embeddings": False,
            "torch_dtype": "float16", "transformers_version": "4.46.0", "vocab_size": 97},
    },
    {
        "name": "gemma2-types-sharded",
        "why": "irregular layer_types and the newer dialect with linear RoPE scaling, on every layer; only the attention's cap; an "
               "epsilon large enough to matter; shards",
        "shard_size": "24KB",
        "config": GEMMA2_COMMON | {
            "attn_logit_softcapping": 2.5, "dtype": "float32", "final_logit_softcapping": None, "head_dim": 16,
            "hidden_size": 24, "intermediate_size": 20,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"], "num_attention_heads": 4,
            "num_hidden_layers": 3, "num_key_value_heads": 2, "query_pre_attn_scalar": 6, "rms_norm_eps": 0.001,
            "rope_parameters": {"factor": 4.0, "rope_theta": 5000.0, "rope_type": "linear"}, "sliding_window": 8,
            "tie_word_embeddings": True, "transformers_version": "5.24.0", "use_bidirectional_attention": None,
            "vocab_size": 103},
    },
    # ---- VaultGemma
    {
        "name": "vaultgemma-published",
        "why": "as vaultgemma-1b was published: caps null, every layer full beside a window that none uses, as many key/value "
               "heads as heads",
        "config": VAULT_COMMON | {
            "attn_logit_softcapping": None, "dtype": "float32", "final_logit_softcapping": None, "head_dim": 16,
            "hidden_size": 24, "intermediate_size": 44, "layer_types": ["full_attention"] * 3, "num_attention_heads": 2,
            "num_hidden_layers": 3, "num_key_value_heads": 2, "query_pre_attn_scalar": 16, "rope_theta": 10000.0,
            "sliding_window": 5, "transformers_version": "4.57.0.dev0", "vocab_size": 101},
    },
    {
        "name": "vaultgemma-defaults",
        "why": "what the class does when keys are absent: caps of 50 and 30 (scores and logits large enough to feel them), even "
               "layers slide, three of them",
        "weights": {"model.norm": (5.0, 0.5)},
        "config": {
            "architectures": ["VaultGemmaForCausalLM"], "head_dim": 16, "hidden_size": 36, "intermediate_size": 28,
            "model_type": "vaultgemma", "num_attention_heads": 3, "num_hidden_layers": 3, "num_key_value_heads": 1,
            "query_pre_attn_scalar": 1, "rope_theta": 10000.0, "sliding_window": 7, "transformers_version": "4.57.1",
            "vocab_size": 107},
    },
    {
        "name": "vaultgemma-capped-bf16",
        "why": "caps low enough to bend, irregular layer_types, the newer dialect, grouped heads, query_pre_attn_scalar that is "
               "not head_dim, an epsilon large enough to matter, bf16",
        "dtype": "bfloat16",
        "config": VAULT_COMMON | {
            "attn_logit_softcapping": 2.0, "dtype": "bfloat16", "final_logit_softcapping": 3.0, "head_dim": 16,
            "hidden_size": 40, "intermediate_size": 50,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"], "num_attention_heads": 4,
            "num_hidden_layers": 3, "num_key_value_heads": 2, "query_pre_attn_scalar": 9, "rms_norm_eps": 0.001,
            "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"}, "sliding_window": 6,
            "tie_word_embeddings": True, "transformers_version": "5.24.0", "vocab_size": 137},
    },
    {
        "name": "vaultgemma-untied-f16",
        "why": "a head of its own, only the final cap, a rope_scaling that says only 'type' (honoured, unlike in Gemma 3), one "
               "key/value head, fp16, shards",
        "dtype": "float16",
        "shard_size": "16KB",
        "config": VAULT_COMMON | {
            "attn_logit_softcapping": None, "final_logit_softcapping": 4.0, "head_dim": 32, "hidden_size": 40,
            "intermediate_size": 30, "layer_types": ["sliding_attention", "full_attention"], "num_attention_heads": 2,
            "num_hidden_layers": 2, "num_key_value_heads": 1, "query_pre_attn_scalar": 20,
            "rope_scaling": {"factor": 2.0, "type": "linear"}, "rope_theta": 10000.0, "sliding_window": 8,
            "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.57.1", "vocab_size": 97},
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
    # ---- Gemma 3n
    {
        "name": "gemma3n-published",
        "why": "as E2B and E4B, text only: four streams; a per-layer vocabulary smaller than the other (ids beyond it take row 0); "
               "two layers with another layer's keys and values (their own, in the file, are unused); sparse activations in some "
               "layers; the older dialect's two thetas; a low final softcap",
        "unused_kv": True,
        "config": GEMMA3N_COMMON | {
            "activation_sparsity_pattern": [0.8, 0.0, 0.6, 0.0], "final_logit_softcapping": 4.0, "head_dim": 16,
            "hidden_size": 24, "hidden_size_per_layer_input": 10, "intermediate_size": [36] * 4, "laurel_rank": 6,
            "layer_types": [SLIDING, FULL, SLIDING, FULL], "num_attention_heads": 2, "num_hidden_layers": 4,
            "num_key_value_heads": 1, "num_kv_shared_layers": 2, "rope_local_base_freq": 10000.0, "rope_scaling": None,
            "rope_theta": 1000000.0, "sliding_window": 6, "torch_dtype": "float32", "transformers_version": "4.53.0",
            "vocab_size": 113, "vocab_size_per_layer_input": 83},
    },
    {
        "name": "gemma3n-streams",
        "why": "three streams, the second one active; no scale after the correction; widths, sparsities and layer types by layer; "
               "no sharing; grouped heads; the newer dialect with linear scaling on full layers; an epsilon large enough to "
               "matter",
        "weights": {"per_layer_projection.weight": (0.0, 0.05)},
        "config": GEMMA3N_COMMON | {
            "activation_sparsity_pattern": [0.0, 0.75, 0.3], "altup_active_idx": 1, "altup_correct_scale": False,
            "altup_num_inputs": 3, "dtype": "float32", "final_logit_softcapping": 3.0, "head_dim": 16, "hidden_size": 20,
            "hidden_size_per_layer_input": 6, "intermediate_size": [22, 30, 26], "laurel_rank": 5,
            "layer_types": [FULL, SLIDING, SLIDING], "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
            "num_kv_shared_layers": 0, "rms_norm_eps": 0.001,
            "rope_parameters": {"full_attention": {"factor": 4.0, "rope_theta": 50000.0, "rope_type": "linear"},
                                "sliding_attention": {"rope_theta": 3000.0, "rope_type": "default"}},
            "sliding_window": 7, "tie_word_embeddings": True, "transformers_version": "5.24.0", "vocab_size": 123,
            "vocab_size_per_layer_input": 123},
    },
    {
        "name": "gemma3n-defaults-f16",
        "why": "most keys left to the class defaults: every fifth layer full, no sparse activations (only models of more than ten "
               "layers have some), a final softcap of 30 (logits large enough to feel it), four streams, a rank of 64; one "
               "intermediate size for all; a head of its own; fp16",
        "dtype": "float16",
        "weights": {"model.norm": (6.0, 0.5)},
        "config": {
            "architectures": ["Gemma3nForCausalLM"], "head_dim": 16, "hidden_size": 20, "hidden_size_per_layer_input": 8,
            "intermediate_size": 22, "model_type": "gemma3n_text", "num_attention_heads": 2, "num_hidden_layers": 6,
            "num_key_value_heads": 2, "num_kv_shared_layers": 1, "sliding_window": 5, "tie_word_embeddings": False,
            "torch_dtype": "float16", "transformers_version": "4.53.0", "vocab_size": 107, "vocab_size_per_layer_input": 107},
    },
    {
        "name": "gemma3n-multimodal-bf16",
        "why": "the package as published: 'model.language_model.' names beside towers and their embedders; the ids above the "
               "text's belong to those; bf16, shards",
        "dtype": "bfloat16",
        "shard_size": "32KB",
        "unused_kv": True,
        "rename": (("model.", "model.language_model."),),
        "beside": GEMMA3N_TOWERS,
        "config": {
            "architectures": ["Gemma3nForConditionalGeneration"], "audio_config": GEMMA3N_AUDIO,
            "audio_soft_tokens_per_image": 188, "audio_token_id": 106, "boa_token_id": 98, "boi_token_id": 97,
            "eoa_token_id": 105, "eoi_token_id": 101, "eos_token_id": [1, 90], "image_token_id": 102, "initializer_range": 0.02,
            "model_type": "gemma3n",
            "text_config": {k: v for k, v in GEMMA3N_COMMON.items() if k not in ("architectures", "eos_token_id")} | {
                "activation_sparsity_pattern": [0.8, 0.8, 0.0, 0.0, 0.0], "final_logit_softcapping": 4.0, "head_dim": 16,
                "hidden_size": 24, "hidden_size_per_layer_input": 8, "intermediate_size": [36] * 5, "laurel_rank": 6,
                "layer_types": [SLIDING, FULL, SLIDING, SLIDING, FULL], "num_attention_heads": 2, "num_hidden_layers": 5,
                "num_key_value_heads": 1, "num_kv_shared_layers": 2, "rope_local_base_freq": 10000.0, "rope_scaling": None,
                "rope_theta": 1000000.0, "sliding_window": 6, "torch_dtype": "bfloat16", "vocab_size": 109,
                "vocab_size_per_layer_input": 101},
            "torch_dtype": "bfloat16", "transformers_version": "4.53.0", "vision_config": GEMMA3N_VISION,
            "vision_soft_tokens_per_image": 256},
    },
    # ---- Gemma 4
    {
        "name": "gemma4-dense",
        "why": "as the 31B, text only: no value projection on full layers (keys are values), fewer key/value heads there, wider "
               "heads there with a quarter of them rotated; a low final softcap",
        "config": GEMMA4_COMMON | {
            "attention_k_eq_v": True, "dtype": "float32", "final_logit_softcapping": 4.0, "global_head_dim": 32, "head_dim": 16,
            "hidden_size": 24, "intermediate_size": 28, "layer_types": [SLIDING, SLIDING, FULL], "num_attention_heads": 4,
            "num_global_key_value_heads": 1, "num_hidden_layers": 3, "num_key_value_heads": 2, "rope_parameters": GEMMA4_ROPE,
            "sliding_window": 6, "transformers_version": "5.5.0", "vocab_size": 101, "vocab_size_per_layer_input": 101},
    },
    {
        "name": "gemma4-per-layer-bf16",
        "why": "as E2B, text only: inputs for each layer, the last two layers with another layer's keys and values (their own, in "
               "the file, are unused) and an MLP twice as wide; one key/value head; an epsilon large enough to show the scale of "
               "these inputs, which a norm follows; bf16",
        "dtype": "bfloat16",
        "weights": {"per_layer_projection.weight": (0.0, 0.05)},
        "unused_kv": True,
        "config": GEMMA4_COMMON | {
            "dtype": "bfloat16", "final_logit_softcapping": 3.0, "global_head_dim": 32, "head_dim": 16, "hidden_size": 36,
            "hidden_size_per_layer_input": 10, "intermediate_size": 30, "layer_types": [SLIDING, SLIDING, FULL, SLIDING, FULL],
            "num_attention_heads": 2, "num_global_key_value_heads": None, "num_hidden_layers": 5, "num_key_value_heads": 1,
            "num_kv_shared_layers": 2, "rms_norm_eps": 0.001, "rope_parameters": GEMMA4_ROPE, "sliding_window": 5,
            "transformers_version": "5.5.0", "use_double_wide_mlp": True, "vocab_size": 109, "vocab_size_per_layer_input": 109},
    },
    {
        "name": "gemma4-multimodal-bf16",
        "why": "as E4B: the package with both towers, whose clipped layers hold scalars; inputs for each layer, shared keys and "
               "values without the wider MLP, grouped heads; a number of global key/value heads that counts only where keys are "
               "values (ignored); bf16",
        "dtype": "bfloat16",
        "unused_kv": True,
        "config": multimodal4(
            GEMMA4_COMMON | {
                "dtype": "bfloat16", "final_logit_softcapping": 4.0, "global_head_dim": 32, "head_dim": 16, "hidden_size": 24,
                "hidden_size_per_layer_input": 12, "intermediate_size": 28, "layer_types": [SLIDING, FULL, SLIDING, SLIDING, FULL],
                "num_attention_heads": 4, "num_global_key_value_heads": 1, "num_hidden_layers": 5, "num_key_value_heads": 2,
                "num_kv_shared_layers": 2, "rope_parameters": GEMMA4_ROPE, "sliding_window": 7, "vocab_size": 105,
                "vocab_size_per_layer_input": 105},
            GEMMA4_VISION | {"use_clipped_linears": True}, GEMMA4_AUDIO, dtype="bfloat16", transformers_version="5.5.0"),
    },
    {
        "name": "gemma4-experts-sharded",
        "why": "as 26B-A4B: two of six experts beside the dense MLP, keys that are values, the package with a vision tower; an "
               "epsilon large enough to show that the chosen experts' weights sum to one, which a norm follows; shards",
        "shard_size": "48KB",
        "weights": {"experts.down_proj": (0.0, 0.03)},
        "config": multimodal4(
            GEMMA4_COMMON | {
                "attention_k_eq_v": True, "dtype": "float32", "enable_moe_block": True, "expert_intermediate_size": 11,
                "final_logit_softcapping": 4.0, "global_head_dim": 32, "head_dim": 16, "hidden_size": 24, "intermediate_size": 20,
                "layer_types": [SLIDING, FULL], "moe_intermediate_size": 11, "num_attention_heads": 2, "num_experts": 6,
                "num_global_key_value_heads": 1, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 0.001,
                "rope_parameters": GEMMA4_ROPE, "sliding_window": 6, "top_k_experts": 2, "use_bidirectional_attention": "vision",
                "vocab_size": 119, "vocab_size_per_layer_input": 119},
            GEMMA4_VISION | {"standardize": True}, None, dtype="float32", transformers_version="5.5.0"),
    },
    {
        "name": "gemma4-unified-f16",
        "why": "as the 12B: the unified package, whose embedders of images and sound stand beside the decoder; fp16",
        "dtype": "float16",
        "rename": PUBLISHED_UNIFIED,
        "config": multimodal4(
            {k: v for k, v in GEMMA4_COMMON.items() if k not in ("enable_moe_block", "hidden_size_per_layer_input")} | {
                "attention_k_eq_v": True, "dtype": "float16", "final_logit_softcapping": 4.0, "global_head_dim": 32,
                "head_dim": 16, "hidden_size": 36, "intermediate_size": 44, "layer_types": [SLIDING, FULL, SLIDING, FULL],
                "model_type": "gemma4_unified_text", "num_attention_heads": 2, "num_global_key_value_heads": 1,
                "num_hidden_layers": 4, "num_key_value_heads": 2, "rope_parameters": GEMMA4_ROPE, "sliding_window": 8,
                "use_bidirectional_attention": "vision", "vocab_size": 107},
            {"mm_embed_dim": 12, "mm_posemb_size": 6, "model_type": "gemma4_unified_vision", "output_proj_dims": 36,
             "patch_size": 2, "pooling_kernel_size": 1},
            {"audio_embed_dim": 8, "model_type": "gemma4_unified_audio"},
            architectures=["Gemma4UnifiedForConditionalGeneration"], dtype="float16", model_type="gemma4_unified",
            transformers_version="5.9.0"),
    },
    {
        "name": "gemma4-defaults",
        "why": "most keys left to the class defaults: every sixth layer full and the last one, though it is the seventh; RoPE; no "
               "final softcap",
        "config": {
            "architectures": ["Gemma4ForCausalLM"], "global_head_dim": 32, "head_dim": 16, "hidden_size": 20,
            "hidden_size_per_layer_input": 0, "intermediate_size": 22, "model_type": "gemma4_text", "num_attention_heads": 2,
            "num_hidden_layers": 7, "num_key_value_heads": 1, "sliding_window": 5, "transformers_version": "5.5.0",
            "vocab_size": 115},
    },
    {
        "name": "gemma4-per-layer-config",
        "why": "as Transformers saves it now: per_layer_config instead of the global sizes (its key/value heads count although "
               "keys are not values); a list of layer types that ends on a sliding one, which becomes full; other RoPE: a "
               "fraction that does not divide, a factor, a theta; a head of its own; an epsilon large enough to matter",
        "config": GEMMA4_COMMON | {
            "dtype": "float32", "final_logit_softcapping": None, "head_dim": 16, "hidden_size": 24, "intermediate_size": 28,
            "layer_types": [FULL, SLIDING, SLIDING], "num_attention_heads": 2, "num_hidden_layers": 3, "num_key_value_heads": 2,
            "per_layer_config": {"0": {"head_dim": 32, "num_key_value_heads": 1}, "2": {"head_dim": 32, "num_key_value_heads": 1}},
            "rms_norm_eps": 0.001,
            "rope_parameters": {
                "full_attention": {"factor": 2.0, "partial_rotary_factor": 0.6, "rope_theta": 50000.0, "rope_type": "proportional"},
                "sliding_attention": {"rope_theta": 3000.0, "rope_type": "default"}},
            "sliding_window": 6, "tie_word_embeddings": False, "transformers_version": "5.24.0", "vocab_size": 105,
            "vocab_size_per_layer_input": 105},
    },
    # ---- EmbeddingGemma: `dense` is the width between the two dense layers after pooling
    {
        "name": "embeddinggemma-published",
        "why": "as embeddinggemma-300m was published: names without a prefix, the sentence-transformers files around it, a window "
               "of eight (four to each side)",
        "dense": 60,
        "config": EMBEDDING_COMMON | {
            "_sliding_window_pattern": 6, "dtype": "float32", "head_dim": 16, "hidden_size": 36, "intermediate_size": 28,
            "layer_types": [SLIDING, FULL, SLIDING], "num_attention_heads": 3, "num_hidden_layers": 3, "num_key_value_heads": 1,
            "query_pre_attn_scalar": 16, "rope_local_base_freq": 10000.0, "rope_scaling": None, "rope_theta": 1000000.0,
            "sliding_window": 8, "transformers_version": "4.57.0.dev0", "vocab_size": 101},
    },
    {
        "name": "embeddinggemma-odd-window-bf16",
        "why": "a window of seven (three to each side, as of six), layer types by a pattern, as many key/value heads as heads, "
               "query_pre_attn_scalar that is not head_dim, bf16, dense layers too",
        "dtype": "bfloat16",
        "dense": 50,
        "config": EMBEDDING_COMMON | {
            "head_dim": 16, "hidden_size": 24, "intermediate_size": 44, "num_attention_heads": 2, "num_hidden_layers": 3,
            "num_key_value_heads": 2, "query_pre_attn_scalar": 10, "rope_local_base_freq": 3000.0, "rope_theta": 50000.0,
            "sliding_window": 7, "sliding_window_pattern": 2, "torch_dtype": "bfloat16", "transformers_version": "4.57.0",
            "vocab_size": 109},
    },
    {
        "name": "embeddinggemma-no-dense-f16",
        "why": "pooling and normalisation only, fp16, shards, linear scaling on full layers",
        "dtype": "float16",
        "dense": None,
        "shard_size": "16KB",
        "config": EMBEDDING_COMMON | {
            "dtype": "float16", "head_dim": 32, "hidden_size": 40, "intermediate_size": 30, "layer_types": [FULL, SLIDING],
            "num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 1, "query_pre_attn_scalar": 32,
            "rope_parameters": {"full_attention": {"factor": 4.0, "rope_theta": 1000000.0, "rope_type": "linear"},
                                "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
            "sliding_window": 6, "transformers_version": "5.24.0", "vocab_size": 97},
    },
    {
        "name": "embeddinggemma-resaved",
        "why": "as Transformers and sentence-transformers save it now: the config says eight for a window that was nine, the newer "
               "form of the other files; grouped heads, an epsilon large enough to matter",
        "dense": 42,
        "saved": True,
        "config": EMBEDDING_COMMON | {
            "dtype": "float32", "head_dim": 16, "hidden_size": 28, "intermediate_size": 36,
            "layer_types": [SLIDING, SLIDING, FULL], "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
            "query_pre_attn_scalar": 16, "rms_norm_eps": 0.001, "sliding_window": 9, "transformers_version": "5.24.0",
            "vocab_size": 103},
    },
]

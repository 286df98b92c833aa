#!/usr/bin/env python3
"""A checkpoint of about any size with Gemma 3's tensors, BF16 values that are numbers but mean nothing: to be brought over a line and timed.

  tests/hub/large_model.py FOLDER NBYTES [SHARDS]
"""
import json
import random
import sys
from pathlib import Path

HIDDEN, INTERMEDIATE, HEADS, HEAD_DIM, VOCABULARY = 640, 2048, 4, 64, 4096
BLOCK = 1 << 20


def config(layers, vocabulary):
    return {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": vocabulary, "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": 1, "head_dim": HEAD_DIM, "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "hidden_activation": "gelu_pytorch_tanh", "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window": 512,
            "sliding_window_pattern": 6,
            "query_pre_attn_scalar": HEAD_DIM, "attention_bias": False, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "tie_word_embeddings": True,
            "torch_dtype": "bfloat16"}


def shapes(layers, vocabulary):
    out = {"model.embed_tokens.weight": (vocabulary, HIDDEN)}
    for n in range(layers):
        out |= {f"model.layers.{n}.{name}.weight": shape for name, shape in {
            "input_layernorm": (HIDDEN,), "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN), "self_attn.k_proj": (HEAD_DIM, HIDDEN),
            "self_attn.v_proj": (HEAD_DIM, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM), "self_attn.q_norm": (HEAD_DIM,), "self_attn.k_norm": (HEAD_DIM,),
            "post_attention_layernorm": (HIDDEN,),
            "pre_feedforward_layernorm": (HIDDEN,), "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
            "mlp.down_proj": (HIDDEN, INTERMEDIATE),
            "post_feedforward_layernorm": (HIDDEN,)}.items()}
    return out | {"model.norm.weight": (HIDDEN,)}


def nbytes_of(shape):
    return 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)


def values(nbytes, seed):
    """Small BF16 numbers, a block of them over and over: each block starts elsewhere, so that no two of a file are alike for long."""
    generator = random.Random(seed)
    block = bytearray(generator.randbytes(2 * BLOCK))
    block[1::2] = bytes(block[1::2]).translate(bytes(0x3C | (value & 0x80) for value in range(256)))
    while nbytes > 0:
        at = 2 * generator.randrange(BLOCK // 2)
        piece = block[at:at + min(nbytes, BLOCK)]
        nbytes -= len(piece)
        yield piece


def write_file(path, tensors, seed):
    header, at = {}, 0
    for name, shape in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + nbytes_of(shape)]}
        at += nbytes_of(shape)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in values(at, seed):
            file.write(piece)


def write(folder, nbytes, shards=1, seed=1):
    """As many layers as fit, and an embedding of a size that makes up for the rest."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    layer = sum(nbytes_of(s) for s in shapes(1, 0).values())
    layers = max((nbytes - 2 * HIDDEN * VOCABULARY) // layer, 1)
    vocabulary = max((nbytes - layers * layer) // (2 * HIDDEN), 300)
    tensors = list(shapes(layers, vocabulary).items())
    (folder / "config.json").write_text(json.dumps(config(layers, vocabulary), indent=1))
    if shards == 1:
        write_file(folder / "model.safetensors", dict(tensors), seed)
        return folder
    per_shard, weight_map = -(-len(tensors) // shards), {}
    for n in range(shards):
        name, part = f"model-{n + 1:05}-of-{shards:05}.safetensors", dict(tensors[n * per_shard:(n + 1) * per_shard])
        write_file(folder / name, part, seed + n)
        weight_map |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": sum(nbytes_of(s) for _, s in tensors)},
                                                                     "weight_map": weight_map}))
    return folder


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    print(write(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:])))

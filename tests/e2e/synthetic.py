"""Checkpoints made on the spot: safetensors files written by hand, so that they can be wrong, or sparse, in any way."""
import json
import struct
from pathlib import Path

import numpy as np

SMALL = {"hidden": 24, "intermediate": 36, "heads": 2, "kv_heads": 1, "head_dim": 16, "layers": 2, "vocab": 101}
# Gemma 3 1B's and 27B's widths.
WIDE_1B = {"hidden": 1152, "intermediate": 6912, "heads": 4, "kv_heads": 1, "head_dim": 256, "layers": 2, "vocab": 262144}
WIDE_27B = {"hidden": 5376, "intermediate": 21504, "heads": 32, "kv_heads": 16, "head_dim": 128, "layers": 2, "vocab": 262208}


def config(sizes, **more):
    return {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": sizes["vocab"], "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["intermediate"], "num_hidden_layers": sizes["layers"], "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["kv_heads"], "head_dim": sizes["head_dim"], "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
        "hidden_activation": "gelu_pytorch_tanh", "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window": 8,
        "sliding_window_pattern": 2, "query_pre_attn_scalar": sizes["head_dim"], "attention_bias": False, "bos_token_id": 2, "eos_token_id": 1,
        "pad_token_id": 0, "tie_word_embeddings": True, "torch_dtype": "float32"} | more


def shapes(sizes):
    hidden, wide = sizes["hidden"], sizes["intermediate"]
    queries, keys, head = sizes["heads"] * sizes["head_dim"], sizes["kv_heads"] * sizes["head_dim"], sizes["head_dim"]
    out = {"model.embed_tokens.weight": (sizes["vocab"], hidden), "model.norm.weight": (hidden,)}
    layer = {
        "input_layernorm": (hidden,), "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden), "self_attn.o_proj": (hidden, queries), "self_attn.q_norm": (head,), "self_attn.k_norm": (head,),
        "post_attention_layernorm": (hidden,), "pre_feedforward_layernorm": (hidden,), "mlp.gate_proj": (wide, hidden),
        "mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide), "post_feedforward_layernorm": (hidden,)}
    for n in range(sizes["layers"]):
        out |= {f"model.layers.{n}.{key}.weight": shape for key, shape in layer.items()}
    return out


def tensors(sizes, seed=1):
    random = np.random.default_rng(seed)
    return {name: (random.standard_normal(shape) * 0.1).astype(np.float32) for name, shape in shapes(sizes).items()}


def header(entries):
    """The bytes in front of the data section."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entries_of(values):
    """What a safetensors header says about arrays that stand one after another."""
    entries, at = {}, 0
    for name, value in values.items():
        entries[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    return entries


def write(folder, values=None, entries=None, config_text=None, name="model.safetensors"):
    """A folder with one safetensors file of these arrays; header entries and the config's text may be given, and wrong."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    values = tensors(SMALL) if values is None else values
    data = b"".join(np.ascontiguousarray(v).tobytes() for v in values.values())
    (folder / name).write_bytes(header(entries_of(values) if entries is None else entries) + data)
    (folder / "config.json").write_text(json.dumps(config(SMALL), indent=1) if config_text is None else config_text)
    return folder


def write_sparse(folder, sizes, dtype="BF16", width=2):
    """A checkpoint of zeros with real widths that takes no room on the disk."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries, at = {}, 0
    for name, shape in shapes(sizes).items():
        nbytes = int(np.prod(shape)) * width
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + nbytes]}
        at += nbytes
    front = header(entries)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(front)
        file.truncate(len(front) + at)
    (folder / "config.json").write_text(json.dumps(config(sizes)))
    return folder

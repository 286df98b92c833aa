#!/usr/bin/env python3
"""Turns a GGUF file of Gemma 1 or Gemma 3 back into a Hugging Face folder that Transformers loads.

It is the outside judge of what gemma-onnx reads from a GGUF file, so it takes nothing from gemma-onnx: the blocks are decoded by the
`gguf` package, the tensors are renamed and the config is rebuilt here. Matrices are dequantised to fp32 and then, for bf16 and f16,
rounded to nearest even. GGUF stores 1 + w of every norm; the w written here is one for which fp32(1 + w) is the stored value again.
Memory: about one slab of rows, whatever the size of the model.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np

DTYPES = {  # option: (NumPy type, name in safetensors, name in config.json)
    "f32": (np.float32, "F32", "float32"),
    "bf16": (ml_dtypes.bfloat16, "BF16", "bfloat16"),
    "f16": (np.float16, "F16", "float16"),
}
SLAB = 1 << 22  # elements dequantised at a time

COMMON = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
LAYER_NAMES = {
    # Gemma 1's "post attention" norm stands before the MLP; Gemma 3 calls that one "pre feedforward".
    "gemma": COMMON | {"ffn_norm": "post_attention_layernorm"},
    "gemma3": COMMON
    | {
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
}
OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def fail(message):
    sys.exit(f"gguf_to_safetensors: error: {message}")


def say(message):
    print(f"gguf_to_safetensors: {message}", file=sys.stderr)


# ---- names and config


def hf_name(family, name):
    if not name.endswith(".weight"):
        return None
    stem = name.removesuffix(".weight")
    if stem in OUTER_NAMES:
        return OUTER_NAMES[stem] + ".weight"
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if layer and layer[2] in LAYER_NAMES[family]:
        return f"model.layers.{layer[1]}.{LAYER_NAMES[family][layer[2]]}.weight"
    return None


class Metadata:
    def __init__(self, reader):
        self.fields = reader.fields
        self.family = self.get("general.architecture", prefix=False)

    def get(self, key, default=None, prefix=True):
        field = self.fields.get(f"{self.family}.{key}" if prefix else key)
        return default if field is None else field.contents()

    def need(self, key):
        value = self.get(key)
        if value is None:
            fail(f"the metadata lacks {self.family}.{key}")
        return value


def shortest(x):
    """The metadata hold fp32; the shortest decimal that means the same one is what the original config said (1e-06)."""
    return float(str(np.float32(x)))


def layer_types(meta, layers, window):
    if window is None:
        return ["full_attention"] * layers
    pattern = meta.get("attention.sliding_window_pattern", 6)
    if isinstance(pattern, int):
        pattern = [(n + 1) % pattern != 0 for n in range(layers)]
    if len(pattern) != layers:
        fail(f"attention.sliding_window_pattern has {len(pattern)} entries for {layers} layers")
    return ["sliding_attention" if sliding else "full_attention" for sliding in pattern]


def config_of(meta, tensors, dtype, tied):
    heads, width = meta.need("attention.head_count"), meta.need("embedding_length")
    layers = meta.need("block_count")
    head_dim = meta.get("attention.key_length", width // heads)
    config = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": meta.get("tokenizer.ggml.bos_token_id", 2, prefix=False),
        "eos_token_id": meta.get("tokenizer.ggml.eos_token_id", 1, prefix=False),
        "pad_token_id": meta.get("tokenizer.ggml.padding_token_id", 0, prefix=False),
        "head_dim": head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": meta.need("feed_forward_length"),
        "max_position_embeddings": meta.need("context_length"),
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": meta.get("attention.head_count_kv", heads),
        "rms_norm_eps": shortest(meta.need("attention.layer_norm_rms_epsilon")),
        "rope_theta": shortest(meta.get("rope.freq_base", 10000.0)),
        "tie_word_embeddings": tied,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": int(tensors["token_embd.weight"].shape[1]),
    }
    if meta.family == "gemma":
        return config | {
            "architectures": ["GemmaForCausalLM"],
            "model_type": "gemma",
            "hidden_act": "gelu_pytorch_tanh",
            "rope_scaling": None,
        }
    scaling = None
    if meta.get("rope.scaling.type") == "linear":
        scaling = {"rope_type": "linear", "factor": shortest(meta.need("rope.scaling.factor"))}
    window = meta.get("attention.sliding_window")
    return config | {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "attn_logit_softcapping": None,
        "final_logit_softcapping": meta.get("final_logit_softcapping"),
        "layer_types": layer_types(meta, layers, window),
        # Not stored in GGUF: only the 27B, which has 62 layers, differs from the head's width.
        "query_pre_attn_scalar": width // heads if layers == 62 else head_dim,
        "rope_local_base_freq": shortest(meta.get("rope.freq_base_swa", 10000.0)),
        "rope_scaling": scaling,
        "sliding_window": window or 4096,
        "use_bidirectional_attention": False,
    }


def generation_config_of(meta, config):
    stops = [config["eos_token_id"]]
    tokens = meta.get("tokenizer.ggml.tokens", [], prefix=False)
    # A model with a chat template ends its turn with a token of its own.
    if meta.get("tokenizer.chat_template", prefix=False) and "<end_of_turn>" in tokens:
        stops.append(tokens.index("<end_of_turn>"))
    return {
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": sorted(set(stops)) if len(set(stops)) > 1 else stops[0],
        "pad_token_id": config["pad_token_id"],
    }


# ---- values


def dequantised(tensor):
    """The tensor's rows in fp32, a slab at a time. GGUF's data are [rows, bytes of a row] for blocks, typed for the plain types."""
    data = tensor.data if tensor.data.ndim > 1 else tensor.data.reshape(1, -1)
    step = max(1, SLAB // int(tensor.shape[0]))
    for start in range(0, data.shape[0], step):
        yield gguf.quants.dequantize(np.ascontiguousarray(data[start : start + step]), tensor.tensor_type).astype(np.float32, copy=False)


def norm_weight(stored, dtype):
    """w with fp32(1 + w) == stored. stored - 1 is exact from 0.5 on; below, a w exists only if stored is a multiple of 2^-24."""
    one = np.float32(1)
    w = (stored - one).astype(dtype)
    for neighbour in (np.inf, -np.inf):
        off = one + w.astype(np.float32) != stored
        other = np.nextafter(w.astype(np.float32), np.float32(neighbour)).astype(dtype)
        w = np.where(off & (one + other.astype(np.float32) == stored), other, w)
    return w, int(np.count_nonzero(one + w.astype(np.float32) != stored))


# ---- writing


def plan_shards(sizes, count):
    """Splits the tensors, in order, into count parts of about the same number of bytes."""
    if not 1 <= count <= len(sizes):
        fail(f"--shards {count}: there are {len(sizes)} tensors")
    total, done, shards = sum(sizes.values()), 0, [[]]
    for left, (name, size) in zip(range(len(sizes), 0, -1), sizes.items()):
        behind = count - len(shards)
        if shards[-1] and behind and (done >= total * len(shards) / count or left == behind):
            shards.append([])
        shards[-1].append(name)
        done += size
    return shards


def write_shard(path, names, shapes, sizes, dtype_name, values):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        header[name] = {"dtype": dtype_name, "shape": shapes[name], "data_offsets": [offset, offset + sizes[name]]}
        offset += sizes[name]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            start = file.tell()
            for slab in values(name):
                file.write(slab.tobytes())
            if file.tell() - start != sizes[name]:
                fail(f"{name}: wrote {file.tell() - start} bytes, expected {sizes[name]}")


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def convert(args):
    try:
        reader = gguf.GGUFReader(args.gguf)
    except (OSError, ValueError) as error:
        fail(f"{args.gguf}: not a readable GGUF file: {error}")
    meta = Metadata(reader)
    if meta.family not in LAYER_NAMES:
        fail(f"{args.gguf}: general.architecture is {meta.family!r}, expected one of {', '.join(LAYER_NAMES)}")
    tensors = {t.name: t for t in reader.tensors}
    unknown = [name for name in tensors if hf_name(meta.family, name) is None]
    if unknown:
        fail(f"{args.gguf}: no place for {', '.join(unknown)}")
    if "token_embd.weight" not in tensors:
        fail(f"{args.gguf}: token_embd.weight is missing")

    dtype, dtype_name, torch_name = DTYPES[args.dtype]
    source = {hf_name(meta.family, name): tensor for name, tensor in tensors.items()}
    shapes = {name: [int(n) for n in reversed(t.shape)] for name, t in source.items()}
    sizes = {name: int(np.prod(shape)) * np.dtype(dtype).itemsize for name, shape in shapes.items()}
    norms = {"tensors": 0, "values": 0, "inexact": 0}

    def values(name):
        for slab in dequantised(source[name]):
            if name.endswith("norm.weight"):
                slab, inexact = norm_weight(slab, dtype)
                norms["tensors"] += 1
                norms["values"] += slab.size
                norms["inexact"] += inexact
            yield slab.astype(dtype, copy=False)

    out = Path(args.output)
    if out.exists() and not args.force:
        fail(f"{out} exists; --force replaces it")
    part = out.with_name(out.name + f".{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        shards = plan_shards(sizes, args.shards)
        weight_map = {}
        for n, names in enumerate(shards, 1):
            file = "model.safetensors" if len(shards) == 1 else f"model-{n:05d}-of-{len(shards):05d}.safetensors"
            write_shard(part / file, names, shapes, sizes, dtype_name, values)
            weight_map |= dict.fromkeys(names, file)
        if len(shards) > 1:
            index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": dict(sorted(weight_map.items()))}
            write_json(part / "model.safetensors.index.json", index)
        config = config_of(meta, tensors, torch_name, tied="output.weight" not in tensors)
        write_json(part / "config.json", dict(sorted(config.items())))
        write_json(part / "generation_config.json", generation_config_of(meta, config))
        for file in sorted(Path(args.tokenizer).iterdir()) if args.tokenizer else []:
            shutil.copyfile(file, part / file.name)
        if out.exists():
            shutil.rmtree(out)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)

    say(f"{len(sizes)} tensors, {sum(sizes.values())} bytes of {dtype_name} in {len(shards)} file(s): {out}")
    say(f"{norms['tensors']} norms, {norms['values']} values: fp32(1 + w) is the stored value for all but {norms['inexact']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", help="the GGUF file")
    parser.add_argument("output", help="the folder to write")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--shards", type=int, default=1, metavar="N", help="write N files and an index")
    parser.add_argument("--tokenizer", metavar="DIR", help="copy the files of DIR (tokenizer.json, …) into the folder")
    parser.add_argument("--force", action="store_true", help="replace the folder if it exists")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half written goes
    convert(parser.parse_args())


if __name__ == "__main__":
    main()

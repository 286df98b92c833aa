#!/usr/bin/env python3
"""Turns a GGUF file of Gemma 1, 2, 3, 3n or 4 back into a Hugging Face folder that Transformers loads; one of EmbeddingGemma into
a folder that sentence-transformers loads.

It is the outside judge of what gemma-onnx reads from a GGUF file, so it takes nothing from gemma-onnx: the blocks are decoded by the
`gguf` package, the tensors are renamed and the config is rebuilt here. Matrices are dequantised to fp32 and then, for bf16 and f16,
rounded to nearest even. Up to Gemma 3, GGUF stores 1 + w of every norm; the w written here is one for which fp32(1 + w) is the
stored value again.
Memory: about one slab of rows, whatever the size of the model.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import sys
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np

from sentence_files import sentence_files

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
FOUR_NORMS = COMMON | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
HEAD_NORMS = FOUR_NORMS | {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
PER_LAYER = HEAD_NORMS | {
    "inp_gate": "per_layer_input_gate",
    "proj": "per_layer_projection",
    "post_norm": "post_per_layer_input_norm",
}
GEMMA3N = PER_LAYER | {
    "altup_correct_coef": "altup.correction_coefs",
    "altup_correct_scale": "altup.correct_output_scale",
    "altup_predict_coef": "altup.prediction_coefs",
    "altup_router": "altup.modality_router",
    "altup_router_norm": "altup.router_norm",
    "laurel_l": "laurel.linear_left",
    "laurel_r": "laurel.linear_right",
    "laurel_post_norm": "laurel.post_laurel_norm",
}
GEMMA4 = PER_LAYER | {
    "layer_output_scale": "layer_scalar",
    "ffn_gate_inp": "router.proj",
    "ffn_gate_inp.scale": "router.scale",
    "ffn_gate_up_exps": "experts.gate_up_proj",
    "ffn_down_exps": "experts.down_proj",
    "ffn_down_exps.scale": "router.per_expert_scale",
    "pre_ffw_norm_2": "pre_feedforward_layernorm_2",
    "post_ffw_norm_1": "post_feedforward_layernorm_1",
    "post_ffw_norm_2": "post_feedforward_layernorm_2",
}
LAYER_NAMES = {
    # Gemma 1's "post attention" norm stands before the MLP; later ones call that one "pre feedforward".
    "gemma": COMMON | {"ffn_norm": "post_attention_layernorm"},
    "gemma2": FOUR_NORMS,
    "gemma3": HEAD_NORMS,
    "gemma-embedding": HEAD_NORMS,
    "gemma3n": GEMMA3N,
    "gemma4": GEMMA4,
}
OUTER_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "per_layer_token_embd": "model.embed_tokens_per_layer",
    "per_layer_model_proj": "model.per_layer_model_projection",
    "per_layer_proj_norm": "model.per_layer_projection_norm",
}
STACKED = {"altup_proj.weight": "model.altup_projections", "altup_unembd_proj.weight": "model.altup_unembed_projections"}
BARE = (  # names without ".weight"
    "altup.correct_output_scale",
    "experts.down_proj",
    "experts.gate_up_proj",
    "layer_scalar",
    "router.per_expert_scale",
    "router.scale",
)
DENSE = {"dense_2.weight": "2_Dense", "dense_3.weight": "3_Dense"}
ONE_ADDED = ("gemma", "gemma2", "gemma3", "gemma-embedding")
CONFIG_TENSORS = ("rope_freqs.weight",)  # which say what the config says


def fail(message):
    sys.exit(f"gguf_to_safetensors: error: {message}")


def say(message):
    print(f"gguf_to_safetensors: {message}", file=sys.stderr)


# ---- names and config


def hf_name(family, name):
    if not name.endswith((".weight", ".scale")):
        return None
    stem = name.removesuffix(".weight")
    if stem in OUTER_NAMES:
        return OUTER_NAMES[stem] + ".weight"
    layer = re.fullmatch(r"blk\.(\d+)\.([\w.]+)", stem)
    target = LAYER_NAMES[family].get(layer[2]) if layer else None
    return target and f"model.layers.{layer[1]}.{target}{'' if target in BARE else '.weight'}"


def sources(family, tensors):
    """Each tensor to write: its name and shape, the tensor that it is taken from, and which part of it."""
    for name, tensor in tensors.items():
        shape = [int(n) for n in reversed(tensor.shape)]
        if name in STACKED:
            for n in range(shape[0]):
                yield f"{STACKED[name]}.{n}.weight", (shape[1:], tensor, n)
        elif name not in CONFIG_TENSORS and name not in DENSE:
            target = hf_name(family, name)
            if target is None:
                fail(f"no place for {name}")
            yield target.removeprefix("model.") if family == "gemma-embedding" else target, (shape, tensor, None)


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


def layer_types(meta, default):
    """`default`: every how manieth layer is full where the metadata do not say."""
    layers = meta.need("block_count")
    pattern = meta.get("attention.sliding_window_pattern", default)
    if isinstance(pattern, int):
        pattern = [(n + 1) % pattern != 0 for n in range(layers)]
    if len(pattern) != layers:
        fail(f"attention.sliding_window_pattern has {len(pattern)} entries for {layers} layers")
    return ["sliding_attention" if sliding else "full_attention" for sliding in pattern]


def query_scalar(config, layers_of_27b):
    """Not stored in GGUF: only the 27B, told by its number of layers, differs from the head's width."""
    if config["num_hidden_layers"] == layers_of_27b:
        return config["hidden_size"] // config["num_attention_heads"]
    return config["head_dim"]


def gemma_config(meta, config, tensors):
    return {"architectures": ["GemmaForCausalLM"], "model_type": "gemma", "hidden_act": "gelu_pytorch_tanh", "rope_scaling": None}


def gemma2_config(meta, config, tensors):
    return {
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "attn_logit_softcapping": meta.get("attn_logit_softcapping", 50.0),
        "final_logit_softcapping": meta.get("final_logit_softcapping", 30.0),
        "layer_types": layer_types(meta, 2),
        "query_pre_attn_scalar": query_scalar(config, 46),
        "sliding_window": meta.get("attention.sliding_window", 4096),
    }


def gemma3_config(meta, config, tensors):
    scaling = None
    if meta.get("rope.scaling.type") == "linear":
        scaling = {"rope_type": "linear", "factor": shortest(meta.need("rope.scaling.factor"))}
    window = meta.get("attention.sliding_window")
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "attn_logit_softcapping": None,
        "final_logit_softcapping": meta.get("final_logit_softcapping"),
        "layer_types": layer_types(meta, 6) if window else ["full_attention"] * config["num_hidden_layers"],
        "query_pre_attn_scalar": query_scalar(config, 62),
        "rope_local_base_freq": shortest(meta.get("rope.freq_base_swa", 10000.0)),
        "rope_scaling": scaling,
        "sliding_window": window or 4096,
        "use_bidirectional_attention": False,
    }


def rotated_part(frequencies):
    """The fraction of a head that is rotated: the other pairs' frequencies are divided by something huge."""
    divisors = frequencies.data
    if not np.isin(divisors, np.float32([1, 1e30])).all():
        fail("rope_freqs.weight has divisors other than 1 and 1e30")
    return float(np.mean(divisors == 1))


def embedding_config(meta, config, tensors):
    return gemma3_config(meta, config, tensors) | {"architectures": ["Gemma3TextModel"], "use_bidirectional_attention": True}


def gemma3n_config(meta, config, tensors):
    layers = config["num_hidden_layers"]
    # The metadata hold quantiles in fp32, which say no more than six digits of the fraction.
    quantiles = meta.get("activation_sparsity_scale", [-np.inf] * layers)
    widths = config["intermediate_size"]
    return {
        "architectures": ["Gemma3nForCausalLM"],
        "model_type": "gemma3n_text",
        "activation_sparsity_pattern": [float(f"{statistics.NormalDist().cdf(z):.6g}") for z in quantiles],
        "altup_active_idx": meta.need("altup.active_idx"),
        "altup_correct_scale": True,
        "altup_num_inputs": meta.need("altup.num_inputs"),
        "final_logit_softcapping": meta.get("final_logit_softcapping", 30.0),
        "hidden_size_per_layer_input": meta.need("embedding_length_per_layer_input"),
        "intermediate_size": widths if isinstance(widths, list) else [widths] * layers,
        "laurel_rank": int(tensors["blk.0.laurel_l.weight"].shape[1]),
        "layer_types": layer_types(meta, 5),
        "num_kv_shared_layers": meta.need("attention.shared_kv_layers"),
        "rope_local_base_freq": shortest(meta.get("rope.freq_base_swa", 10000.0)),
        "sliding_window": meta.need("attention.sliding_window"),
        "vocab_size_per_layer_input": int(tensors["per_layer_token_embd.weight"].shape[1]),
    }


def gemma4_config(meta, config, tensors):
    kinds = layer_types(meta, 6)
    full = kinds.index("full_attention")
    kv_heads, widths = meta.need("attention.head_count_kv"), meta.need("feed_forward_length")
    kv_heads = kv_heads if isinstance(kv_heads, list) else [kv_heads] * len(kinds)
    per_layer, experts = meta.get("embedding_length_per_layer_input", 0), meta.get("expert_count", 0)
    full_sizes = {"head_dim": meta.need("attention.key_length"), "num_key_value_heads": kv_heads[full]}
    theta, swa_theta = config.pop("rope_theta"), shortest(meta.get("rope.freq_base_swa", 10000.0))
    return {
        "architectures": ["Gemma4ForCausalLM"],
        "model_type": "gemma4_text",
        "attention_k_eq_v": f"blk.{full}.attn_v.weight" not in tensors,
        "enable_moe_block": experts > 0,
        "final_logit_softcapping": meta.get("final_logit_softcapping"),
        "head_dim": meta.need("attention.key_length_swa"),
        "hidden_size_per_layer_input": per_layer,
        "intermediate_size": widths[0] if isinstance(widths, list) else widths,
        "layer_types": kinds,
        "moe_intermediate_size": meta.get("expert_feed_forward_length"),
        "num_experts": experts or None,
        "num_key_value_heads": kv_heads[kinds.index("sliding_attention")],
        "num_kv_shared_layers": meta.get("attention.shared_kv_layers", 0),
        "per_layer_config": {str(n): full_sizes for n, kind in enumerate(kinds) if kind == "full_attention"},
        "rope_parameters": {
            "full_attention": {
                "partial_rotary_factor": rotated_part(tensors["rope_freqs.weight"]),
                "rope_theta": theta,
                "rope_type": "proportional",
            },
            "sliding_attention": {"rope_theta": swa_theta, "rope_type": "default"},
        },
        "sliding_window": meta.need("attention.sliding_window"),
        "top_k_experts": meta.get("expert_used_count"),
        "use_double_wide_mlp": isinstance(widths, list) and len(set(widths)) > 1,
        "vocab_size_per_layer_input": config["vocab_size"],
    }


CONFIGS = {
    "gemma": gemma_config,
    "gemma2": gemma2_config,
    "gemma3": gemma3_config,
    "gemma-embedding": embedding_config,
    "gemma3n": gemma3n_config,
    "gemma4": gemma4_config,
}


def config_of(meta, tensors, dtype, tied):
    heads, width = meta.need("attention.head_count"), meta.need("embedding_length")
    config = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": meta.get("tokenizer.ggml.bos_token_id", 2, prefix=False),
        "eos_token_id": meta.get("tokenizer.ggml.eos_token_id", 1, prefix=False),
        "pad_token_id": meta.get("tokenizer.ggml.padding_token_id", 0, prefix=False),
        "head_dim": meta.get("attention.key_length", width // heads),
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": meta.need("feed_forward_length"),
        "max_position_embeddings": meta.need("context_length"),
        "num_attention_heads": heads,
        "num_hidden_layers": meta.need("block_count"),
        "num_key_value_heads": meta.get("attention.head_count_kv", heads),
        "rms_norm_eps": shortest(meta.need("attention.layer_norm_rms_epsilon")),
        "rope_theta": shortest(meta.get("rope.freq_base", 10000.0)),
        "tie_word_embeddings": tied,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": int(tensors["token_embd.weight"].shape[1]),
    }
    return config | CONFIGS[meta.family](meta, config, tensors)


def generation_config_of(meta, config):
    stops = [config["eos_token_id"]]
    tokens = meta.get("tokenizer.ggml.tokens", [], prefix=False)
    # A model with a chat template ends its turn with a token of its own.
    if meta.get("tokenizer.chat_template", prefix=False):
        stops += [tokens.index(end) for end in ("<end_of_turn>", "<turn|>") if end in tokens]
    return {
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": sorted(set(stops)) if len(set(stops)) > 1 else stops[0],
        "pad_token_id": config["pad_token_id"],
    }


# ---- values


def dequantised(tensor, part):
    """The tensor's rows in fp32, a slab at a time. GGUF's data are [..., bytes of a row] for blocks, typed for the plain types."""
    data = tensor.data if part is None else tensor.data[part]
    data = data.reshape(-1, data.shape[-1])
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


def write_sentence_files(folder, width, tensors, dtype, dtype_name):
    """What sentence-transformers wants beside the decoder: pooling, dense layers, normalisation."""
    wide = int(tensors["dense_2.weight"].shape[1]) if "dense_2.weight" in tensors else None
    for path, value in sentence_files(width, wide).items():
        (folder / path).parent.mkdir(exist_ok=True)
        write_json(folder / path, value)
    for name, path in DENSE.items() if wide else ():
        shape = [int(n) for n in reversed(tensors[name].shape)]
        sizes = {"linear.weight": int(np.prod(shape)) * np.dtype(dtype).itemsize}
        slabs = (slab.astype(dtype, copy=False) for slab in dequantised(tensors[name], None))
        write_shard(folder / path / "model.safetensors", sizes, {"linear.weight": shape}, sizes, dtype_name, lambda _: slabs)


def convert(args):
    try:
        reader = gguf.GGUFReader(args.gguf)
    except (OSError, ValueError) as error:
        fail(f"{args.gguf}: not a readable GGUF file: {error}")
    meta = Metadata(reader)
    if meta.family not in LAYER_NAMES:
        fail(f"{args.gguf}: general.architecture is {meta.family!r}, expected one of {', '.join(LAYER_NAMES)}")
    tensors = {t.name: t for t in reader.tensors}
    if "token_embd.weight" not in tensors:
        fail(f"{args.gguf}: token_embd.weight is missing")

    dtype, dtype_name, torch_name = DTYPES[args.dtype]
    source = dict(sources(meta.family, tensors))
    shapes = {name: shape for name, (shape, _, _) in source.items()}
    sizes = {name: int(np.prod(shape)) * np.dtype(dtype).itemsize for name, shape in shapes.items()}
    norms = {"tensors": 0, "values": 0, "inexact": 0}

    def values(name):
        for slab in dequantised(*source[name][1:]):
            if name.endswith("norm.weight") and meta.family in ONE_ADDED:
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
        if meta.family == "gemma-embedding":
            write_sentence_files(part, config["hidden_size"], tensors, dtype, dtype_name)
        else:
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

"""Tiny random GGUF files for the golden vectors: between them every block format that gemma-onnx reads.

Formats that the `gguf` package can quantise are quantised from random values. For the 256-element formats, which it only
decodes, the blocks themselves are random: what counts is that two decoders agree on them.
"""
import zlib
from pathlib import Path

import gguf
import numpy as np

GGUF = [
    {
        "name": "gemma3-kinds", "arch": "gemma3", "hidden": 256, "intermediate": 32, "heads": 2, "kv_heads": 1, "head_dim": 16,
        "layers": 2, "window": 6, "pattern": 2, "swa_base": 20000.0, "vocab": 267, "embedding": "Q6_K",
        "kinds": ({"attn_q": "Q4_K", "attn_k": "Q5_K", "attn_v": "Q6_K", "attn_output": "Q4_0", "ffn_gate": "Q5_0", "ffn_up": "Q4_1",
                   "ffn_down": "Q5_1"},
                  {"attn_q": "Q8_0", "attn_k": "F16", "attn_v": "BF16", "attn_output": "F32", "ffn_gate": "Q6_K", "ffn_up": "Q5_K",
                   "ffn_down": "Q4_0"}),
    },
    {
        # No pattern in the metadata (every sixth layer is full), linear scaling, a window: as converters write the 4B.
        "name": "gemma3-scaled", "arch": "gemma3", "hidden": 32, "intermediate": 64, "heads": 2, "kv_heads": 2, "head_dim": 16,
        "layers": 7, "window": 7, "scaling": 8.0, "vocab": 265, "embedding": "Q8_0",
        "kinds": ({"ffn_down": "Q5_0", "attn_v": "Q8_0", None: "Q4_0"},),
    },
    {
        "name": "gemma-split", "arch": "gemma", "hidden": 64, "intermediate": 96, "heads": 2, "kv_heads": 2, "head_dim": 16,
        "layers": 2, "vocab": 271, "embedding": "Q5_0", "split_tensors": 9,
        "kinds": ({"attn_output": "F16", "ffn_up": "Q4_1", None: "Q8_0"}, {"ffn_gate": "Q5_1", None: "Q4_0"}),
    },
]

TYPES = gguf.GGMLQuantizationType


# ---- random blocks


def half(values):
    return np.asarray(values, dtype="<f2").view(np.uint8).reshape(-1, 2)


def pack_scales(scale, minimum):
    """Eight 6-bit scales and minima in twelve bytes, as Q4_K and Q5_K hold them."""
    out = np.zeros((len(scale), 12), np.uint8)
    out[:, 0:4] = (scale[:, :4] & 63) | ((scale[:, 4:] >> 4) << 6)
    out[:, 4:8] = (minimum[:, :4] & 63) | ((minimum[:, 4:] >> 4) << 6)
    out[:, 8:12] = (scale[:, 4:] & 15) | ((minimum[:, 4:] & 15) << 4)
    return out


def blocks_with_minimum(random, count, std, high_bits):
    """Q4_K (high_bits 0) or Q5_K (32 bytes of fifth bits). The minimum lies near the middle of the range, so the mean is near 0."""
    levels = 16 if high_bits == 0 else 32
    scale = random.integers(20, 64, (count, 8)).astype(np.uint8)
    minimum = np.clip(scale.astype(int) + random.integers(-3, 4, scale.shape), 0, 63).astype(np.uint8)
    unit = std / (42 * levels / 12 ** 0.5) * random.uniform(0.8, 1.2, count)
    return np.concatenate([half(unit), half(unit * (levels - 1) / 2), pack_scales(scale, minimum),
                           random.integers(0, 256, (count, high_bits + 128)).astype(np.uint8)], axis=1)


def blocks_q6_k(random, count, std):
    quants = random.integers(0, 256, (count, 192)).astype(np.uint8)
    scale = random.integers(-100, 101, (count, 16)).astype(np.int8).view(np.uint8)
    return np.concatenate([quants, scale, half(std / (18.5 * 58) * random.uniform(0.8, 1.2, count))], axis=1)


RANDOM_BLOCKS = {
    "Q4_K": lambda random, count, std: blocks_with_minimum(random, count, std, 0),
    "Q5_K": lambda random, count, std: blocks_with_minimum(random, count, std, 32),
    "Q6_K": blocks_q6_k,
}


def random_matrix(random, kind, rows, columns, std):
    if kind in RANDOM_BLOCKS:
        return RANDOM_BLOCKS[kind](random, rows * columns // 256, std).reshape(rows, -1)
    return gguf.quants.quantize((random.standard_normal((rows, columns)) * std).astype(np.float32), TYPES[kind])


def random_norm(random, size, mean=0):
    """1 + w, as GGUF stores it, with a w of few bits (originally bf16), so that the sum is exact."""
    return (1 + mean + np.round(random.standard_normal(size) * 0.3 * 1024) / 1024).astype(np.float32)


# ---- content


def tensors(recipe):
    """(name, kind, bytes or floats) in the order of the file."""
    random = np.random.default_rng(zlib.crc32(recipe["name"].encode()))
    hidden, wide = recipe["hidden"], recipe["intermediate"]
    queries, keys = recipe["heads"] * recipe["head_dim"], recipe["kv_heads"] * recipe["head_dim"]
    shapes = {"attn_q": (queries, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden), "attn_output": (hidden, queries),
              "ffn_gate": (wide, hidden), "ffn_up": (wide, hidden), "ffn_down": (hidden, wide)}
    norms = {"attn_norm": hidden, "ffn_norm": hidden}
    if recipe["arch"] == "gemma3":
        norms |= {"post_attention_norm": hidden, "post_ffw_norm": hidden, "attn_q_norm": recipe["head_dim"],
                  "attn_k_norm": recipe["head_dim"]}
    yield "token_embd.weight", recipe["embedding"], random_matrix(random, recipe["embedding"], recipe["vocab"], hidden, 1.1 / hidden ** 0.5)
    for n in range(recipe["layers"]):
        kinds = recipe["kinds"][n % len(recipe["kinds"])]
        for name, size in norms.items():
            yield f"blk.{n}.{name}.weight", "F32", random_norm(random, size, 4 if name == "post_ffw_norm" else 0)
        for name, (rows, columns) in shapes.items():
            kind = kinds.get(name) or kinds[None]
            yield f"blk.{n}.{name}.weight", kind, random_matrix(random, kind, rows, columns, 1.5 / columns ** 0.5)
    yield "output_norm.weight", "F32", random_norm(random, hidden)


CHAT_TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] + "
                 "'<end_of_turn>\n' }}{% endfor %}")


def vocabulary(size):
    """A SentencePiece-like vocabulary: specials, 256 bytes, then pieces each made of two that stand before it."""
    kind = gguf.TokenType
    rows = [("<pad>", kind.CONTROL), ("<eos>", kind.CONTROL), ("<bos>", kind.CONTROL), ("<unk>", kind.UNKNOWN),
            ("<start_of_turn>", kind.CONTROL), ("<end_of_turn>", kind.CONTROL), ("\n\n", kind.USER_DEFINED)]
    rows += [(f"<0x{byte:02X}>", kind.BYTE) for byte in range(256)]
    pieces = ["\u2581", "t", "h", "e", "a", "n", "d", "th", "the", "\u2581the", "an", "\u2581an", "\u2581and", "\u00e9"]
    rows += [(piece, kind.NORMAL) for piece in pieces[:size - len(rows)]]
    tokens, kinds = zip(*rows, strict=True)
    scores = [-float(max(0, n - 263)) for n in range(size)]
    return list(tokens), scores, [int(k) for k in kinds]


def add_tokenizer(writer, size):
    tokens, scores, kinds = vocabulary(size)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def add_architecture(writer, recipe):
    writer.add_name(recipe["name"])
    writer.add_context_length(32768 if recipe["arch"] == "gemma3" else 8192)
    writer.add_embedding_length(recipe["hidden"])
    writer.add_block_count(recipe["layers"])
    writer.add_feed_forward_length(recipe["intermediate"])
    writer.add_head_count(recipe["heads"])
    writer.add_head_count_kv(recipe["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_key_length(recipe["head_dim"])
    writer.add_value_length(recipe["head_dim"])
    if recipe["arch"] == "gemma3":
        writer.add_rope_freq_base(1000000.0)
        writer.add_sliding_window(recipe["window"])
    if "pattern" in recipe:
        writer.add_sliding_window_pattern(recipe["pattern"])
    if "swa_base" in recipe:
        writer.add_rope_freq_base_swa(recipe["swa_base"])
    if "scaling" in recipe:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(recipe["scaling"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def write(recipe, path, split_tensors=0):
    writer = gguf.GGUFWriter(path, recipe["arch"], split_max_tensors=split_tensors)
    add_architecture(writer, recipe)
    add_tokenizer(writer, recipe["vocab"])
    for name, kind, data in tensors(recipe):
        writer.add_tensor(name, data, raw_dtype=TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_all(out):
    """Writes the files into `out`; returns the names to open (of a split model: its first part)."""
    names = []
    for recipe in GGUF:
        write(recipe, out / f"{recipe['name']}.gguf", recipe.get("split_tensors", 0))
        made = sorted(p.name for p in Path(out).glob(f"{recipe['name']}*.gguf"))
        names.append(made[0])
    return names


def write_whole(name, path):
    """The model of the file `name` in one part, for judges that read no split files."""
    recipe = next(r for r in GGUF if name.startswith(r["name"]))
    write(recipe, path)

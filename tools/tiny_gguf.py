"""Tiny random GGUF files for the golden vectors: between them every block format that gemma-onnx reads.

Formats that the `gguf` package can quantise are quantised from random values. For the 256-element formats, which it only
decodes, the blocks themselves are random: what counts is that two decoders agree on them.
"""
import math
import statistics
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
    {
        # As converters write Gemma 2: no pattern and no theta, so that even layers slide and theta is 10000.
        "name": "gemma2-capped", "arch": "gemma2", "hidden": 32, "intermediate": 64, "heads": 4, "kv_heads": 2, "head_dim": 16,
        "layers": 3, "window": 7, "attention_cap": 3.0, "final_cap": 4.0, "vocab": 265, "embedding": "Q8_0",
        "kinds": ({"attn_q": "Q5_1", "attn_output": "BF16", "ffn_down": "Q5_0", None: "Q8_0"},
                  {"attn_v": "F16", "ffn_up": "Q4_1", None: "Q4_0"}),
    },
    {
        # As converters write Gemma 3n: the streams' projections stacked, normal quantiles for sparsities, zeros in the rows of the
        # per-layer table that the checkpoint's lacks; the last two layers take another's keys and values, but hold their own.
        "name": "gemma3n-stacked", "arch": "gemma3n", "hidden": 32, "intermediate": [64] * 5, "heads": 2, "kv_heads": 1,
        "head_dim": 16, "layers": 5, "window": 6, "pattern": [True, False, True, True, False], "swa_base": 10000.0, "shared": 2,
        "per_layer": 32, "per_layer_vocab": 267, "streams": 4, "rank": 32, "sparsity": [0.8, 0.6, 0.0, 0.0, 0.0],
        "final_cap": 5.0, "vocab": 271, "embedding": "Q8_0",
        "kinds": ({"attn_q": "Q5_1", "laurel_l": "F32", "laurel_r": "F16", "altup_router": "BF16", "ffn_down": "Q5_0",
                   None: "Q8_0"},
                  {"attn_v": "F16", "ffn_up": "Q4_1", None: "Q4_0"}),
    },
    {
        # As converters write E2B: inputs for each layer; the last two layers take another's keys and values, but hold their own,
        # and have a wider MLP.
        "name": "gemma4-per-layer", "arch": "gemma4", "hidden": 32, "intermediate": [64, 64, 64, 128, 128], "heads": 2,
        "kv_heads": 1, "head_dim": 16, "full_head_dim": 32, "layers": 5, "window": 6,
        "pattern": [True, True, False, True, False], "shared": 2, "per_layer": 32, "rotated": 0.25,
        "final_cap": 4.0, "vocab": 273, "embedding": "Q8_0",
        "kinds": ({"attn_q": "Q5_1", "inp_gate": "F32", "proj": "F16", "ffn_down": "Q5_0", None: "Q8_0"},
                  {"attn_v": "BF16", "ffn_up": "Q4_1", None: "Q4_0"}),
    },
    {
        # As converters write 26B-A4B: experts; full layers have fewer key/value heads and no value projection.
        "name": "gemma4-experts", "arch": "gemma4", "hidden": 32, "intermediate": 64, "heads": 2, "kv_heads": [2, 1, 1],
        "head_dim": 16, "full_head_dim": 32, "layers": 3, "window": 7, "pattern": [True, False, False],
        "shared": 0, "per_layer": 0, "rotated": 0.5, "experts": 6, "experts_used": 2, "expert_width": 32,
        "final_cap": 5.0, "vocab": 271, "embedding": "Q5_0",
        "kinds": ({"ffn_gate_up_exps": "Q5_1", "ffn_down_exps": "Q4_0", None: "Q8_0"}, {"attn_k": "F16", None: "Q4_1"}),
    },
    {
        # As converters write EmbeddingGemma with its dense layers: no pattern (every sixth layer is full), a window for both sides.
        "name": "embeddinggemma-dense", "arch": "gemma-embedding", "hidden": 32, "intermediate": 64, "heads": 2, "kv_heads": 1,
        "head_dim": 16, "layers": 7, "window": 7, "swa_base": 10000.0, "dense": 96, "vocab": 265, "embedding": "Q8_0",
        "kinds": ({"attn_q": "Q5_1", "attn_output": "BF16", "ffn_down": "Q5_0", None: "Q8_0"}, {"attn_v": "F16", None: "Q4_0"}),
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


def random_matrix(random, kind, shape, std):
    if kind in RANDOM_BLOCKS:
        return RANDOM_BLOCKS[kind](random, int(np.prod(shape)) // 256, std).reshape(*shape[:-1], -1)
    return gguf.quants.quantize((random.standard_normal(shape) * std).astype(np.float32), TYPES[kind])


def random_norm(random, size, mean=0):
    """A factor. GGUF stores 1 + w of the older families, so w has few bits (originally bf16): the sum is exact."""
    return (1 + mean + np.round(random.standard_normal(size) * 0.3 * 1024) / 1024).astype(np.float32)


# ---- content


CONTEXT = {"gemma3": 32768, "gemma3n": 32768, "gemma4": 131072, "gemma-embedding": 2048}  # from Gemma 3 on


def sliding(recipe, n):
    pattern = recipe["pattern"]
    return pattern[n] if isinstance(pattern, list) else (n + 1) % pattern != 0


def of_layer(value, n):
    return value[n] if isinstance(value, list) else value


def head_dim_of(recipe, n):
    return recipe["head_dim"] if "full_head_dim" not in recipe or sliding(recipe, n) else recipe["full_head_dim"]


def layer_factors(recipe, n):
    """Sizes of the norms and other vectors of layer n by name."""
    hidden, head_dim = recipe["hidden"], head_dim_of(recipe, n)
    sizes = {"attn_norm.weight": hidden, "ffn_norm.weight": hidden}
    if recipe["arch"] != "gemma":
        sizes |= {"post_attention_norm.weight": hidden, "post_ffw_norm.weight": hidden}
    if recipe["arch"] in CONTEXT:
        sizes |= {"attn_q_norm.weight": head_dim, "attn_k_norm.weight": head_dim}
    if recipe["arch"] == "gemma3n":
        sizes |= dict.fromkeys(("altup_correct_scale.weight", "altup_router_norm.weight", "laurel_post_norm.weight"), hidden)
    if recipe["arch"] == "gemma4":
        sizes |= {"layer_output_scale.weight": 1}
    if recipe.get("per_layer"):
        sizes |= {"post_norm.weight": hidden}
    if "experts" in recipe:
        sizes |= {"ffn_gate_inp.scale": hidden, "ffn_down_exps.scale": recipe["experts"]}
        sizes |= dict.fromkeys(("pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight"), hidden)
    return sizes


def layer_matrices(recipe, n):
    """Shapes of the matrices of layer n by name."""
    hidden, wide, head_dim = recipe["hidden"], of_layer(recipe["intermediate"], n), head_dim_of(recipe, n)
    queries, keys = recipe["heads"] * head_dim, of_layer(recipe["kv_heads"], n) * head_dim
    shapes = {"attn_q": (queries, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden), "attn_output": (hidden, queries),
              "ffn_gate": (wide, hidden), "ffn_up": (wide, hidden), "ffn_down": (hidden, wide)}
    if "experts" in recipe:
        experts, expert_wide = recipe["experts"], recipe["expert_width"]
        shapes |= {"ffn_gate_inp": (experts, hidden), "ffn_gate_up_exps": (experts, 2 * expert_wide, hidden),
                   "ffn_down_exps": (experts, hidden, expert_wide)}
        if not sliding(recipe, n):
            del shapes["attn_v"]
    if recipe.get("per_layer"):
        shapes |= {"inp_gate": (recipe["per_layer"], hidden), "proj": (hidden, recipe["per_layer"])}
    if "streams" in recipe:
        streams, rank = recipe["streams"], recipe["rank"]
        shapes |= {"altup_correct_coef": (streams, streams), "altup_predict_coef": (streams ** 2, streams),
                   "altup_router": (streams, hidden), "laurel_l": (rank, hidden), "laurel_r": (hidden, rank)}
    return shapes


ALWAYS_F32 = ("ffn_gate_inp", "altup_correct_coef", "altup_predict_coef")
MEANS = {"post_ffw_norm": 4}
PLAIN_MEANS = {"post_ffw_norm": 2, "attn_q_norm": -0.5}  # of the families that scale scores by nothing else
STDS = {  # experts are to be chosen clearly, streams to mix, but not to grow
    "ffn_gate_inp": 3.0, "altup_router": 3.0, "altup_correct_coef": 0.15, "altup_predict_coef": 0.15,
}


def per_layer_table(random, recipe):
    """Its rows beyond the checkpoint's are zeros."""
    shape = (recipe["vocab"], recipe["layers"] * recipe["per_layer"])
    values = (random.standard_normal(shape) / recipe["per_layer"] ** 0.5).astype(np.float32)
    values[recipe.get("per_layer_vocab", recipe["vocab"]):] = 0
    return gguf.quants.quantize(values, TYPES[recipe["embedding"]])


def outer_tensors(random, recipe):
    """What EmbeddingGemma, Gemma 3n and 4 have beside the layers."""
    hidden = recipe["hidden"]
    if "dense" in recipe:
        wide = recipe["dense"]
        yield "dense_2.weight", "Q8_0", random_matrix(random, "Q8_0", (wide, hidden), 1.5 / hidden ** 0.5)
        yield "dense_3.weight", "F16", random_matrix(random, "F16", (hidden, wide), 1.5 / wide ** 0.5)
    if "rotated" in recipe:
        pairs = recipe["full_head_dim"] // 2
        rotated = int(recipe["rotated"] * pairs)
        yield "rope_freqs.weight", "F32", np.array([1.0] * rotated + [1e30] * (pairs - rotated), np.float32)
    if "streams" in recipe:
        shape = (recipe["streams"] - 1, hidden, hidden)
        yield "altup_proj.weight", "Q4_0", random_matrix(random, "Q4_0", shape, 1.5 / hidden ** 0.5)
        yield "altup_unembd_proj.weight", "F16", random_matrix(random, "F16", shape, 1.5 / hidden ** 0.5)
    if recipe.get("per_layer"):
        yield "per_layer_token_embd.weight", recipe["embedding"], per_layer_table(random, recipe)
        shape = (recipe["layers"] * recipe["per_layer"], hidden)
        yield "per_layer_model_proj.weight", "BF16", random_matrix(random, "BF16", shape, 1.0)
        yield "per_layer_proj_norm.weight", "F32", random_norm(random, recipe["per_layer"])


def tensors(recipe):
    """(name, kind, bytes or floats) in the order of the file."""
    random = np.random.default_rng(zlib.crc32(recipe["name"].encode()))
    hidden, embedding = recipe["hidden"], recipe["embedding"]
    means = PLAIN_MEANS if recipe["arch"] in ("gemma3n", "gemma4") else MEANS
    yield "token_embd.weight", embedding, random_matrix(random, embedding, (recipe["vocab"], hidden), 1.1 / hidden ** 0.5)
    yield from outer_tensors(random, recipe)
    for n in range(recipe["layers"]):
        kinds = recipe["kinds"][n % len(recipe["kinds"])]
        for name, size in layer_factors(recipe, n).items():
            yield f"blk.{n}.{name}", "F32", random_norm(random, size, means.get(name.split(".")[0], 0))
        for name, shape in layer_matrices(recipe, n).items():
            kind = "F32" if name in ALWAYS_F32 else kinds.get(name) or kinds[None]
            std = STDS.get(name, 1.5 / shape[-1] ** 0.5)
            yield f"blk.{n}.{name}.weight", kind, random_matrix(random, kind, shape, std)
    yield "output_norm.weight", "F32", random_norm(random, hidden)


CHAT_TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ 'TURN' + message['role'] + '\n' + message['content'] + "
                 "'END\n' }}{% endfor %}")
BYTES_END = 263  # where the vocabularies' pieces begin


def turn_of(arch):
    return ("<|turn>", "<turn|>") if arch == "gemma4" else ("<start_of_turn>", "<end_of_turn>")


def vocabulary(size, turn):
    """A SentencePiece-like vocabulary: specials, 256 bytes, then pieces each made of two that stand before it."""
    kind = gguf.TokenType
    rows = [("<pad>", kind.CONTROL), ("<eos>", kind.CONTROL), ("<bos>", kind.CONTROL), ("<unk>", kind.UNKNOWN),
            (turn[0], kind.CONTROL), (turn[1], kind.CONTROL), ("\n\n", kind.USER_DEFINED)]
    rows += [(f"<0x{byte:02X}>", kind.BYTE) for byte in range(256)]
    pieces = ["\u2581", "t", "h", "e", "a", "n", "d", "th", "the", "\u2581the", "an", "\u2581an", "\u2581and", "\u00e9"]
    rows += [(piece, kind.NORMAL) for piece in pieces[:size - len(rows)]]
    tokens, kinds = zip(*rows, strict=True)
    return list(tokens), [int(k) for k in kinds]


def merges_of(pieces):
    """How each piece is made of two that stand before it."""
    for n, piece in enumerate(pieces):
        yield from (f"{piece[:at]} {piece[at:]}" for at in range(1, len(piece)) if {piece[:at], piece[at:]} <= set(pieces[:n]))


def add_tokenizer(writer, recipe):
    turn = turn_of(recipe["arch"])
    tokens, kinds = vocabulary(recipe["vocab"], turn)
    if recipe["arch"] == "gemma4":  # taken from tokenizer.json, which has merges instead of scores
        writer.add_tokenizer_model("gemma4")
        scores = [-1000.0] * len(tokens)
        writer.add_token_merges(list(merges_of(tokens[BYTES_END:])))
    else:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        scores = [-float(max(0, n - BYTES_END)) for n in range(len(tokens))]
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    if recipe["arch"] == "gemma-embedding":
        return writer.add_add_eos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE.replace("TURN", turn[0]).replace("END", turn[1]))


def add_sharing(writer, recipe):
    writer.add_shared_kv_layers(recipe["shared"])
    writer.add_embedding_length_per_layer_input(recipe["per_layer"])


def add_gemma3n(writer, recipe):
    writer.add_altup_active_idx(0)
    writer.add_altup_num_inputs(recipe["streams"])
    quantile = statistics.NormalDist().inv_cdf
    add_sharing(writer, recipe)
    writer.add_activation_sparsity_scale([quantile(part) if part else -math.inf for part in recipe["sparsity"]])


def add_gemma4(writer, recipe):
    writer.add_key_length_swa(recipe["head_dim"])
    writer.add_value_length_swa(recipe["head_dim"])
    writer.add_rope_dimension_count(recipe["full_head_dim"])
    writer.add_rope_dimension_count_swa(recipe["head_dim"])
    writer.add_rope_freq_base_swa(10000.0)
    add_sharing(writer, recipe)
    if "experts" in recipe:
        writer.add_expert_count(recipe["experts"])
        writer.add_expert_used_count(recipe["experts_used"])
        writer.add_expert_feed_forward_length(recipe["expert_width"])


def add_architecture(writer, recipe):
    writer.add_name(recipe["name"])
    writer.add_context_length(CONTEXT.get(recipe["arch"], 8192))
    writer.add_embedding_length(recipe["hidden"])
    writer.add_block_count(recipe["layers"])
    writer.add_feed_forward_length(recipe["intermediate"])
    writer.add_head_count(recipe["heads"])
    writer.add_head_count_kv(recipe["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_key_length(recipe.get("full_head_dim", recipe["head_dim"]))
    writer.add_value_length(recipe.get("full_head_dim", recipe["head_dim"]))
    if recipe["arch"] in CONTEXT:
        writer.add_rope_freq_base(1000000.0)
    if recipe["arch"] == "gemma3n":
        add_gemma3n(writer, recipe)
    if recipe["arch"] == "gemma4":
        add_gemma4(writer, recipe)
    if "window" in recipe:
        writer.add_sliding_window(recipe["window"])
    if "pattern" in recipe:
        writer.add_sliding_window_pattern(recipe["pattern"])
    if "swa_base" in recipe:
        writer.add_rope_freq_base_swa(recipe["swa_base"])
    if "dense" in recipe:
        writer.add_pooling_type(gguf.PoolingType.MEAN)
        writer.add_dense_features_dims("dense_2", recipe["hidden"], recipe["dense"])
        writer.add_dense_features_dims("dense_3", recipe["dense"], recipe["hidden"])
    if "attention_cap" in recipe:
        writer.add_attn_logit_softcapping(recipe["attention_cap"])
    if "final_cap" in recipe:
        writer.add_final_logit_softcapping(recipe["final_cap"])
    if "scaling" in recipe:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(recipe["scaling"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def write(recipe, path, split_tensors=0):
    writer = gguf.GGUFWriter(path, recipe["arch"], split_max_tensors=split_tensors)
    add_architecture(writer, recipe)
    add_tokenizer(writer, recipe)
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

#!/usr/bin/env python3
"""Writes tests/golden/runtime/: tiny decoders and broken relatives for the tests of src/runtime, and expected.json with
the logits that a plain numpy loop gives. Same bytes on every run. Needs numpy and onnx; run from anywhere.

The decoder: embedding, one attention layer (2 heads, 1 key/value head of 16, a window of 5 keys), head. Left padding is
hidden by an attention bias, as in the graphs that gemma-onnx writes. Each position also adds a step to the embedding: rotation
alone is relative and would not show position_ids that are all off by one."""
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "runtime"
HIDDEN, HEADS, WIDTH, VOCABULARY, WINDOW, POSITIONS, SCALE = 24, 2, 16, 20, 5, 32, 0.3
ROWS = [[2, 7, 11, 3, 19, 5, 5, 8, 1, 14, 6, 13], [4, 9, 17, 2, 10, 0, 12]]

F32, F16, I64, I32 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.INT32


def weights():
    rng = np.random.default_rng(20)
    angles = np.arange(POSITIONS)[:, None] * 100.0 ** (-np.arange(WIDTH // 2) / (WIDTH // 2))
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float16).astype(np.float32)  # exact in both types
    return {
        "embedding": draw(VOCABULARY, HIDDEN),
        "step": draw(HIDDEN) / 8,
        "wq": draw(HIDDEN, HEADS * WIDTH) / 4,
        "wk": draw(HIDDEN, WIDTH) / 4,
        "wv": draw(HIDDEN, WIDTH) / 4,
        "wo": draw(HEADS * WIDTH, HIDDEN) / 4,
        "head": draw(HIDDEN, VOCABULARY) / 4,
        "cos_table": np.cos(angles).astype(np.float32),
        "sin_table": np.sin(angles).astype(np.float32),
    }


def rotate(x, position, w):
    cos, sin = w["cos_table"][position].astype(np.float64), w["sin_table"][position].astype(np.float64)
    a, b = x[: WIDTH // 2], x[WIDTH // 2 :]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos])


def expected_logits(ids, w):
    """[len(ids), VOCABULARY] in double, one position after the other."""
    w = {name: value.astype(np.float64) for name, value in w.items()}
    keys, values, rows = [], [], []
    for position, token in enumerate(ids):
        x = w["embedding"][token] + position * w["step"]
        keys.append(rotate(x @ w["wk"], position, w))
        values.append(x @ w["wv"])
        attended = []
        for head in range(HEADS):
            query = rotate((x @ w["wq"])[head * WIDTH : (head + 1) * WIDTH], position, w)
            seen = range(max(0, position - WINDOW + 1), position + 1)
            scores = np.array([query @ keys[j] * SCALE for j in seen])
            parts = np.exp(scores - scores.max())
            attended.append(sum(p * values[j] for p, j in zip(parts / parts.sum(), seen)))
        rows.append((x + np.concatenate(attended) @ w["wo"]) @ w["head"])
    return np.array(rows)


class Graph:
    def __init__(self):
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []

    def op(self, kind, inputs, output=None, domain="", **attributes):
        outputs = output if isinstance(output, list) else [output or f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def model(self, metadata=None):
        graph = helper.make_graph(self.nodes, "tiny", self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="gemma-onnx tests")
        helper.set_model_props(model, metadata or {})
        return model


def value(name, kind, *dims):
    return helper.make_tensor_value_info(name, kind, dims)


def lengths(g):
    """seqlens_k (int32 [batch]: total - 1 in every row) and the total as an int32 scalar."""
    total = g.op("Cast", [g.op("Shape", ["attention_mask"], start=1, end=2)], to=I32)
    scalar = g.op("Reshape", [total, g.constant("no_dims", np.zeros(0, np.int64))])
    last = g.op("Sub", [total, g.constant("one", np.array([1], np.int32))])
    return g.op("Expand", [last, g.op("Shape", ["input_ids"], start=0, end=1)]), scalar


def bias(g, kind):
    mask = g.op("Cast", ["attention_mask"], to=F32)
    row = g.op("Mul", [g.op("Sub", [g.constant("one_f", np.float32(1)), mask]), g.constant("hide", np.float32(-30000))])
    wide = g.op("Unsqueeze", [g.op("Cast", [row], to=kind), g.constant("axes", np.array([1, 2]))])
    shape = g.op("Concat", [g.op("Shape", ["input_ids"], start=0, end=1), g.constant("one_head", np.array([1])),
                            g.op("Shape", ["input_ids"], start=1, end=2), g.op("Shape", ["attention_mask"], start=1, end=2)], axis=0)
    return g.op("Expand", [wide, shape])


def positions_from_mask(g):
    """What position_ids would be: the running sum of the mask - 1, at least 0, of the last `sequence` columns."""
    count = g.op("CumSum", ["attention_mask", g.constant("axis_1", np.array(1))])
    index = g.op("Max", [g.op("Sub", [count, g.constant("one_i", np.int64(1))]), g.constant("zero_i", np.int64(0))])
    first = g.op("Neg", [g.op("Shape", ["input_ids"], start=1, end=2)])
    return g.op("Slice", [index, first, g.constant("end", np.array([2**62])), g.constant("slice_axis", np.array([1]))])


def rotary(g, x, heads, positions, contrib, kind):
    if contrib:
        return g.op("RotaryEmbedding", [x, positions, "cos_table", "sin_table"], domain="com.microsoft", num_heads=heads)
    cos, sin = (g.op("Cast", [g.op("Gather", [table, positions])], to=kind) for table in ("cos_table", "sin_table"))
    return g.op("RotaryEmbedding", [x, cos, sin], num_heads=heads)


def decoder(w, kind=F32, contrib_rotary=False, position_ids=True, last_only=False, past_length="past_sequence_length",
            extra_input=False, metadata=None):
    g = Graph()
    dtype = np.float16 if kind == F16 else np.float32
    for name, data in w.items():
        g.constant(name, data if name.endswith("_table") else data.astype(dtype))
    g.inputs = [value("input_ids", I64, "batch_size", "sequence_length")]
    g.inputs.append(value("attention_mask", I64, "batch_size", "total_sequence_length"))
    if position_ids:
        g.inputs.append(value("position_ids", I64, "batch_size", "sequence_length"))
    g.inputs += [value(f"past_key_values.0.{which}", kind, "batch_size", 1, past_length, WIDTH) for which in ("key", "value")]
    if extra_input:
        g.inputs.append(value("pixel_values", F32, "batch_size", 3))
    positions = "position_ids" if position_ids else positions_from_mask(g)
    seqlens_k, total = lengths(g)
    column = g.op("Unsqueeze", [g.op("Cast", [positions], to=kind), g.constant("last_axis", np.array([2]))])
    x = g.op("Add", [g.op("Gather", ["embedding", "input_ids"]), g.op("Mul", [column, "step"])])
    q, k, v = (g.op("MatMul", [x, name]) for name in ("wq", "wk", "wv"))
    q, k = rotary(g, q, HEADS, positions, contrib_rotary, kind), rotary(g, k, 1, positions, contrib_rotary, kind)
    attended = g.op("GroupQueryAttention",
                    [q, k, v, "past_key_values.0.key", "past_key_values.0.value", seqlens_k, total, "", "", "", bias(g, kind)],
                    ["attended", "present.0.key", "present.0.value"], "com.microsoft", num_heads=HEADS, kv_num_heads=1, scale=SCALE,
                    local_window_size=WINDOW, do_rotary=0)
    x = g.op("Add", [x, g.op("MatMul", [attended, "wo"])])
    if last_only:
        bounds = [g.constant(name, np.array([number])) for name, number in (("from", -1), ("to", 2**62), ("row_axis", 1))]
        x = g.op("Slice", [x, *bounds])
    g.op("MatMul", [x, "head"], "logits")
    g.outputs = [value("logits", kind, "batch_size", 1 if last_only else "sequence_length", VOCABULARY)]
    g.outputs += [value(f"present.0.{which}", kind, "batch_size", 1, "total_sequence_length", WIDTH) for which in ("key", "value")]
    return g.model(metadata)


def plain(initializers, unused=False):
    """y = x W + b: no decoder. An unused initializer makes ONNX Runtime warn."""
    g = Graph()
    g.inputs, g.outputs = [value("x", F32, "n", 3)], [value("y", F32, "n", 2)]
    for name, data in initializers.items():
        g.constant(name, data)
    if unused:
        g.constant("unused", np.ones(3, np.float32))
    g.op("Add", [g.op("MatMul", ["x", "w"]), "b"], "y")
    return g.model({"colour": "blue"})


def save_external(model, path):
    data = b""
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        for key, text in (("location", path.name + "_data"), ("offset", str(len(data))), ("length", str(len(raw)))):
            tensor.external_data.add(key=key, value=text)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        data += raw.ljust(64, b"\0")
    path.write_bytes(model.SerializeToString(deterministic=True))
    path.with_name(path.name + "_data").write_bytes(data)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    w = weights()
    affine = {"w": np.array([[1, 2], [3, 4], [5, 6]], np.float32), "b": np.array([10, 20], np.float32)}
    models = {
        "decoder": decoder(w, metadata={"gemma_onnx.shared_cache": "1"}),
        "decoder_last": decoder(w, contrib_rotary=True, position_ids=False, last_only=True),
        "decoder_fp16": decoder(w, kind=F16),
        "decoder_static": decoder(w, past_length=8),
        "decoder_extra": decoder(w, extra_input=True),
        "affine": plain(affine),
        "affine_unused": plain(affine, unused=True),
    }
    for name, model in models.items():
        onnx.checker.check_model(model)
        (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    save_external(plain(affine), FOLDER / "affine_external.onnx")
    rows = [{"ids": ids, "logits": np.round(expected_logits(ids, w), 7).tolist()} for ids in ROWS]
    (FOLDER / "expected.json").write_text(json.dumps({"vocabulary": VOCABULARY, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()

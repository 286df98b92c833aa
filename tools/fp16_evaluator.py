#!/usr/bin/env python3
"""Computes an exported fp16 or q4f16 decoder node by node in true fp16, and says how near its values come to overflow.

  fp16_evaluator.py OUT/onnx/model_fp16.onnx --against FOLDER [--tokens 1024] [--json FILE]
  fp16_evaluator.py OUT/onnx/model_q4f16.onnx

ONNX Runtime's CPU sessions compute most fp16 nodes in fp32 and so hide an overflow that a GPU or an NPU would show. Here the
result of every node of type fp16 is rounded to fp16. Sums run in fp32 only where the operator says so or every device does so:
RMSNormalization with stash_type 1, the dot products of Gemm, MatMulNBits and attention (rounded when done), softmax.

FOLDER is the Hugging Face checkpoint: KL divergence and top-1 are then to Transformers' fp32 logits. Without it they are to the
same file computed in fp32 throughout, which leaves the arithmetic alone and not the weights: what a q4f16 file is judged by.

Exit status 1 when a bar is missed: no NaN or infinity, largest magnitude at most 65504 / 4, mean KL at most 1e-4, top-1 at
least 99.5 %. The text is tests/data/eval_ids.safetensors where its ids fit the vocabulary, else random ids.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 65504.0
BARS = {"magnitude": LARGEST / 4, "kl": 1e-4, "top1": 0.995}
HEAD = "/lm_head/"  # nodes of this scope treat every position alone
HIDDEN, HIDING = -30000.0, ("/bias/cast", "/masked")  # what attention's bias adds where a key is hidden, and values that it is in
ROWS = 128  # positions whose logits are held at a time


# ---- the model file


class Model:
    def __init__(self, path):
        self.folder = Path(path).parent
        graph = onnx.load(path, load_external_data=False).graph
        self.nodes = list(graph.node)
        self.inputs = {i.name: [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim] for i in graph.input}
        self.initializers = {i.name: self.tensor(i) for i in graph.initializer}

    def tensor(self, initializer):
        if initializer.data_location != onnx.TensorProto.EXTERNAL:
            return torch.from_numpy(onnx.numpy_helper.to_array(initializer).copy())
        entries = {e.key: e.value for e in initializer.external_data}
        dtype = onnx.helper.tensor_dtype_to_np_dtype(initializer.data_type)
        data = np.memmap(self.folder / entries["location"], dtype, "c", int(entries.get("offset", 0)), tuple(initializer.dims))
        return torch.from_numpy(data)


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def reads(node):
    """Names of the values that a node takes, of the nodes in its body as well."""
    bodies = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [*node.input, *(name for body in bodies for inner in body.node for name in reads(inner))]


# ---- operators. `f` rounds to the type of the computation; in the wide mode it is fp32 throughout.


def cast(run, node, x):
    kind = attributes(node)["to"]
    types = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.FLOAT16: run.half, onnx.TensorProto.INT64: torch.int64,
             onnx.TensorProto.INT32: torch.int32, onnx.TensorProto.UINT8: torch.uint8, onnx.TensorProto.BOOL: torch.bool}
    return x.to(types[kind])


def elementwise(function):
    """In fp32, then rounded: for one operation that is what fp16 hardware gives."""
    def compute(run, node, *operands):
        if not operands[0].is_floating_point():
            return function(*operands)
        return function(*(o.float() for o in operands)).to(operands[0].dtype)
    return compute


def gemm(run, node, x, weight, bias=None):
    a = attributes(node)
    assert a.get("transB") == 1 and not a.get("transA") and bias is None
    return (x.float() @ weight.float().T).to(x.dtype)


def matmul_nbits(run, node, x, packed, scales, zero_points=None, *rest):
    a = attributes(node)
    rows, columns, bits, size = a["N"], a["K"], a["bits"], a["block_size"]
    blocks = -(-columns // size)
    codes = codes_of(packed.reshape(rows, -1), bits).reshape(rows, blocks, size).float()
    zero = float(1 << (bits - 1)) if zero_points is None else codes_of(zero_points.reshape(rows, -1), bits)[:, :blocks].float()[:, :, None]
    weight = ((codes - zero) * scales.reshape(rows, blocks, 1).float()).to(x.dtype).reshape(rows, -1)[:, :columns]
    return (x.float() @ weight.float().T).to(x.dtype)


def codes_of(packed, bits):
    return packed if bits == 8 else torch.stack([packed & 15, packed >> 4], dim=-1).reshape(len(packed), -1)


def rms_normalization(run, node, x, scale):
    a = attributes(node)
    assert a.get("stash_type", 1) == 1 and a.get("axis", -1) == -1
    wide = x.float()
    normal = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + a.get("epsilon", 1e-5))
    return (normal.to(x.dtype).float() * scale.float()).to(x.dtype)


def rotary(run, node, x, cos, sin):
    """x: [batch, heads, length, width], or [batch, length, heads * width]."""
    by_head = x if x.ndim == 4 else x.unflatten(-1, (attributes(node)["num_heads"], -1)).transpose(1, 2)
    first, second = by_head.chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]

    def product(a, b):
        return (a.float() * b.float()).to(x.dtype).float()

    turned = torch.cat([product(first, cos) - product(second, sin), product(first, sin) + product(second, cos)], dim=-1).to(x.dtype)
    return turned if x.ndim == 4 else turned.transpose(1, 2).reshape(x.shape)


def attention(run, node, q, k, v, *rest):
    """One prompt without a past, without padding. Scores and probabilities are stored in the type of q."""
    a = attributes(node)
    heads, kv_heads, window = a["num_heads"], a["kv_num_heads"], a.get("local_window_size", -1)
    assert q.shape[0] == 1 and not a.get("do_rotary") and not a.get("softcap")
    length, dtype = q.shape[1], q.dtype
    q, k, v = (x.reshape(length, n, -1).transpose(0, 1).float() for x, n in ((q, heads), (k, kv_heads), (v, kv_heads)))
    cache = [x.unsqueeze(0).to(dtype) for x in (k, v)]
    k, v = (x.repeat_interleave(heads // kv_heads, dim=0) for x in (k, v))
    raw = q @ k.transpose(1, 2)
    run.see(f"{node.name}/unscaled scores", raw.to(dtype))
    scores = (raw * a["scale"]).to(dtype)
    run.see(f"{node.name}/scores", scores)
    distance = torch.arange(length)[:, None] - torch.arange(length)
    hidden = (distance < 0) | (distance >= window if window > 0 else False)
    weights = scores.float().masked_fill(hidden, float("-inf")).softmax(-1).to(dtype)
    out = (weights.float() @ v).to(dtype)
    return out.transpose(0, 1).reshape(1, length, -1), *cache


def split(run, node, x, sizes=None):
    axis = attributes(node).get("axis", 0)
    if sizes is None:
        return x.chunk(attributes(node)["num_outputs"], dim=axis)
    return x.split(sizes.tolist(), dim=axis)


def shape(run, node, x):
    a = attributes(node)
    return torch.tensor(x.shape[a.get("start", 0):a.get("end", x.ndim)])


def reshape(run, node, x, wanted):
    sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted.tolist())]
    return x.reshape(sizes)


def gather(run, node, x, index):
    axis = attributes(node).get("axis", 0) % x.ndim
    if axis == 0 and index.ndim:
        return x[index.long()]
    return torch.index_select(x, axis, index.reshape(-1).long() % x.shape[axis]).reshape(x.shape[:axis] + index.shape + x.shape[axis + 1:])


def slice_(run, node, x, starts, ends, axes, steps=None):
    for start, end, axis in zip(starts.tolist(), ends.tolist(), axes.tolist(), strict=True):
        x = x.narrow(axis, start, min(end, x.shape[axis]) - start)
    return x


def unsqueeze(run, node, x, axes):
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def gelu(run, node, x):
    return torch.nn.functional.gelu(x.float(), approximate=attributes(node).get("approximate", b"none").decode()).to(x.dtype)


def divide(a, b):
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "floor")


def softmax(run, node, x):
    return x.float().softmax(attributes(node).get("axis", -1)).to(x.dtype)


def reduce(function):
    """In fp32, then rounded."""
    def compute(run, node, x, axes):
        return function(x.float(), axes.tolist(), keepdim=bool(attributes(node).get("keepdims", 1))).to(x.dtype)
    return compute


def matmul(run, node, a, b):
    return (a.float() @ b.float()).to(a.dtype)


def pad(run, node, x, pads, value=None, axes=None):
    assert axes is None and value is None
    first, last = pads.reshape(2, -1).tolist()
    return torch.nn.functional.pad(x, [n for pair in zip(reversed(first), reversed(last), strict=True) for n in pair])


def largest(run, node, x, count):
    return tuple(x.topk(int(count), dim=attributes(node).get("axis", -1)))


def gather_nd(run, node, x, places):
    return x[tuple(places.unbind(-1))]


def scatter_nd(run, node, x, places, rows):
    assert attributes(node)["reduction"] == b"add" and places.shape[-1] == 1
    return x.index_add(0, places[:, 0], rows)


def loop(run, node, count, going, *state):
    """A body reads values of the graph around it; ours always want another round."""
    assert going is None
    body = attributes(node)["body"]
    values = run.scope | {i.name: run.adapt(run.model.tensor(i)) for i in body.initializer}
    names = [i.name for i in body.input]
    for number in range(int(count)):
        values |= dict(zip(names, (torch.tensor(number), torch.tensor(True), *state), strict=True))
        for inner in body.node:
            run.node(inner, values)
        state = [values[o.name] for o in body.output[1:]]
    return tuple(state)


OPERATORS = {
    "Cast": cast, "Add": elementwise(torch.add), "Sub": elementwise(torch.sub), "Mul": elementwise(torch.mul), "Div": elementwise(divide),
    "Max": elementwise(torch.maximum), "Floor": elementwise(torch.floor), "Sqrt": elementwise(torch.sqrt), "Tanh": elementwise(torch.tanh),
    "Relu": elementwise(torch.relu), "Gelu": gelu, "Softmax": softmax, "RMSNormalization": rms_normalization,
    "ReduceSum": reduce(torch.sum), "ReduceMean": reduce(torch.mean),
    "Gemm": gemm, "MatMul": matmul, "MatMulNBits": matmul_nbits, "RotaryEmbedding": rotary, "GroupQueryAttention": attention,
    "Split": split, "Shape": shape, "Reshape": reshape, "Slice": slice_, "Unsqueeze": unsqueeze, "Pad": pad,
    "Gather": gather, "GatherND": gather_nd, "ScatterND": scatter_nd, "TopK": largest, "Loop": loop,
    "Identity": lambda run, node, x: x,
    "Transpose": lambda run, node, x: x.permute(attributes(node)["perm"]),
    "Concat": lambda run, node, *x: torch.cat(x, dim=attributes(node)["axis"]),
    "Expand": lambda run, node, x, wanted: x.expand(torch.broadcast_shapes(x.shape, wanted.tolist())),
    "Where": lambda run, node, condition, a, b: torch.where(condition, a, b),
    "And": lambda run, node, a, b: a & b,
    "Equal": lambda run, node, a, b: a == b,
    "Less": lambda run, node, a, b: a < b,
    "LessOrEqual": lambda run, node, a, b: a <= b,
    "Greater": lambda run, node, a, b: a > b,
    "Range": lambda run, node, start, end, step: torch.arange(int(start), int(end), int(step)),
    "ConstantOfShape": lambda run, node, sizes: torch.zeros(sizes.tolist()),
    "Unique": lambda run, node, x: x.unique(),
    "NonZero": lambda run, node, x: x.nonzero().T,
}


# ---- one run


class Run:
    """`half` is the type that fp16 stands for: torch.float16, or torch.float32 for the wide mode."""

    def __init__(self, model, half):
        self.model, self.half = model, half
        self.largest = {}  # value → magnitude; infinity or NaN where it is not finite
        self.values = {n: self.adapt(v) for n, v in model.initializers.items()}
        self.last_use = {name: n for n, node in enumerate(model.nodes) for name in reads(node)}

    def adapt(self, x):
        return x.to(self.half) if x.dtype == torch.float16 and self.half != torch.float16 and x.numel() < 1 << 20 else x

    def see(self, name, x):
        if name.endswith(HIDING):  # a hidden key's score was seen before the bias
            x = x[~(x < HIDDEN / 2) | x.isinf()]
        if x.dtype == torch.float16 and x.numel():
            value = float(x.float().abs().max())
            before = self.largest.get(name, 0.0)
            self.largest[name] = value if value != value or value > before else before

    def node(self, node, values):
        operands = [values[i] if i else None for i in node.input]
        while operands and operands[-1] is None:
            operands.pop()
        self.scope = values
        results = OPERATORS[node.op_type](self, node, *operands)
        results = results if isinstance(results, tuple) else (results,)
        for name, result in zip(node.output, results, strict=False):
            if name:
                values[name] = result
                self.see(name, result)

    def body(self, ids):
        """Runs all but the head; returns the head's input, [positions, hidden]."""
        length = ids.shape[1]
        values = self.values | {"input_ids": ids, "attention_mask": torch.ones(1, length, dtype=torch.int64), "position_ids": torch.arange(length)[None]}
        sizes = {"batch_size": 1, "past_sequence_length": 0}
        values |= {name: torch.empty([sizes.get(d, d) for d in shape], dtype=self.half) for name, shape in self.model.inputs.items() if name.startswith("past_key_values.")}
        made = set(values)
        for n, node in enumerate(self.model.nodes):
            if node.name.startswith(HEAD):
                continue
            self.node(node, values)
            made.update(node.output)
            for name in reads(node):
                if name and self.last_use[name] == n and name not in self.values:
                    values.pop(name, None)
        inputs = [i for node in self.model.nodes if node.name.startswith(HEAD) for i in node.input if values.get(i) is not None and i not in self.values]
        stream = next(i for i in inputs if values[i].is_floating_point())
        self.rest = {i: values[i] for i in inputs if i != stream}
        self.stream = stream
        return values[stream]

    def logits(self, rows):
        """Of these rows of the head's input, fp32. The node that keeps the last position alone is passed over."""
        values = self.values | self.rest | {self.stream: rows}
        for node in self.model.nodes:
            if not node.name.startswith(HEAD) or node.name in (HEAD + "rows", HEAD + "last_position"):
                if node.name in (HEAD + "rows", HEAD + "last_position"):
                    values[node.output[0]] = rows
                continue
            if node.name == HEAD + "logits":
                return values[node.input[0]].float()
            self.node(node, values)
        raise ValueError(f"no node {HEAD}logits")


# ---- what it is compared with


def transformers_logits(folder, ids):
    """A function from a range of positions to fp32 logits."""
    import transformers
    transformers.utils.logging.set_verbosity_error()
    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, config.architectures[0]).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    hidden = model.model(ids, use_cache=False).last_hidden_state[0]
    cap = getattr(config.get_text_config(), "final_logit_softcapping", None)

    def rows(first, last):
        logits = model.lm_head(hidden[first:last])
        return torch.tanh(logits / cap) * cap if cap else logits
    return rows


def wide_logits(model, ids):
    run = Run(model, torch.float32)
    hidden = run.body(ids)
    return lambda first, last: run.logits(hidden[first:last])


def compare(run, hidden, reference):
    """KL(reference || file) and agreement of the likeliest id, position by position."""
    kl, agree = [], []
    for first in range(0, len(hidden), ROWS):
        found = run.logits(hidden[first:first + ROWS]).double().log_softmax(-1)
        wanted = reference(first, min(first + ROWS, len(hidden))).double().log_softmax(-1)
        kl.append((wanted.exp() * (wanted - found)).sum(-1))
        agree.append(found.argmax(-1) == wanted.argmax(-1))
    return torch.cat(kl), torch.cat(agree)


@torch.no_grad()
def evaluate(path, ids, against=None):
    """A dictionary of what was measured."""
    model = Model(path)
    run = Run(model, torch.float16)
    hidden = run.body(ids)
    kl, agree = compare(run, hidden, transformers_logits(against, ids) if against else wide_logits(model, ids))
    name, magnitude = max(run.largest.items(), key=lambda item: float("inf") if item[1] != item[1] else item[1])
    return {
        "file": Path(path).name, "tokens": ids.shape[1], "against": "Transformers fp32" if against else "the same file in fp32",
        "finite": all(np.isfinite(v) for v in run.largest.values()), "largest": magnitude, "largest_value": name, "margin": LARGEST / magnitude,
        "mean_kl": float(kl.mean()), "max_kl": float(kl.max()), "top1": float(agree.float().mean()), "values": run.largest}


def misses(result):
    """The bars that are not met."""
    return [text for ok, text in (
        (result["finite"], "a value is infinite or no number"), (result["largest"] <= BARS["magnitude"], f"the largest magnitude is above {BARS['magnitude']:.0f}"),
        (result["mean_kl"] <= BARS["kl"], f"the mean KL is above {BARS['kl']}"), (result["top1"] >= BARS["top1"], f"top-1 is below {BARS['top1']:.1%}")) if not ok]


def text_ids(path, count):
    """The committed text as one sequence, or random ids for a small vocabulary."""
    config = json.loads((Path(path).parent.parent / "config.json").read_text())
    vocabulary = config.get("text_config", config)["vocab_size"]
    kept = ROOT / "tests" / "data" / "eval_ids.safetensors"
    if vocabulary > 200000 and kept.is_file():
        from safetensors.torch import load_file
        windows = load_file(kept)["input_ids"]
        return torch.cat([windows[0], windows[1:, 1:].reshape(-1)])[None, :count]
    ids = torch.randint(3, vocabulary, (1, count), generator=torch.Generator().manual_seed(1))
    ids[:, 0] = 2
    return ids


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--against", type=Path, metavar="FOLDER")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything here, every value's magnitude included")
    options = parser.parse_args()
    torch.set_num_threads(2)
    result = evaluate(options.model, text_ids(options.model, options.tokens), options.against)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['file']}, {result['tokens']} tokens, against {result['against']}: mean KL {result['mean_kl']:.2e}, largest {result['max_kl']:.2e}, "
          f"top-1 {result['top1']:.2%}")
    print(f"largest magnitudes of {len(result['values'])} fp16 values (margin to {LARGEST:.0f}):")
    for name, value in sorted(result["values"].items(), key=lambda item: -item[1])[:10]:
        print(f"  {value:12.1f}  {LARGEST / value if value else float('inf'):8.1f} x  {name}")
    missed = misses(result)
    print("; ".join(missed) if missed else "every bar is met")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

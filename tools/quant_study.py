#!/usr/bin/env python3
"""What each way to store the weights costs: in bytes and KL divergence (quality), in time per product (cost).

    tools/quant_study.py quality CHECKPOINT [--windows 2] [--whole-vocabulary] [RECIPE ...]
    tools/quant_study.py cost [--threads 2]

`quality` quantises the weights of a Hugging Face folder, puts them back as fp32 into Transformers, and compares the logits
with the unquantised model's on tests/data/eval_ids.safetensors. So it measures the weights alone, without the 8-bit
activations of a runtime. The search is the program's (src/kernels/kernels_template.h), written again with torch.
`cost` times ONNX Runtime's MatMulNBits on the shapes of the 270M. Results and what follows from them: docs/quantisation.md.
"""
import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
SHRINKS = (1.05, 0.975, 0.9, 0.825, 0.75)
EMBEDDING = "model.embed_tokens"
ROLES = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
         "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
TOP_PER_POSITION, RANDOM_TOKENS = 48, 2048


# ---- schemes: (bits, block size, flags); flags: z zero points, s searched, w errors weighed by importance, r one scale a row


def attempt(x, weight, scale, zero_point, best):
    """Rounds, refits the scale by least squares, keeps what explains more: the kernel's step."""
    q = torch.minimum(torch.maximum((x / scale).round(), -zero_point), 15 - zero_point)
    wq = weight * q
    xq, qq = (wq * x).sum(1, keepdim=True), (wq * q).sum(1, keepdim=True)
    fitted = xq / qq
    gain = xq * fitted
    better = gain > best[0]
    for i, value in enumerate((gain, fitted, zero_point)):
        best[i] = torch.where(better, value, best[i])


def search(x, weight, zero_points):
    """Scale and zero point of every row of x [blocks, size]."""
    low, high = x.amin(1, keepdim=True).clamp_max(0), x.amax(1, keepdim=True).clamp_min(0)
    zero = torch.zeros_like(low)
    best = [zero, zero, zero + 8]
    for shrink in SHRINKS:
        span = (high - low) * shrink / 15 if zero_points else torch.maximum(high, -low) * shrink / 8
        scale = torch.where(span > 0, span, 1)
        if zero_points:
            centre = (7.5 - (high + low) / 2 / scale).round()
            for offset in (-1, 0, 1):
                attempt(x, weight, scale, (centre + offset).clamp(0, 15), best)
        else:
            attempt(x, weight, -scale, zero + 8, best)
            attempt(x, weight, scale, zero + 8, best)
    attempt(x, weight, torch.where(best[0] > 0, best[1], 1), best[2], best)
    return best[1], best[2]


def plain(x, zero_points):
    if zero_points:
        low, high = x.amin(1, keepdim=True).clamp_max(0), x.amax(1, keepdim=True).clamp_min(0)
        scale = (high - low).clamp_min(1e-30) / 15
        return scale, (-low / scale).round()
    return x.abs().amax(1, keepdim=True) / 7, torch.full((len(x), 1), 8.0)


def quantised(w, scheme, importance):
    """w [rows, columns] as the scheme keeps it."""
    bits, size, flags = scheme
    if bits == 8:
        x = w.reshape(-1, w.shape[1] if "r" in flags else size)
        scale = (x.abs().amax(1, keepdim=True) / 127).clamp_min(1e-30)
        scale = scale if "r" in flags else scale.half().float()
        return ((x / scale).round() * scale).reshape(w.shape)
    out = torch.empty_like(w)
    step = max(1, (1 << 22) // w.shape[1])
    for r in range(0, len(w), step):
        x = w[r:r + step].reshape(-1, size)
        weight = importance.expand(len(w[r:r + step]), -1).reshape(-1, size) if "w" in flags and importance is not None else torch.ones(1, size)
        scale, zero_point = search(x, weight, "z" in flags) if "s" in flags else plain(x, "z" in flags)
        scale = scale.half().float()
        codes = ((x / torch.where(scale != 0, scale, 1)).round() + zero_point).clamp(0, 15)
        out[r:r + step] = ((codes - zero_point) * scale).reshape(-1, w.shape[1])
    return out


def nbytes(shape, scheme):
    rows, columns = shape
    if scheme is None:
        return rows * columns * 4
    bits, size, flags = scheme
    if "r" in flags:
        return rows * columns + 4 * rows
    blocks = -(-columns // size)
    return rows * (blocks * size * bits // 8 + 2 * blocks + (-(-blocks * bits // 8) if "z" in flags else 0))


# ---- recipes


INT8, INT8_ROWS = (8, 128, ""), (8, 0, "r")


def int4(size=32, flags="zsw"):
    return (4, size, flags)


def recipe(body=None, embedding=None, **roles):
    """`o2` is of the attention output in layers 2, 6, 10 …"""
    schemes = {**{role: body for role in ROLES}, **roles, "embedding": embedding}
    return {"o2": schemes["o"], **schemes}


MIXED = {"q": INT8, "k": INT8, "v": INT8, "o": INT8, "o2": int4(flags="zs"), "down": INT8}
RECIPES = {
    "body, symmetric, plain": recipe(int4(flags="")),
    "body, symmetric, searched": recipe(int4(flags="s")),
    "body, zero points, plain": recipe(int4(flags="z")),
    "body, zero points, searched": recipe(int4(flags="zs")),
    "body, zero points, searched, weighed": recipe(int4()),
    **{f"{role} alone": recipe(None, **{role: int4()}) for role in ROLES},
    "gate, up, searched": recipe(None, gate=int4(flags="zs"), up=int4(flags="zs")),
    "gate, up, weighed": recipe(None, gate=int4(), up=int4()),
    "body int8": recipe(INT8),
    "embedding int8": recipe(None, INT8),
    "embedding, plain": recipe(None, int4(flags="z")),
    "embedding, searched": recipe(None, int4(flags="zs")),
    "embedding, weighed": recipe(None, int4()),
    "embedding, weighed, block 16": recipe(None, int4(16)),
    "embedding, weighed, block 64": recipe(None, int4(64)),
    "all int4": recipe(int4(), int4()),
    "mixed": recipe(int4(), int4(), **MIXED),
    "mixed, unweighed": recipe(int4(flags="zs"), int4(flags="zs"), **MIXED),
    "mixed, 8-bit embedding": recipe(int4(), INT8, **MIXED),
    "q k v int8 only, 8-bit embedding": recipe(int4(), INT8, q=INT8, k=INT8, v=INT8),
    "q k v int8 only": recipe(int4(), int4(), q=INT8, k=INT8, v=INT8),
    "q8": recipe(INT8_ROWS, INT8_ROWS),
}


# ---- importance from the norms' weights (src/quant/importance.c)


def importances(tensors, layers):
    """Name of a module → importance of its input channels."""
    square = lambda name: (1 + tensors[name + ".weight"].double()) ** 2
    out, stream = {}, torch.ones_like(square("model.norm"))
    read = lambda norm: (square(norm) * stream / (square(norm) * stream).mean()).clamp(2.0**-10, 2.0**20).float()
    for n in range(layers):
        layer = f"model.layers.{n}."
        for role in "qkv":
            out[layer + ROLES[role]] = read(layer + "input_layernorm")
        stream = stream + square(layer + "post_attention_layernorm")
        for role in ("gate", "up"):
            out[layer + ROLES[role]] = read(layer + "pre_feedforward_layernorm")
        stream = stream + square(layer + "post_feedforward_layernorm")
    out[EMBEDDING] = read("model.norm")
    return out


# ---- quality


class Study:
    def __init__(self, folder, windows, whole):
        from transformers import AutoModelForCausalLM
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.ids = load_file(ROOT / "tests/data/eval_ids.safetensors")["input_ids"].long()[:windows]
        self.tensors = {k: v.float() for k, v in load_file(Path(folder) / "model.safetensors").items()}
        self.layers = self.model.config.num_hidden_layers
        self.importance = importances(self.tensors, self.layers)
        hidden, head = self.hidden(), self.model.lm_head.weight
        self.tokens = torch.arange(len(head)) if whole else self.likely(hidden, head)
        self.used = torch.cat([self.tokens, self.ids.flatten()]).unique()  # rows of the embedding that matter
        self.reference = [self.log_probabilities(h) for h in hidden.split(64)]

    @torch.no_grad()
    def hidden(self):
        return torch.cat([self.model.model(w[None], use_cache=False).last_hidden_state[0] for w in self.ids])

    @torch.no_grad()
    def likely(self, hidden, head):
        """The tokens that are among the likeliest somewhere in the text, and some more."""
        top = [(h @ head.T).topk(TOP_PER_POSITION).indices.flatten().unique() for h in hidden.split(64)]
        more = torch.randperm(len(head), generator=torch.Generator().manual_seed(1))[:RANDOM_TOKENS]
        return torch.cat([*top, more]).unique()

    @torch.no_grad()
    def log_probabilities(self, hidden):
        return (hidden @ self.model.lm_head.weight[self.tokens].T).log_softmax(-1)

    def modules(self):
        yield "embedding", EMBEDDING
        for n in range(self.layers):
            for role, leaf in ROLES.items():
                yield "o2" if role == "o" and n % 4 == 2 else role, f"model.layers.{n}.{leaf}"

    @torch.no_grad()
    def measure(self, schemes):
        total = 0
        for role, name in self.modules():
            w, target, scheme = self.tensors[name + ".weight"], self.model.get_submodule(name).weight, schemes[role]
            rows = self.used if role == "embedding" else slice(None)
            target[rows] = quantised(w[rows], scheme, self.importance.get(name)) if scheme else w[rows]
            total += nbytes(w.shape, scheme)
        kl, same, count = 0.0, 0, 0
        for h, reference in zip(self.hidden().split(64), self.reference):
            found = self.log_probabilities(h)
            kl += (reference.exp() * (reference - found)).sum().item()
            same += (found.argmax(-1) == reference.argmax(-1)).sum().item()
            count += len(h)
        return total, kl / count, 100 * same / count


def quality(options):
    study = Study(options.checkpoint, options.windows, options.whole_vocabulary)
    print(f"{study.ids.numel()} positions, {len(study.tokens)} of {study.model.config.vocab_size} tokens\n")
    print("| recipe | MB | KL | top-1 % |\n| --- | --- | --- | --- |")
    for name in options.recipes or RECIPES:
        total, kl, top = study.measure(RECIPES[name])
        print(f"| {name} | {total / 1e6:.1f} | {kl:.4f} | {top:.1f} |", flush=True)


# ---- cost


SHAPES = {"qkv": (640, 1536), "o": (1024, 640), "gate, up": (640, 4096), "down": (2048, 640), "head": (640, 262144)}
FORMS = {"4 bit, block 32, zero points": (4, 32, True), "4 bit, block 32": (4, 32, False), "4 bit, block 64, zero points": (4, 64, True),
         "8 bit, block 32": (8, 32, False), "8 bit, block 128": (8, 128, False)}


def product_model(k, n, bits, size, zero_points):
    """One MatMulNBits at level 4, its fp16 scales widened by a Cast as our files have it."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    rng, blocks = np.random.default_rng(0), -(-k // size)
    tensors = {"values": rng.integers(0, 256, (n, blocks, size * bits // 8), dtype=np.uint8),
               "scales16": (rng.random((n, blocks)) * 0.02 + 0.001).astype(np.float16)}
    if zero_points:
        tensors["zero_points"] = rng.integers(0, 256, (n, -(-blocks * bits // 8)), dtype=np.uint8)
    nodes = [helper.make_node("Cast", ["scales16"], ["scales"], to=TensorProto.FLOAT),
             helper.make_node("MatMulNBits", ["x", "values", "scales"] + ["zero_points"] * zero_points, ["y"], domain="com.microsoft",
                              K=k, N=n, bits=bits, block_size=size, accuracy_level=4)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", n])],
                              [numpy_helper.from_array(v, name) for name, v in tensors.items()])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def milliseconds(session, k, m, repeats):
    import numpy as np
    x, best = np.random.default_rng(1).standard_normal((m, k), dtype=np.float32), 1e9
    for _ in range(repeats):
        start = time.perf_counter()
        session.run(None, {"x": x})
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


def cost(options):
    import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    print("| form | " + " | ".join(f"{name} {k}×{n}" for name, (k, n) in SHAPES.items()) + " |\n| --- " + "| --- " * len(SHAPES) + "|")
    for form, (bits, size, zero_points) in FORMS.items():
        row = []
        for name, (k, n) in SHAPES.items():
            session = onnxruntime.InferenceSession(product_model(k, n, bits, size, zero_points), settings, providers=["CPUExecutionProvider"])
            one = milliseconds(session, k, 1, 60 if name == "head" else 2000)
            row.append(f"{one:.3f}" if name == "head" else f"{one:.3f} / {milliseconds(session, k, 512, 10):.1f}")
        print(f"| {form} | " + " | ".join(row) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("quality")
    command.add_argument("checkpoint")
    command.add_argument("recipes", nargs="*", choices=[*RECIPES, []], metavar="RECIPE")
    command.add_argument("--windows", type=int, default=2, help="of 512 tokens, up to 8")
    command.add_argument("--whole-vocabulary", action="store_true")
    command.set_defaults(run=quality)
    command = commands.add_parser("cost")
    command.add_argument("--threads", type=int, default=2)
    command.set_defaults(run=cost)
    options = parser.parse_args()
    torch.set_num_threads(2)
    options.run(options)


if __name__ == "__main__":
    main()

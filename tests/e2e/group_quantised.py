"""q4, q4f16, q8 and int8 files against the same arithmetic done elsewhere: their weights, dequantised with NumPy, in Transformers."""
import numpy as np
import onnx

from exported import Exported, attribute
from golden import decoder_of, differences, expert_tables, fp16_error, judge, linears_of, norm_one, outer_linears, put_weights, reading_norms, recomputed
from harness import PRECISIONS, TINY, Problems, checkpoint_names
from sessions import Decoder

BOUND = 2e-4  # of the standard deviation of the logits


def path_of(out, precision):
    return out / "onnx" / f"{PRECISIONS[precision]}.onnx"


def check_blocks(problems, model, name, path, half=False):
    """`model` is Transformers with this checkpoint; its weights are replaced. `half`: may err as Transformers does in fp16."""
    expected = recomputed(put_weights(model, Exported(path).weights()), name)
    std = float(expected["prompt.logits"].std(-1).mean())
    bound = BOUND if not half else max(2e-2, 2 * fp16_error(model, expected, name) / std)
    decoder = Decoder(path)
    for case, difference in differences(decoder, expected, True):
        problems.check(difference <= bound * std, f"{path.name}, {case}: {difference / std:.2e} std of the dequantised model's logits, bound {bound:.1e}")
    problems.check(decoder.warnings == "", f"{path.name}: ONNX Runtime warns: {decoder.warnings[:400]}")


def close_to_source(problems, model, name, path, bits):
    """A wrong row order would pass the test above in both; so the weights must be near the checkpoint's, too."""
    exported, decoder = Exported(path).weights(), decoder_of(model)
    pairs = [("embedding", decoder.embed_tokens.weight, exported["embedding"]), ("head", model.lm_head.weight, exported["head"])]
    pairs += [(name, np.concatenate([p.weight.detach().numpy() for p in linears]), exported[name]) for name, linears in outer_linears(decoder).items()]
    if hasattr(decoder, "embed_tokens_per_layer"):
        pairs.append(("layer_embedding", decoder.embed_tokens_per_layer.weight, exported["layer_embedding"]))
    for n, layer in enumerate(decoder.layers):
        for key, (linears, norm) in linears_of(layer).items():
            found = exported[n, key]
            if norm:  # columns may be stored larger, and the norm in front as much smaller
                found = found * (exported[n, norm] / norm_weight(reading_norms(layer)[norm])).astype(np.float32)
            pairs.append((f"layer {n} {key}", np.concatenate([p.weight.detach().numpy() for p in linears]), found))
        for name in expert_tables(layer):
            values = getattr(layer.experts, name).detach().numpy()
            pairs.append((f"layer {n} experts {name}", values.reshape(-1, values.shape[-1]), exported[n, f"experts.{name}"]))
    for what, original, found in pairs:
        original = np.asarray(original.detach().numpy() if hasattr(original, "detach") else original)
        error = np.sqrt(((found - original) ** 2).mean() / (original ** 2).mean())
        problems.check(found.shape == original.shape and error < {4: 0.13, 8: 0.012}[bits], f"{path.name}, {what}: relative error {error:.3f}")


def norm_weight(norm):
    return norm_one(norm) + norm.weight.detach().numpy().astype(np.float64)


def balanced(problems, model, path):
    """The norms in front of q, k, v and gate, up are divided by importance^(1/4), from the norms before them; without post-norms, or with several
    streams, by nothing."""
    exported, decoder = Exported(path).weights(), decoder_of(model)
    has_post_norms = hasattr(decoder.layers[0], "post_feedforward_layernorm") and not hasattr(decoder, "altup_projections")
    stream = np.ones(decoder.embed_tokens.weight.shape[1])
    posts = {"input_layernorm": "post_attention_layernorm", "pre_feedforward_layernorm": "post_feedforward_layernorm"}
    for n, layer in enumerate(decoder.layers):
        for name, norm in reading_norms(layer).items():
            weight = expected = norm_weight(norm)
            if has_post_norms:
                seen = weight ** 2 * stream
                expected = weight / np.clip(seen / seen.mean(), 2.0 ** -10, 2.0 ** 20) ** 0.25
                stream = stream + norm_weight(getattr(layer, posts[name])) ** 2
            worst = np.abs(exported[n, name] / expected - 1).max()
            problems.check(worst < 1e-5, f"{path.name}, layer {n} {name}: off by {worst:.1e} from the balanced norm")
        if has_post_norms and hasattr(layer, "post_per_layer_input_norm"):
            stream = stream + norm_weight(layer.post_per_layer_input_norm) ** 2
        stream = stream * float(getattr(layer, "layer_scalar", 1)) ** 2


def q4(environment, name):
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--all-logits", "--accuracy-level", "1", precisions=("q4", "q4f16"))
    model = judge(name)
    balanced(problems, model, path_of(out, "q4"))
    for precision in ("q4", "q4f16"):
        close_to_source(problems, model, name, path_of(out, precision), 4)
        check_blocks(problems, judge(name), name, path_of(out, precision), precision == "q4f16")
    problems.report()


def widths(environment, name):
    """Every block size and every width of the embedding."""
    problems = Problems()
    choices = [(size, bits) for size in (16, 32, 64, 128) for bits in (4, 8, 16, 32)]
    if not environment.full:
        choices = [(16, 4), (32, 16), (64, 32), (128, 8), (128, 4)]
    model, found = judge(name), 0
    for size, bits in choices:
        out = environment.program.build(TINY / name, environment.scratch / f"{size}-{bits}", "--all-logits", "--accuracy-level", "1",
                                        "--block-size", size, "--embedding-bits", bits, precisions=("q4", "q4f16"))
        for precision in ("q4", "q4f16"):
            path = path_of(out, precision)
            onnx.checker.check_model(str(path), full_check=True)
            exported = Exported(path)
            sizes = {attribute(n, "block_size") for n in exported.model.graph.node
                     if n.op_type == "MatMulNBits" and "/mlp/" in n.name and attribute(n, "bits") == 4}
            problems.check(sizes <= {size}, f"{size}, {bits}: 4-bit blocks of {sizes}")
            found += len(sizes)
            check_blocks(problems, model, name, path, precision == "q4f16")
    problems.check(found > 0, "no 4-bit blocks at all")
    problems.report()


# ---- q8


def q8(environment, name):
    """All in fp32 on the dequantised weights."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--all-logits", precisions=("q8",))
    path, model = path_of(out, "q8"), judge(name)
    close_to_source(problems, model, name, path, 8)
    check_blocks(problems, model, name, path)
    problems.report()


def int8(environment, name):
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--all-logits", "--accuracy-level", "1", precisions=("int8",))
    path, model = path_of(out, "int8"), judge(name)
    kinds = {(n.name.startswith("/lm_head/"), attribute(n, "bits"), attribute(n, "block_size")) for n in onnx.load(path, load_external_data=False).graph.node if n.op_type == "MatMulNBits"}
    problems.check(kinds == {(False, 8, 32), (True, 8, 128)}, f"products of (head, bits, block size) {kinds}")
    close_to_source(problems, model, name, path, 8)
    check_blocks(problems, model, name, path)
    problems.report()


def tests(environment):
    names = checkpoint_names()
    quick = ("gemma-untied-f16", "gemma3-types-bf16", "gemma3-other-head", "gemma3-multimodal", "gemma3-kinds.gguf", "gemma3n-streams",
             "gemma4-experts-sharded", "gemma4-per-layer.gguf")
    for name in names if environment.full else quick:
        yield f"q4[{name}]", lambda e, n=name: q4(e, n)
        yield f"q8[{name}]", lambda e, n=name: q8(e, n)
        yield f"int8[{name}]", lambda e, n=name: int8(e, n)
    for name in ("gemma-untied-f16", "gemma3-types-bf16", "gemma3-multimodal-sharded")[:3 if environment.full else 2]:
        yield f"widths[{name}]", lambda e, n=name: widths(e, n)

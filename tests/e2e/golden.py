"""The tiny checkpoints, what Transformers computed on them, and Transformers itself with other weights."""
import copy
import tempfile
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from harness import TINY

CASES = ("prompt", "one", "cached", "chunks", "leftpad")


@cache
def golden(name):
    return load_file(TINY / f"{name}.golden.safetensors")


def std(name):
    return float(golden(name)["logits.std"][0])


def fp16_bound(name, profile="ort"):
    """Of the absolute difference: Transformers' own fp16 run errs by more than 2e-2 on some. Products and softmax apart round more often than one operator."""
    return max(2e-2, (2 if profile == "ort" else 3) * float(golden(name)["judge.fp16_error"][0])) * std(name)


def differences(decoder, expected, every_position):
    """(case, largest difference from `expected`, a dictionary of '<case>.logits') of everything a host may do.

    A file with the logits of every position is compared at all of them, one with the last at the last."""
    e = {case: expected[f"{case}.logits"] for case in CASES}
    for case in ("prompt", "one"):
        yield case, distance(decoder.step(expected[f"{case}.input_ids"])[0], last_or_all(e[case], every_position))
    lengths = expected["cached.lengths"].tolist()
    pieces = decoder.pieces(expected["cached.input_ids"], lengths)
    yield "cached", distance(np.concatenate([p[:, -1:] for p in pieces], axis=1), e["cached"])
    lengths = expected["chunks.lengths"].tolist()
    pieces = decoder.pieces(expected["chunks.input_ids"], lengths)
    ends = np.cumsum(lengths) - 1
    yield "chunks", distance(np.concatenate(pieces, axis=1), e["chunks"] if every_position else e["chunks"][:, ends])
    yield from left_padded(decoder, expected, every_position)


def left_padded(decoder, expected, every_position):
    """The batch against the golden logits, then one more token against each row alone."""
    ids, mask, positions = (expected[f"leftpad.{k}"] for k in ("input_ids", "attention_mask", "position_ids"))
    logits, cache = decoder.step(ids, mask, positions)[:2]
    if every_position:
        yield "leftpad", distance(logits * mask[:, :, None], expected["leftpad.logits"])
    else:
        yield "leftpad", distance(logits, expected["leftpad.logits"][:, -1:])
    following = ids[:, -1:] % 90 + 1
    grown = np.concatenate([mask, np.ones((len(ids), 1), np.int64)], axis=1)
    batch = decoder.step(following, grown, positions[:, -1:] + 1, cache)[0][:, -1]
    alone = []
    for row, n in enumerate(mask.sum(1)):
        own = decoder.step(ids[row:row + 1, -n:])[1]
        alone.append(decoder.step(following[row:row + 1], cache=own)[0][0, -1])
    yield "leftpad, decode", distance(batch, np.stack(alone))


def last_or_all(logits, every_position):
    return logits if every_position else logits[:, -1:]


def distance(found, expected):
    """Infinite when the shapes differ or something is no number."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected).max())


# ---- Transformers with the weights of an exported file


def judge(name):
    """The checkpoint in Transformers, fp32."""
    import make_golden
    import torch
    import transformers
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        return make_golden.load_judge(make_golden.unpacked(TINY / name, scratch))


def decoder_of(model):
    inner = getattr(model, "model", model)  # an encoder has nothing around it
    return getattr(inner, "language_model", inner)


def reading_norms(layer):
    """The norms through which qkv and gate and up read the stream, by their names in the graph."""
    feedforward = "pre_feedforward_layernorm" if hasattr(layer, "pre_feedforward_layernorm") else "post_attention_layernorm"
    return {"input_layernorm": layer.input_layernorm, "pre_feedforward_layernorm": getattr(layer, feedforward)}


def norm_one(norm):
    """What a norm adds to its weight."""
    return 0 if type(norm).__name__.startswith(("Gemma3n", "Gemma4")) else 1


def linears_of(layer):
    """By name in the graph: the modules whose weights stand one above the other in one product, and the norm in front of it, if that may be balanced."""
    a, m = layer.self_attn, layer.mlp
    own = [getattr(a, f"{part}_proj", None) for part in "qkv"]  # not all of them where keys are values, or another layer's
    out = {"self_attn.qkv_proj": ([p for p in own if p is not None], "input_layernorm"), "self_attn.o_proj": ([a.o_proj], None),
           "mlp.gate_up_proj": ([m.gate_proj, m.up_proj], "pre_feedforward_layernorm"), "mlp.down_proj": ([m.down_proj], None)}
    for name in ("per_layer_input_gate", "per_layer_projection"):
        if hasattr(layer, name):
            out[name] = ([getattr(layer, name)], None)
    if hasattr(layer, "laurel"):
        out |= {"laurel.left": ([layer.laurel.linear_left], None), "laurel.right": ([layer.laurel.linear_right], None)}
    return out


def expert_tables(layer):
    return ("gate_up_proj", "down_proj") if getattr(layer, "experts", None) is not None else ()


def outer_linears(decoder):
    """The same outside the layers."""
    out = {}
    if hasattr(decoder, "per_layer_model_projection"):
        out["model_projection"] = [decoder.per_layer_model_projection]
    if hasattr(decoder, "altup_projections"):
        out["projections"] = list(decoder.altup_projections)
        out |= {f"stream.{i + 1}.projection": [p] for i, p in enumerate(decoder.altup_unembed_projections)}
    return out


def parameter(values):
    import torch
    return torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(values, np.float32)), requires_grad=False)


def put_stacked(linears, values):
    at = 0
    for linear in linears:
        rows = linear.weight.shape[0]
        assert linear.weight.shape[1] == values.shape[1]
        linear.weight = parameter(values[at:at + rows])
        at += rows
    assert at == len(values)


def put_weights(model, exported):
    """Replaces every matrix, and the norms in front, by what the exported file holds: {"embedding", "head", (layer, "self_attn.qkv_proj"), …}."""
    decoder = decoder_of(model)
    decoder.embed_tokens.weight = parameter(exported["embedding"])
    if hasattr(model, "lm_head"):
        model.lm_head.weight = parameter(exported["head"])
    for name, linears in outer_linears(decoder).items():
        put_stacked(linears, exported[name])
    if hasattr(decoder, "embed_tokens_per_layer"):
        decoder.embed_tokens_per_layer.weight = parameter(exported["layer_embedding"])
    for n, layer in enumerate(decoder.layers):
        for name, norm in reading_norms(layer).items():
            norm.weight = parameter(exported[n, name] - norm_one(norm))
        for name, (linears, _) in linears_of(layer).items():
            put_stacked(linears, exported[n, name])
        for name in expert_tables(layer):
            setattr(layer.experts, name, parameter(exported[n, f"experts.{name}"].reshape(getattr(layer.experts, name).shape)))
    return model


def recomputed(model, name):
    """The golden inputs with the logits of this model."""
    import make_golden
    import torch
    t = {k: torch.from_numpy(v) for k, v in golden(name).items()}
    logits = make_golden.golden_logits(model, t)
    return golden(name) | {k: v.numpy() for k, v in logits.items()}


def fp16_error(model, expected, name):
    """The largest difference between Transformers' own fp16 run of this model and `expected`."""
    half = recomputed(copy.deepcopy(model).half(), name)
    return max(distance(half[f"{case}.logits"], expected[f"{case}.logits"]) for case in CASES)

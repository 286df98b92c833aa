"""Static pairs of every tiny checkpoint in every profile: the numbers against Transformers, the shapes against ONNX Runtime."""
import copy
from functools import cache

import numpy as np
import onnxruntime as ort

from exported import Exported
from golden import distance, golden, judge, put_weights, std
from harness import PRECISIONS, ROOT, TINY, Problems, apart, check, checkpoint_names, in_every_profile
from sessions import Decoder
from static_pair import OpenVinoPair, StaticPair

FP32_BOUND = 2e-4  # of the standard deviation of the logits
PROFILES, CACHES = ("ort", "standard", "primitive"), ("full", "bounded")
ROOM, LENGTHS = 45, (8, 3)


@cache
def expected(name):
    """Three sequences that fill the caches, and their logits in Transformers: some on which its own fp32 is near its own fp64."""
    import make_golden
    model = judge(name)
    exact = copy.deepcopy(model).double()
    allowed = [i for i in range(3, golden(name)["prompt.logits"].shape[-1]) if i not in make_golden.special_ids(model.config)]
    for seed in range(5, 50):
        ids = np.random.default_rng(seed).choice(allowed, (3, ROOM))
        ids[:, 0] = golden(name)["prompt.input_ids"][0, 0]
        logits = logits_of(model, ids)
        if distance(logits, logits_of(exact, ids)) < FP32_BOUND / 5 * std(name):
            return ids, logits
    raise AssertionError(f"{name}: no sequence that Transformers computes the same way in fp32 and fp64")


def logits_of(model, ids):
    import torch
    with torch.no_grad():
        return model(torch.from_numpy(ids), use_cache=False).logits.float().numpy()


def convert(environment, name, *arguments, precisions=("fp32",)):
    out = environment.scratch / "pair"
    result = environment.program.run("convert", TINY / name, "-o", out, "-p", *precisions, "-q", "--force", *arguments)
    check(result.status == 0 and result.err == "", f"did not convert: {result}")
    return out


def worst_difference(pair, ids, logits, counts, decode):
    """Prompts of these lengths, then `decode` more ids of each row as far as there is room."""
    pair.reset()
    counts, worst = list(counts), 0.0
    rows = [ids[b, :n] for b, n in enumerate(counts)]
    while True:
        found = pair.feed(rows)
        for b, n in enumerate(counts):
            worst = max(worst, distance(found[b], logits[b, n - 1]))
        if decode == 0 or max(counts) == ROOM:
            return worst
        rows, counts, decode = [[ids[b, n]] for b, n in enumerate(counts)], [n + 1 for n in counts], decode - 1


def prompts(batch, equal):
    """One id, one short of the graph, all of it, 2.5 times it, past every window, to the last slot."""
    lengths = (1, LENGTHS[0] - 1, LENGTHS[0], LENGTHS[0] * 5 // 2, ROOM - 12, ROOM)
    if batch == 1 or equal:
        return [(n,) * batch for n in lengths]
    return [(1, 2, 3), (7, 8, 2), (20, 9, 15), (ROOM, ROOM - 3, ROOM - 1)]


def check_numbers(environment, name, profile):
    problems = Problems()
    ids, logits = expected(name)
    for cache_kind in CACHES:
        for batch in (1, 3):
            out = convert(environment, name, "--batch_size", batch, "--seq_length", *LENGTHS, "--max_length", ROOM, "--profile", profile, "--cache", cache_kind)
            pair = StaticPair(out, "fp32")
            for counts in prompts(batch, equal=not pair.rules["padding"]):
                difference = worst_difference(pair, ids, logits, counts, 12) / std(name)
                problems.check(difference <= FP32_BOUND, f"{cache_kind} cache, prompts of {counts}: {difference:.2e} std")
            problems.check(pair.warnings == "", f"ONNX Runtime warns: {pair.warnings[:300]}")
    problems.report()


def check_edges(environment, profile):
    """A prefill call of one id, and one as long as the caches."""
    problems, name = Problems(), "gemma3-pattern"
    ids, logits = expected(name)
    for lengths in ((1,), (ROOM,), (ROOM - 1, 1)):
        for cache_kind in CACHES:
            out = convert(environment, name, "--batch_size", 2, "--seq_length", *lengths, "--max_length", ROOM, "--profile", profile, "--cache", cache_kind)
            pair = StaticPair(out, "fp32")
            difference = max(worst_difference(pair, ids, logits, (n, n), 6) for n in (1, 20, ROOM)) / std(name)
            problems.check(difference <= FP32_BOUND, f"{lengths}, {cache_kind}: {difference:.2e} std")
    problems.report()


def nodes_of(graph):
    """Those of loops' bodies as well."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes_of(attribute.g)


def keep_activations(out):
    """MatMulNBits rounds activations to 8 bits by default; what weights alone give is seen without that."""
    import onnx
    for path in out.glob("gemma_*.onnx"):
        model = onnx.load(path, load_external_data=False)
        for node in nodes_of(model.graph):
            for attribute in node.attribute:
                if attribute.name == "accuracy_level":
                    attribute.i = 1
        onnx.save(model, path)


def check_precisions(environment, name, profile):
    """Each file against Transformers with the weights that the file holds; fp16 may err as Transformers does. Where activations are rounded to 8
    bits by design (q8 in ort), group_quantised.py is the judge, and check_same_weights."""
    problems = Problems()
    ids, _ = expected(name)
    precisions = ("fp16", "q4", "q4f16") if profile == "ort" else ("fp16", "q4", "q4f16", "q8")
    out = convert(environment, name, "--batch_size", 1, "--seq_length", *LENGTHS, "--max_length", ROOM, "--profile", profile, "--cache", "bounded", precisions=precisions)
    keep_activations(out)
    for precision in precisions:
        pair = StaticPair(out, precision)
        model = put_weights(judge(name), Exported(out / pair.decode[0]["model"]).weights())
        logits = logits_of(model, ids)
        deviation = float(logits.std(-1).mean())
        bound = FP32_BOUND
        if precision.endswith("16"):
            bound = max(2e-2, 2 * distance(logits_of(copy.deepcopy(model).half(), ids), logits) / deviation)
        difference = max(worst_difference(pair, ids, logits, (n,), 8) for n in (5, 20)) / deviation
        problems.check(difference <= bound, f"{precision}: {difference:.2e} std, bound {bound:.1e}")
        problems.check(pair.warnings == "", f"{precision}: ONNX Runtime warns: {pair.warnings[:300]}")
    problems.report()


def grouped_attention_count(path):
    import onnx
    return sum(n.op_type == "GroupQueryAttention" for n in onnx.load(path, load_external_data=False).graph.node)


def check_same_weights(environment, name):
    """In the profile ort, data files are those of build, byte for byte, where build has one file; the weights are those of its graph, and where the
    attention operators are the same, the numbers, too. (Dynamic fp16 files cap scores in operators of their own, since GPUs' GroupQueryAttention does not.)"""
    problems = Problems()
    ids, _ = expected(name)
    precisions = tuple(PRECISIONS)
    built = environment.program.build(TINY / name, environment.scratch / "built", precisions=precisions)
    out = convert(environment, name, "--seq_length", *LENGTHS, "--max_length", ROOM, precisions=precisions)
    for precision, file in PRECISIONS.items():
        suffix = "" if precision == "fp32" else f"_{precision}"
        if not apart(name):
            same = (out / f"gemma{suffix}.onnx_data").read_bytes() == (built / "onnx" / f"{file}.onnx_data").read_bytes()
            problems.check(same, f"{precision}: the data file is not that of build")
        ours, theirs = Exported(out / f"gemma_decode{suffix}.onnx"), Exported(built / "onnx" / f"{file}.onnx")
        weights = {e: {i for i in e.initializers if e.place(i)} for e in (ours, theirs)}
        problems.check(weights[ours] == weights[theirs], f"{precision}: other weights, {sorted(weights[ours] ^ weights[theirs])[:3]}")
        different = [i for i in weights[ours] & weights[theirs] if ours.raw(i) != theirs.raw(i)]
        problems.check(not different, f"{precision}: other bytes in {sorted(different)[:3]}")
        pair, decoder = StaticPair(out, precision), Decoder(built / "onnx" / f"{file}.onnx")
        if grouped_attention_count(out / pair.decode[0]["model"]) != grouped_attention_count(built / "onnx" / f"{file}.onnx"):
            problems.check(precision.endswith("16"), f"{precision}: other attention operators than build's")
            continue
        logits = np.concatenate([p[:, -1:] for p in decoder.pieces(ids[:1], [1] * ROOM)], axis=1)
        difference = worst_difference(pair, ids[:1], logits, (1,), ROOM) / logits.std()
        bound = 2e-2 if precision.endswith("16") else FP32_BOUND  # kernels of another shape round otherwise
        problems.check(difference <= bound, f"{precision}: {difference:.2e} std from the dynamic graph")
    problems.report()


def check_openvino(environment, name):
    """The profile primitive loads and runs in OpenVINO's CPU plug-in, and gives Transformers' numbers with the file's weights."""
    problems = Problems()
    ids, logits = expected(name)
    for cache_kind in CACHES:
        out = convert(environment, name, "--seq_length", *LENGTHS, "--max_length", ROOM, "--profile", "primitive", "--cache", cache_kind, precisions=("fp32", "q4", "q8"))
        for precision in ("fp32", "q4", "q8"):
            pair = OpenVinoPair(out, precision)
            truth = logits if precision == "fp32" else logits_of(put_weights(judge(name), Exported(out / pair.decode[0]["model"]).weights()), ids)
            for counts in ((1,), (20,), (ROOM,)):
                difference = worst_difference(pair, ids, truth, counts, 8) / truth.std(-1).mean()
                problems.check(difference <= FP32_BOUND, f"{precision}, {cache_kind} cache, a prompt of {counts[0]}: {difference:.2e} std")
    problems.report()


def check_document(environment, name):
    """gemma_static.json obeys its schema, and stands in the graphs' metadata."""
    import json

    import jsonschema
    import onnx
    schema = json.loads((ROOT / "docs" / "gemma_static.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for profile in PROFILES:
        for cache_kind in CACHES:
            out = convert(environment, name, "--batch_size", 2, "--seq_length", *LENGTHS, "--max_length", ROOM, "--profile", profile, "--cache", cache_kind, precisions=("fp32", "q4f16"))
            document = json.loads((out / "gemma_static.json").read_text())
            jsonschema.Draft202012Validator(schema).validate(document)
            for path in out.glob("gemma_*.onnx"):
                model = onnx.load(path, load_external_data=False)
                check(json.loads(next(p.value for p in model.metadata_props if p.key == "gemma_onnx.static")) == document, f"{path.name}: other metadata")
                entry = next(g for p in document["precisions"].values() for g in p["graphs"] if g["model"] == path.name)
                caches = [n for c in document["caches"] for n in c["past"]]
                check([i.name for i in model.graph.input] == [i["name"] for i in entry["inputs"]] + caches, f"{path.name}: other inputs, or another order")


def shape_of(value):
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim]


def run_time_shapes(path, model):
    """Every value as an output, nothing optimised away."""
    import onnx
    made = {o for n in model.graph.node for o in n.output if o}
    known = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=o) for o in sorted(made - known))
    tapped = path.with_name("tapped.onnx")
    onnx.save(model, tapped)
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, 3
    session = ort.InferenceSession(str(tapped), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(float16)": np.float16}
    feeds = {i.name: np.zeros(i.shape, kinds[i.type]) for i in session.get_inputs()}
    if "total_sequence_length" in feeds:
        feeds["total_sequence_length"][:] = feeds["input_ids"].shape[1]
        feeds["seqlens_k"][:] = feeds["input_ids"].shape[1] - 1
    return {o.name: list(v.shape) for o, v in zip(session.get_outputs(), session.run(None, feeds), strict=True)}


def check_shapes(environment, name, profile):
    """Numbers only, for every value; ONNX infers no others, and ONNX Runtime sees them."""
    import onnx
    problems = Problems()
    precisions = tuple(PRECISIONS)
    for cache_kind in CACHES:
        out = convert(environment, name, "--batch_size", 3, "--seq_length", 8, "--max_length", ROOM, "--profile", profile, "--cache", cache_kind, precisions=precisions)
        for path in sorted(out.glob("gemma_*.onnx")):
            onnx.checker.check_model(str(path), full_check=True)
            model = onnx.load(path, load_external_data=False)
            told = {v.name: shape_of(v) for v in [*model.graph.value_info, *model.graph.input, *model.graph.output]}
            made = {o for n in model.graph.node for o in n.output if o}
            problems.check(made <= told.keys(), f"{path.name}: no shape for {sorted(made - told.keys())[:3]}")
            problems.check(all(isinstance(d, int) for shape in told.values() for d in shape), f"{path.name}: a dimension is no number")
            inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            for value in inferred.graph.value_info:
                problems.check(shape_of(value) == told[value.name], f"{path.name}: {value.name} is {told[value.name]}, inferred {shape_of(value)}")
            for value, shape in run_time_shapes(path, model).items():
                problems.check(told[value] == shape, f"{path.name}: {value} is {told[value]}, at run time {shape}")
    problems.report()


def tests(environment):
    names = checkpoint_names()
    yield "document[gemma3-pattern]", lambda e: check_document(e, "gemma3-pattern")
    for name in names if environment.full else ("gemma-untied-f16", "gemma3-pattern"):
        yield f"openvino[{name}]", lambda e, n=name: check_openvino(e, n)
    quick = ("gemma-untied-f16", "gemma3-types-bf16", "gemma3-other-head")
    for profile in PROFILES:
        yield f"edges[{profile}]", lambda e, p=profile: check_edges(e, p)
    for name in names if environment.full else ("gemma3-pattern",):
        for profile in PROFILES:
            yield f"shapes[{name}, {profile}]", lambda e, n=name, p=profile: check_shapes(e, n, p)
    for name in names if environment.full else quick:
        yield f"same_weights[{name}]", lambda e, n=name: check_same_weights(e, n)
        for profile in PROFILES:
            yield f"precisions[{name}, {profile}]", lambda e, n=name, p=profile: check_precisions(e, n, p)
    for name in checkpoint_names():
        for profile in PROFILES if in_every_profile(name, environment.full) else PROFILES[:1]:
            yield f"numbers[{name}, {profile}]", lambda e, n=name, p=profile: check_numbers(e, n, p)

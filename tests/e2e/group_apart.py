"""Gemma 3n and 4 as Transformers.js loads them: embed_tokens and decoder_model_merged, one behind the other."""
import json

import numpy as np
import onnx

from golden import differences, fp16_bound, golden, std
from group_parity import FP32_BOUND
from harness import CORE, PRECISIONS, TINY, Problems, apart, check, checkpoint_names, pieces_of
from sessions import ApartDecoder, Decoder

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def described(values):
    """Name → type and dimensions, caches aside."""
    return {v.name: (v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
            for v in values if not v.name.startswith(("past_key_values.", "present."))}


def caches(values):
    return [(v.name, v.type) for v in values if v.name.startswith(("past_key_values.", "present."))]


def contract(environment, name):
    """Names, types and shapes, in every precision; caches are those of the whole decoder."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out")
    config = json.loads((out / "config.json").read_text())
    text, per_token = config["text_config"], ["batch_size", "sequence_length"]
    embedded = {"inputs_embeds": (FLOAT, [*per_token, text["hidden_size"]])}
    if width := text.get("hidden_size_per_layer_input"):
        embedded["per_layer_inputs"] = (FLOAT, [*per_token, text["num_hidden_layers"], width])
    rest = {"attention_mask": (INT64, ["batch_size", "total_sequence_length"]), "position_ids": (INT64, per_token)}
    for precision, file in PRECISIONS.items():
        paths = [out / "onnx" / f"{piece}.onnx" for piece in (file, *pieces_of(name, file))]
        for path in paths:
            onnx.checker.check_model(str(path), full_check=True)
        whole, embedding, body = (onnx.load(path, load_external_data=False).graph for path in paths)
        problems.check(described(embedding.input) == {"input_ids": (INT64, per_token)}, f"{precision}: embed_tokens takes {described(embedding.input)}")
        problems.check(described(embedding.output) == embedded, f"{precision}: embed_tokens gives {described(embedding.output)}")
        problems.check(described(body.input) == embedded | rest, f"{precision}: decoder_model_merged takes {described(body.input)}")
        problems.check(described(body.output) == {"logits": (FLOAT, ["batch_size", 1, text["vocab_size"]])} and body.output[0].name == "logits", f"{precision}: decoder_model_merged gives {described(body.output)}")
        problems.check([caches(body.input), caches(body.output)] == [caches(whole.input), caches(whole.output)], f"{precision}: other caches than the whole decoder's")
    problems.check(config["model_type"] in ("gemma3n", "gemma4") and config["architectures"][0].endswith("ForConditionalGeneration"), f"{config['model_type']}, {config['architectures']}")
    files = {p.name for p in (out / "onnx").iterdir()}
    counts = config["transformers.js_config"]["use_external_data_format"]
    listed = {f"{model}_data" + (f"_{n}" if n else "") for model, count in counts.items() for n in range(count)}
    problems.check(listed == {f for f in files if "_data" in f}, f"data files {sorted(f for f in files if '_data' in f)}, listed {counts}")
    problems.report()


def numbers(environment, name, profile, every_position):
    """fp32 and fp16 against Transformers; every precision against the whole decoder, whose numbers are judged elsewhere."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--profile", profile, *(["--all-logits"] if every_position else []))
    expected = golden(name)
    for precision, file in PRECISIONS.items():
        decoder, whole = ApartDecoder(out / "onnx", file.removeprefix("model")), Decoder(out / "onnx" / f"{file}.onnx")
        if precision in ("fp32", "fp16"):
            bound = FP32_BOUND * std(name) if precision == "fp32" else fp16_bound(name, profile)
            for case, difference in differences(decoder, expected, every_position):
                problems.check(difference <= bound, f"{precision}, {case}: {difference / std(name):.2e} std, bound {bound / std(name):.2e}")
        for case in ("cached", "chunks"):
            ids, lengths = expected[f"{case}.input_ids"], expected[f"{case}.lengths"].tolist()
            for n, (ours, theirs) in enumerate(zip(decoder.pieces(ids, lengths), whole.pieces(ids, lengths), strict=True)):
                worst = float(np.abs(ours - theirs).max()) / std(name)
                problems.check(worst == 0, f"{precision}, {case}, call {n}: {worst:.2e} std from the whole decoder")
        if precision == "fp32":
            text = decoder.greedy(expected["greedy.input_ids"], expected["greedy.output_ids"].shape[1])
            problems.check((text == expected["greedy.output_ids"]).all(), f"greedy text {text.tolist()}, expected {expected['greedy.output_ids'].tolist()}")
        problems.check(decoder.warnings == "", f"{precision}: ONNX Runtime warns: {decoder.warnings[:400]}")
    problems.report()


def other_rows(environment):
    """What a host puts among the embedded rows counts for all that follows from them: rows of other ids give those ids' logits, up to the layers'
    own inputs, which are looked up by id."""
    name = "gemma4-dense"
    out = environment.program.build(TINY / name, environment.scratch / "out", precisions=("fp32",))
    decoder = ApartDecoder(out / "onnx", "")
    ids = golden(name)["prompt.input_ids"]
    other = ids[:, ::-1].copy()
    wanted = decoder.step(other)[0]
    tokens = decoder.tokens
    decoder.tokens = lambda _: tokens(other)
    check((decoder.step(ids)[0] == wanted).all(), "the body looks at something else than inputs_embeds")


def report(environment):
    """--dry-run, the manifest and the folder name the same files; a second build of another precision adds to it."""
    problems = Problems()
    source, out = TINY / "gemma3n-streams", environment.scratch / "out"
    plan = environment.program.run("build", source, "-o", out, "-p", "fp32", "q4", "--dry-run", "--json")
    environment.program.build(source, out, precisions=("fp32",))
    environment.program.build(source, out, precisions=("q4",))
    manifest = json.loads((out / "gemma-onnx.json").read_text())["precisions"]
    onnx_folder = out / "onnx"
    sizes = {p.name: p.stat().st_size for p in onnx_folder.iterdir()}
    for entry in json.loads(plan.out)["files"]:
        told = manifest[entry["precision"]]
        problems.check(told["models"] == entry["models"] and told["model"] == entry["models"][0], f"models {told['models']}, planned {entry['models']}")
        problems.check(told["data"] == entry["data"], f"data {told['data']}, planned {entry['data']}")
        problems.check(all(sizes.pop(d["name"], None) == d["bytes"] for d in told["data"]), f"{told['data']}: not the sizes of the files")
        problems.check(all(sizes.pop(m, 0) > 0 for m in told["models"]), f"{told['models']}: not all there")
    problems.check(not sizes, f"nobody told of {sorted(sizes)}")
    counts = json.loads((out / "config.json").read_text())["transformers.js_config"]["use_external_data_format"]
    problems.check(len(counts) == 4, f"{counts}")
    line = environment.program.refuse(2, "build", source, "-o", out, "-p", "q4", "-q")
    problems.check("exists; use --force" in line, line)
    problems.report()


def beside_pair(environment):
    """A static pair converted beside a build leaves Transformers.js its config."""
    source, out = TINY / "gemma4-per-layer-bf16", environment.scratch / "out"
    environment.program.build(source, out, precisions=("fp32",))
    before = json.loads((out / "config.json").read_text())
    result = environment.program.run("convert", source, "-o", out, "--seq_length", 4, "--max_length", 16, "-q")
    check(result.status == 0, str(result))
    check(json.loads((out / "config.json").read_text()) == before, "config.json was changed")


def tests(environment):
    yield "other_rows", other_rows
    yield "report", report
    yield "beside_pair", beside_pair
    names = [name for name in checkpoint_names() if apart(name)]
    for name in names if environment.full else [n for n in CORE if n in names]:
        yield f"contract[{name}]", lambda e, n=name: contract(e, n)
        kinds = (("ort", False), ("ort", True), ("standard", False), ("primitive", True)) if environment.full else (("ort", False),)
        for profile, every_position in kinds:
            yield f"numbers[{name}, {profile}{'/all-logits' if every_position else ''}]", lambda e, n=name, o=profile, p=every_position: numbers(e, n, o, p)

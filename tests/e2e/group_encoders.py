"""EmbeddingGemma: the encoder's files against Transformers and sentence-transformers, in every form, and what the program does with them."""
import copy
import json
import shutil

import numpy as np
import onnx
import onnxruntime as ort
from exported import Exported
from golden import distance, golden, judge, put_weights
from group_static import keep_activations, run_time_shapes, shape_of
from harness import ARGUMENT, FORMAT, MISMATCH, PRECISIONS, ROOT, TINY, UNSUPPORTED, Problems, check, check_nothing_left, encoder_names

CASES = ("prompt", "one", "leftpad", "rightpad")
BOUND = 2e-4  # of the standard deviation
PROFILES = ("ort", "standard", "primitive")
NAME = "embeddinggemma-published"


def inputs_of(name, case):
    ids = golden(name)[f"{case}.input_ids"]
    return ids, golden(name).get(f"{case}.attention_mask", np.ones_like(ids))


def run(session, ids, mask):
    """Zeros instead of what stands at padding."""
    hidden, embedding = session.run(["last_hidden_state", "sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
    return hidden * mask[..., None], embedding


def open_session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def expected(name):
    g = golden(name)
    return {case: (g[f"{case}.last_hidden_state"], g[f"{case}.sentence_embedding"]) for case in CASES}


def worst(session, name, truth):
    """The largest differences of hidden states and of embeddings, in standard deviations."""
    found = {case: run(session, *inputs_of(name, case)) for case in CASES}
    stds = [float(golden(name)[f"{kind}.std"][0]) for kind in ("last_hidden_state", "sentence_embedding")]
    return [max(distance(found[case][k], truth[case][k]) for case in CASES) / stds[k] for k in (0, 1)]


def recomputed(model, name, dense):
    """What Transformers makes of the golden inputs with these weights, and the mean and the dense layers in NumPy."""
    import torch
    out = {}
    for case in CASES:
        ids, mask = inputs_of(name, case)
        with torch.no_grad():
            hidden = model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask), use_cache=False).last_hidden_state.float().numpy()
        hidden = hidden * mask[..., None]
        embedding = hidden.astype(np.float64).sum(1) / mask.sum(1, keepdims=True)
        for matrix in dense:
            embedding = embedding @ matrix.T.astype(np.float64)
        out[case] = hidden, (embedding / np.linalg.norm(embedding, axis=-1, keepdims=True)).astype(np.float32)
    return out


def contract(environment, name):
    """Names, types and dimension names that hosts read, and what stands beside the models."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out")
    for precision, file in PRECISIONS.items():
        path = out / "onnx" / f"{file}.onnx"
        onnx.checker.check_model(str(path), full_check=True)
        graph = onnx.load(path, load_external_data=False).graph
        width = golden(name)["prompt.last_hidden_state"].shape[-1]
        rows = ["batch_size", "sequence_length"]
        told = {v.name: ([d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim], v.type.tensor_type.elem_type) for v in [*graph.input, *graph.output]}
        wanted = {"input_ids": (rows, onnx.TensorProto.INT64), "attention_mask": (rows, onnx.TensorProto.INT64),
                  "last_hidden_state": ([*rows, width], onnx.TensorProto.FLOAT), "sentence_embedding": (["batch_size", width], onnx.TensorProto.FLOAT)}
        problems.check(list(told.items()) == list(wanted.items()), f"{precision}: {told}")
    config = json.loads((out / "config.json").read_text())
    problems.check(config["use_bidirectional_attention"] is True and config["architectures"] == ["Gemma3TextModel"], f"{config}")
    problems.check(config["transformers.js_config"]["use_external_data_format"]["model_q4.onnx"] == 1, f"{config}")
    there = {p.name for p in out.iterdir()}
    if not name.endswith(".gguf"):
        for carried in ("config_sentence_transformers.json", "sentence_bert_config.json"):
            problems.check((out / carried).read_bytes() == (TINY / name / carried).read_bytes(), f"{carried} was changed")
    problems.check("modules.json" not in there and "generation_config.json" not in there, f"{there}")
    problems.report()


def numbers(environment, name, profile):
    """Each file against the checkpoint, or against Transformers with the weights that the file holds."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--profile", profile, "--accuracy-level", "1")
    half = max(2e-2, (2 if profile == "ort" else 3) * float(golden(name)["judge.fp16_error"][0]))
    for precision, file in PRECISIONS.items():
        path = out / "onnx" / f"{file}.onnx"
        truth = expected(name)
        if precision not in ("fp32", "fp16"):
            weights = Exported(path).weights()
            truth = recomputed(put_weights(judge(name), weights), name, [weights["dense", n] for n in range(sum(k[0] == "dense" for k in weights))])
        bound = BOUND if not precision.endswith("16") else half
        for kind, difference in zip(("hidden state", "embedding"), worst(open_session(path), name, truth), strict=True):
            problems.check(difference <= bound, f"{precision}: {kind} off by {difference:.2e} std, bound {bound:.1e}")
    problems.report()


def dimensions(environment, name):
    """Leading values alone, brought to length 1 again; the source's bytes are not all stored."""
    problems = Problems()
    width = golden(name)["prompt.last_hidden_state"].shape[-1]
    ids, mask = inputs_of(name, "prompt")
    for wanted in (width // 2, width // 4):
        out = environment.program.build(TINY / name, environment.scratch / str(wanted), "--embedding-dim", wanted)
        for precision, file in PRECISIONS.items():
            embedding = run(open_session(out / "onnx" / f"{file}.onnx"), ids, mask)[1]
            problems.check(embedding.shape == (1, wanted) and abs(np.linalg.norm(embedding) - 1) < 1e-6, f"{precision}: {embedding.shape}")
            if precision == "fp32":
                problems.check(distance(embedding, golden(name)[f"matryoshka.{wanted}"]) < 2e-6, f"{wanted} values: {embedding}")
        result = environment.program.run("verify", out, "-q")
        problems.check(result.status == 0, f"{wanted}: {result}")
    problems.report()


def static(environment, name, profile):
    """Every dimension a number, as ONNX Runtime sees it; the numbers with texts that fill the graph, or do not."""
    import jsonschema
    problems = Problems()
    out = environment.scratch / "static"
    arguments = ("--batch_size", 3, "--seq_length", 30, 12, "--profile", profile)
    result = environment.program.run("convert", TINY / name, "-o", out, "-p", "all", "-q", *arguments)
    check(result.status == 0 and result.err == "", str(result))
    document = json.loads((out / "gemma_static.json").read_text())
    jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "gemma_static.schema.json").read_text())).validate(document)
    keep_activations(out)
    for precision in PRECISIONS:
        for graph in document["precisions"][precision]["graphs"]:
            path = out / graph["model"]
            onnx.checker.check_model(str(path), full_check=True)
            model = onnx.load(path, load_external_data=False)
            told = {v.name: shape_of(v) for v in [*model.graph.value_info, *model.graph.input, *model.graph.output]}
            problems.check(all(isinstance(d, int) for shape in told.values() for d in shape), f"{path.name}: a dimension is no number")
            for value, shape in run_time_shapes(path, model).items():
                problems.check(told[value] == shape, f"{path.name}: {value} is {told[value]}, at run time {shape}")
            if precision == "fp32":
                check_static_numbers(problems, open_session(path), name, graph["sequence_length"])
    problems.report()


def check_static_numbers(problems, session, name, length):
    for case in CASES:
        ids, mask = inputs_of(name, case)
        if ids.shape[1] > length:
            continue
        full = [np.concatenate([np.pad(x, ((0, 0), (0, length - x.shape[1]))), np.ones((3 - len(x), length), np.int64)]) for x in (ids, mask)]
        hidden, embedding = run(session, *full)
        for found, kind in ((hidden[:len(ids), :ids.shape[1]], "last_hidden_state"), (embedding[:len(ids)], "sentence_embedding")):
            difference = distance(found, golden(name)[f"{case}.{kind}"]) / float(golden(name)[f"{kind}.std"][0])
            problems.check(difference <= BOUND, f"{length}, {case}: {kind} off by {difference:.2e} std")


def in_openvino(environment, name):
    """The profiles that lint says it takes, in its CPU plug-in."""
    import openvino
    problems = Problems()
    ids, mask = inputs_of(name, "prompt")
    for profile in ("ort", "primitive"):
        out = environment.scratch / profile
        arguments = ("convert", TINY / name, "-o", out, "-q", "--profile", profile, "--seq_length", ids.shape[1], "--lint", "openvino", "--lint-strict")
        result = environment.program.run(*arguments)
        check(result.status == 0, str(result))
        compiled = openvino.Core().compile_model(str(out / "gemma_encoder.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = compiled({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
        difference = distance(found, golden(name)["prompt.sentence_embedding"]) / float(golden(name)["sentence_embedding.std"][0])
        problems.check(difference <= BOUND, f"{profile}: off by {difference:.2e} std")
    problems.report()


def verified(environment, name):
    """verify and convert --compare are green, tell what is so, and find what is not."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out")
    result = environment.program.run("verify", out, "--json")
    report = json.loads((out / "verify.json").read_text())
    problems.check(result.status == 0 and json.loads(result.out) == report and report["passed"], str(result))
    for precision, entry in report["precisions"].items():
        problems.check(entry["load_warnings"] == 0 and entry["weights"], f"{precision}: {entry}")
        problems.check(entry["mean_cosine_distance"] < (1e-6 if precision == "fp32" else 1), f"{precision}: {entry}")
    problems.check((out / "verify.html").stat().st_size > 1000, "no page")
    exported = Exported(out / "onnx" / "model.onnx")
    for pattern in ("layers.1/self_attn/qkv_proj", "embed_tokens/rows_table", "sentence/dense_1"):
        damaged = environment.scratch / "damaged"
        shutil.copytree(out, damaged)
        key = next(n for n in exported.initializers if pattern in n and exported.place(n))
        location, offset, _ = exported.place(key)
        with open(damaged / "onnx" / location, "r+b") as data:
            data.seek(offset)
            data.write((exported.array(key)[0] * np.float32(3)).tobytes())
        result = environment.program.run("verify", damaged, "-p", "fp32")
        problems.check(result.status == MISMATCH and "model.onnx" in result.err, f"{pattern} is damaged, but {result}")
        shutil.rmtree(damaged)
    result = environment.program.run("convert", TINY / name, "-o", environment.scratch / "static", "-p", "all", "--seq_length", "16", "--compare", "--json")
    problems.check(result.status == 0, str(result))
    report = json.loads((environment.scratch / "static" / "comparison_report.json").read_text())
    problems.check(report["passed"] and set(report["precisions"]) == set(PRECISIONS), f"{report}")
    problems.report()


def wrong_graph(environment):
    """A graph that looks one key too far is found out, though every weight is right."""
    out = environment.program.build(TINY / NAME, environment.scratch / "out", precisions=("fp32",))
    path = out / "onnx" / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    window = next(i for i in model.graph.initializer if i.name.endswith("/window") and onnx.numpy_helper.to_array(i) < 100)
    window.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(window) + 1, window.name))
    onnx.save(model, path)
    result = environment.program.run("verify", out)
    check(result.status == MISMATCH and "hidden state" in result.err, str(result))


def ran(environment):
    """`run` gives the embeddings of texts, with a task's words in front of them."""
    from transformers import AutoTokenizer
    problems = Problems()
    out = environment.program.build(TINY / "embeddinggemma-dense.gguf", environment.scratch / "out", precisions=("fp32",))
    prompts = json.loads((TINY / NAME / "config_sentence_transformers.json").read_text())
    (out / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    tokenizer, session = AutoTokenizer.from_pretrained(out), open_session(out / "onnx" / "model.onnx")
    texts = ["the and then", "e", "then the and the"]
    for task in (None, "query", "document"):
        result = environment.program.run("run", out, *texts, "-q", *(["--task", task] if task else []))
        found = np.array([json.loads(line) for line in result.out.splitlines()])
        for text, mine in zip(texts, found, strict=True):
            ids = np.array([tokenizer((prompts["prompts"][task] if task else "") + text).input_ids])
            problems.check(ids[0, 0] == 2 and ids[0, -1] == 1, f"ids {ids}")
            problems.check(distance(mine, run(session, ids, np.ones_like(ids))[1][0]) < 2e-6, f"{task}, {text}: {mine[:4]}")
    line = environment.program.refuse(ARGUMENT, "run", out, "the", "--task", "poem")
    problems.check("poem" in line and "query" in line, line)
    for arguments in (("run", out, "the", "--chat"), ("build", TINY / NAME, "-o", environment.scratch / "x", "--embedding-dim", "37"),
                      ("build", TINY / NAME, "-o", environment.scratch / "x", "--all-logits"), ("build", TINY / "gemma3-pattern", "-o", environment.scratch / "x", "--embedding-dim", "8")):
        environment.program.refuse(ARGUMENT, *arguments)
    environment.program.refuse(UNSUPPORTED, "bench", out)
    problems.report()


def modules(environment):
    """What a sentence-transformers folder says is taken as it is, or refused by what it is."""
    folder, out = environment.scratch / "model", environment.scratch / "out"

    def refuse(status, file, change, *words):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(TINY / NAME, folder)
        change(folder / file)
        line = environment.program.refuse(status, "build", folder, "-o", out)
        for word in words:
            check(word in line, f"'{word}' is not in: {line}")
        check_nothing_left(out)

    def replace(old, new):
        return lambda path: path.write_text(path.read_text().replace(old, new, 1))

    refuse(UNSUPPORTED, "1_Pooling/config.json", replace('"pooling_mode_cls_token": false', '"pooling_mode_cls_token": true'), "1_Pooling/config.json", "mean")
    refuse(UNSUPPORTED, "2_Dense/config.json", replace("Identity", "Tanh"), "2_Dense/config.json", "activation")
    refuse(UNSUPPORTED, "2_Dense/config.json", replace('"bias": false', '"bias": true'), "bias")
    refuse(FORMAT, "2_Dense/config.json", replace('"in_features": 36', '"in_features": 35'), "2_Dense/config.json", "35", "36")
    refuse(FORMAT, "3_Dense/config.json", replace('"out_features": 36', '"out_features": 30'), "3_Dense/linear.weight", "[30, ")
    refuse(FORMAT, "2_Dense/model.safetensors", lambda path: path.unlink(), "2_Dense/linear.weight", "missing")
    refuse(FORMAT, "2_Dense/model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-4]), "2_Dense/model.safetensors")
    refuse(FORMAT, "modules.json", replace('"path": "2_Dense"', '"path": "../2_Dense"'), "modules.json", "plain")
    refuse(UNSUPPORTED, "modules.json", replace("models.Normalize", "models.LSTM"), "LSTM")
    refuse(FORMAT, "modules.json", lambda path: path.write_text("{}"), "modules.json")
    refuse(FORMAT, "1_Pooling/config.json", lambda path: path.write_text("{"), "1_Pooling/config.json")
    shutil.rmtree(folder)
    shutil.copytree(TINY / NAME, folder)
    (folder / "modules.json").unlink()
    result = environment.program.run("build", folder, "-o", out, "-n")
    check(result.status == 0 and "no modules.json" in result.out, f"no note: {result}\n{result.out[:400]}")


def fp16_holds(environment, name):
    """On many texts, a file in fp16 is as near the fp32 of its own weights as Transformers in fp16 is with them: no further than twice at the worst,
    and by root mean square no further than half as far again."""
    import torch
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--accuracy-level", "1", precisions=("fp16", "q4f16"))
    texts = np.random.default_rng(1).integers(3, golden(name)["prompt.input_ids"].max(), (40, 1, 23))
    for file in ("model_fp16", "model_q4f16"):
        path = out / "onnx" / f"{file}.onnx"
        model, session = put_weights(judge(name), Exported(path).weights()), open_session(path)
        half = copy.deepcopy(model).half()
        with torch.no_grad():
            truth, theirs = (np.stack([m(torch.from_numpy(ids), use_cache=False).last_hidden_state.float().numpy() for ids in texts]) for m in (model, half))
        ours = np.stack([run(session, ids, np.ones_like(ids))[0] for ids in texts])
        std = float(golden(name)["last_hidden_state.std"][0])
        (largest, rms), (their_largest, their_rms) = ((abs(x - truth).max() / std, np.sqrt(((x - truth) ** 2).mean()) / std) for x in (ours, theirs))
        problems.check(largest <= max(2e-2, 2 * their_largest) and rms <= 1.5 * their_rms, f"{file}: off by {largest:.1e}, rms {rms:.1e} std; Transformers {their_largest:.1e}, {their_rms:.1e}")
    problems.report()


def tests(environment):
    names = encoder_names()
    for name in names:
        yield f"contract[{name}]", lambda e, n=name: contract(e, n)
        yield f"dimensions[{name}]", lambda e, n=name: dimensions(e, n)
        yield f"fp16_holds[{name}]", lambda e, n=name: fp16_holds(e, n)
        for profile in PROFILES if environment.full or name == NAME else PROFILES[:1]:
            yield f"numbers[{name}, {profile}]", lambda e, n=name, p=profile: numbers(e, n, p)
            yield f"static[{name}, {profile}]", lambda e, n=name, p=profile: static(e, n, p)
    for name in names if environment.full else (NAME,):
        yield f"openvino[{name}]", lambda e, n=name: in_openvino(e, n)
    yield "verified", lambda e: verified(e, NAME)
    yield "wrong_graph", wrong_graph
    yield "ran", ran
    yield "modules", modules

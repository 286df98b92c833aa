"""Wrong input: one line on stderr, the right exit status, nothing left behind. Run it on a sanitizer build, too."""
import json
import random
import shutil

import numpy as np

import synthetic
from harness import ARGUMENT, FORMAT, IO, TINY, UNSUPPORTED, Failure, Problems, check, check_nothing_left

ANY = (ARGUMENT, IO, FORMAT, UNSUPPORTED, 6)


def refuse(environment, status, model, *words, precisions=("all",)):
    """The build fails so, and the line holds all the words."""
    out = environment.scratch / "out"
    line = environment.program.refuse(status, "build", model, "-o", out, "-p", *precisions)
    for word in words:
        check(word in line, f"'{word}' is not in: {line}")
    check_nothing_left(out)
    return line


# ---- safetensors


def truncated(environment):
    folder = synthetic.write(environment.scratch / "model")
    whole = (folder / "model.safetensors").read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    for cut in [0, 1, 7, 8, 9, length - 1, length, length + 1, len(whole) // 2, len(whole) - 1]:
        (folder / "model.safetensors").write_bytes(whole[:cut])
        refuse(environment, FORMAT, folder, "model.safetensors")


def wrong_shapes(environment):
    values = synthetic.tensors(synthetic.SMALL)
    wrong = ["model.norm.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"]
    for name in wrong:
        values[name] = np.zeros((3,) + values[name].shape[1:], np.float32)
    missing = "model.layers.1.self_attn.k_norm.weight"
    del values[missing]
    extra = "model.layers.0.self_attn.lora_A.weight"
    values[extra] = np.zeros((2, 2), np.float32)
    line = refuse(environment, FORMAT, synthetic.write(environment.scratch / "model", values), *wrong, missing, extra)
    check("[3" in line and "expected" in line, f"no shapes in: {line}")


def missing_layer(environment):
    values = {k: v for k, v in synthetic.tensors(synthetic.SMALL).items() if ".layers.1." not in k}
    refuse(environment, FORMAT, synthetic.write(environment.scratch / "model", values), "model.layers.1.input_layernorm.weight", "missing")


def not_finite(environment):
    """NaN is refused wherever a weight is quantised or narrowed, with its place."""
    problems = Problems()
    for value in (np.nan, np.inf, -np.inf):
        for name, cell in (("model.layers.0.mlp.up_proj.weight", (5, 7)), ("model.embed_tokens.weight", (100, 23)), ("model.layers.1.self_attn.o_proj.weight", (0, 0))):
            values = synthetic.tensors(synthetic.SMALL)
            values[name][cell] = value
            folder = synthetic.write(environment.scratch / "model", values)
            for precision in ("q4", "q4f16", "q8", "int8", "fp16"):
                try:
                    refuse(environment, UNSUPPORTED, folder, name, precisions=(precision,))
                except Failure as failure:
                    problems.check(False, f"{precision}, {value} in {name}: {failure}")
                    shutil.rmtree(environment.scratch / "out", ignore_errors=True)
    problems.report()


def tiny_and_huge_values(environment):
    """Denormals and zeros are quantised, not stumbled over; what no scale can hold is refused."""
    for scale in (1e-45, 1e-42, 1e-38, 1e-7, 1e3, 1e30, 1e37):
        values = synthetic.tensors(synthetic.SMALL)
        for name, value in values.items():
            if value.ndim == 2 and "layers.0" in name:
                value[:] = (value.astype(np.float64) * 10 * scale).astype(np.float32)
                value[:, ::3] = 0
        folder = synthetic.write(environment.scratch / "model", values)
        if scale < 1e10:
            environment.program.build(folder, environment.scratch / f"out{scale}", precisions=("q4", "q8"))
        else:
            environment.program.build(folder, environment.scratch / f"out{scale}", precisions=("q8",))
            refuse(environment, UNSUPPORTED, folder, "model.layers.0.", precisions=("q4",))


def lying_headers(environment):
    values = synthetic.tensors(synthetic.SMALL)
    good = synthetic.entries_of(values)
    first, name = next(iter(good)), "model.layers.0.mlp.up_proj.weight"
    nbytes = good[name]["data_offsets"][1] - good[name]["data_offsets"][0]

    def edited(**change):
        return good | {name: good[name] | change}

    cases = {
        "huge shape": edited(shape=[2**62, 2**62]), "product wraps": edited(shape=[2**33, 2**31]), "zero": edited(shape=[0, 24]),
        "negative": edited(shape=[-36, 24]), "fraction": edited(shape=[36.0, 24]), "deep": edited(shape=[1] * 40), "no shape": edited(shape=None),
        "shape of strings": edited(shape=["36", "24"]), "unknown type": edited(dtype="F13"), "integers": edited(dtype="I64"), "no type": edited(dtype=7),
        "backwards": edited(data_offsets=[nbytes, 0]), "outside": edited(data_offsets=[2**63, 2**63 + nbytes]), "short": edited(data_offsets=[0, nbytes - 4]),
        "one offset": edited(data_offsets=[0]), "overflow": edited(data_offsets=[2**64 - 8, 2**64 - 1]), "no object": good | {name: 3},
        "a list": [], "a string": b'"x"', "no JSON": b"{", "not UTF-8": b'{"\xff": 1}', "empty": b"", "deep JSON": b"[" * 100000,
        "twice": json.dumps(good).encode()[:-1] + b"," + json.dumps({first: good[first]}).encode()[1:],
        "NUL in a name": good | {"a\0b": good[first]}, "line break in a name": good | {"a\nb": good[first]},
        "escape sequence in a name": good | {"\x1b[31mred": good[first]},
    }
    problems = Problems()
    for case, entries in cases.items():
        folder = synthetic.write(environment.scratch / "model", values, entries)
        try:
            line = refuse(environment, (FORMAT, UNSUPPORTED), folder)
            problems.check(line.isprintable(), f"{case}: control characters in {line!r}")
            problems.check("model" in line, f"{case}: no file named: {line}")
        except Failure as failure:
            problems.check(False, f"{case}: {failure}")
            shutil.rmtree(environment.scratch / "out", ignore_errors=True)
    length = environment.scratch / "model" / "model.safetensors"
    for prefix in (b"\xff" * 8, b"\0" * 8, (2**63).to_bytes(8, "little"), (10**8 + 1).to_bytes(8, "little")):
        length.write_bytes(prefix + b"{}" * 40)
        refuse(environment, FORMAT, environment.scratch / "model", "model.safetensors")
    problems.report()


def overlapping(environment):
    """Two tensors on the same bytes: the format forbids it."""
    values = synthetic.tensors(synthetic.SMALL)
    entries = synthetic.entries_of(values)
    entries["model.layers.1.mlp.up_proj.weight"]["data_offsets"] = entries["model.layers.0.mlp.up_proj.weight"]["data_offsets"]
    refuse(environment, FORMAT, synthetic.write(environment.scratch / "model", values, entries), "up_proj")


# ---- shards


def shards(environment):
    source = TINY / "gemma-gqa-sharded"
    index = json.loads((source / "model.safetensors.index.json").read_text())
    some = next(iter(index["weight_map"]))
    problems = Problems()
    for bad in ("../model-00001-of-00003.safetensors", "/etc/passwd", "..", "", "a/b.safetensors", "missing.safetensors", 7, None, ["x"], "x\0y", "config.json"):
        folder = environment.scratch / "model"
        shutil.copytree(source, folder, dirs_exist_ok=True)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index["weight_map"] | {some: bad}}))
        try:
            line = refuse(environment, (FORMAT, IO), folder)
            problems.check("plain file name" in line or "/" not in str(bad), f"shard name {bad!r} is not refused as such: {line}")
        except Failure as failure:
            problems.check(False, f"shard name {bad!r}: {failure}")
            shutil.rmtree(environment.scratch / "out", ignore_errors=True)
    for text in ("", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}'):
        (folder / "model.safetensors.index.json").write_text(text)
        refuse(environment, FORMAT, folder, "index.json")
    problems.report()


def missing_shard(environment):
    folder = environment.scratch / "model"
    shutil.copytree(TINY / "gemma-gqa-sharded", folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    refuse(environment, IO, folder, "model-00002-of-00003.safetensors")


# ---- config.json


def configs(environment):
    good = synthetic.config(synthetic.SMALL)
    cases = {
        "syntax": ('{"model_type": "gemma3_text",', FORMAT, "config.json"), "empty": ("", FORMAT, "config.json"), "a list": ("[]", FORMAT, "config.json"),
        "quantised": (json.dumps(good | {"quantization_config": {"quant_method": "awq"}}), UNSUPPORTED, "quantization_config"),
        "unknown": (json.dumps(good | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}), UNSUPPORTED, "llama"),
        "no type": (json.dumps({k: v for k, v in good.items() if k not in ("model_type", "architectures")}), ANY, "model_type"),
        "type of a number": (json.dumps(good | {"model_type": 3}), ANY, "model_type"),
        "no hidden_size": (json.dumps(good | {"hidden_size": None}), ANY, ""), "zero heads": (json.dumps(good | {"num_attention_heads": 0}), ANY, "num_attention_heads"),
        "heads of a string": (json.dumps(good | {"num_attention_heads": "2"}), ANY, "num_attention_heads"),
        "negative": (json.dumps(good | {"num_hidden_layers": -1}), ANY, "num_hidden_layers"), "many layers": (json.dumps(good | {"num_hidden_layers": 2**31}), ANY, "num_hidden_layers"),
        "more layers": (json.dumps(good | {"num_hidden_layers": 5}), ANY, "model.layers."), "huge": (json.dumps(good | {"hidden_size": 2**63}), ANY, "hidden_size"),
        "uneven groups": (json.dumps(good | {"num_attention_heads": 3, "num_key_value_heads": 2}), ANY, "num_key_value_heads"),
        "huge context": (json.dumps(good | {"max_position_embeddings": 2**40}), ANY, "max_position_embeddings"),
        "epsilon": (json.dumps(good | {"rms_norm_eps": "small"}), ANY, "rms_norm_eps"), "theta": (json.dumps(good | {"rope_theta": 0}), ANY, "rope_theta"),
        "activation": (json.dumps(good | {"hidden_activation": "relu"}), ANY, "relu"), "pattern": (json.dumps(good | {"sliding_window_pattern": 0}), ANY, "sliding_window_pattern"),
        "layer types": (json.dumps(good | {"layer_types": ["full_attention"]}), ANY, "layer_types"),
        "layer type": (json.dumps(good | {"layer_types": ["full_attention", "circular"]}), ANY, "circular"),
        "rope": (json.dumps(good | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), ANY, "yarn"), "odd head": (json.dumps(good | {"head_dim": 15}), ANY, "head_dim"),
        "deep": ("[" * 200000, FORMAT, "config.json"), "NUL": ('{"model_type": "gemma3_text\\u0000x"}', ANY, "model_type"),
    }
    problems = Problems()
    for case, (text, status, word) in cases.items():
        folder = synthetic.write(environment.scratch / "model", config_text=text)
        try:
            refuse(environment, status, folder, word)
        except Failure as failure:
            problems.check(False, f"{case}: {failure}")
            shutil.rmtree(environment.scratch / "out", ignore_errors=True)
    problems.report()


def no_files(environment):
    empty = environment.scratch / "empty"
    empty.mkdir()
    refuse(environment, (IO, FORMAT), empty, str(empty))
    refuse(environment, IO, environment.scratch / "nowhere", "nowhere")
    folder = synthetic.write(environment.scratch / "model")
    (folder / "config.json").unlink()
    refuse(environment, IO, folder, "config.json")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    (folder / "config.json").write_text(json.dumps(synthetic.config(synthetic.SMALL)))
    refuse(environment, (IO, FORMAT), folder)


def arguments(environment):
    folder, out = synthetic.write(environment.scratch / "model"), environment.scratch / "out"
    program = environment.program
    for wrong in (["build"], ["build", folder], ["build", folder, "-o", out, "-p", "int3"], ["build", folder, "-o", out, "-p"], ["build", folder, "-o"],
                  ["build", folder, "-o", out, "--block-size", "24"], ["build", folder, "-o", out, "--block-size", "-32"],
                  ["build", folder, "-o", out, "--block-size", "32x"], ["build", folder, "-o", out, "--embedding-bits", "5"],
                  ["build", folder, "-o", out, "--accuracy-level", "2"], ["build", folder, "-o", out, "--threads", "99999999999999999999"],
                  ["build", folder, "-o", out, "--no-such-option"], ["build", folder, folder, "-o", out], ["no-such-command"]):
        program.refuse(ARGUMENT, *wrong)
        check_nothing_left(out)


def vision_left_out(environment):
    """What is not converted is named."""
    for name in ("gemma3-multimodal", "gemma3-multimodal-sharded"):
        result = environment.program.run("build", TINY / name, "-o", environment.scratch / "out", "--dry-run", "-p", "q4")
        check(result.status == 0 and "left out" in result.out and ("vision_tower" in result.out or "multi_modal_projector" in result.out), f"vision tensors are not named: {result}\n{result.out[:600]}")
        check_nothing_left(environment.scratch)


# ---- GGUF


def cuts(environment, name):
    whole = (TINY / name).read_bytes()
    rng = random.Random(name)
    header_part = rng.sample(range(200, 20000), 120 if environment.full else 30)
    rest = rng.sample(range(20000, len(whole)), 60 if environment.full else 15)
    for cut in [*range(200), *header_part, *rest, len(whole) - 1]:
        path = environment.scratch / "cut.gguf"
        path.write_bytes(whole[:cut])
        try:
            refuse(environment, (FORMAT, UNSUPPORTED), path, "cut.gguf", precisions=("q4",))
        except Failure as failure:
            raise Failure(f"cut at {cut}: {failure}") from None


def missing_split(environment):
    folder = environment.scratch / "model"
    folder.mkdir()
    for n in (1, 3):
        shutil.copy(TINY / f"gemma-split-0000{n}-of-00003.gguf", folder)
    refuse(environment, (IO, FORMAT), folder / "gemma-split-00001-of-00003.gguf", "00002-of-00003")


# ---- mutations: whatever happens, no crash and nothing half-written


def mutated(whole, rng, reach):
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(min(reach, len(data)))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at:at + 8] = rng.choice((0, 2**63, 2**64 - 1, 2**31, 2**32, 1)).to_bytes(8, "little")
        else:
            del data[at:at + rng.randrange(1, 9)]
    return bytes(data)


def mutations(environment, source, name, reach):
    """Of one file of a checkpoint, or a single file."""
    folder = environment.scratch / "model"
    if (TINY / source).is_dir():
        shutil.copytree(TINY / source, folder)
    else:
        folder.mkdir()
        shutil.copy(TINY / source, folder / name)
    path, rng = folder / name, random.Random(f"{source}/{name}")
    whole = path.read_bytes()
    model = path if name.endswith(".gguf") else folder
    for n in range(800 if environment.full else 80):
        data = mutated(whole, rng, reach)
        path.write_bytes(data)
        out = environment.scratch / "out"
        try:
            result = environment.program.run("build", model, "-o", out, "-p", "q4", "-q")
            if result.status != 0:
                check(result.err.count("\n") == 1, f"expected one line on stderr: {result}")
                check_nothing_left(out)
            result = environment.program.run("inspect", model)
            check(result.err.count("\n") == (result.status != 0), f"expected one line on stderr for an error: {result}")
        except Failure as failure:
            raise Failure(f"mutation {n} ({len(data)} bytes): {failure}") from None
        shutil.rmtree(out, ignore_errors=True)


def mutated_output(environment):
    """inspect reads any ONNX file and output folder, and believes none."""
    out = environment.program.build(TINY / "gemma3-untied-f16", environment.scratch / "out", precisions=("q4",))
    for name, reach in (("onnx/model_q4.onnx", 1 << 20), ("gemma-onnx.json", 1 << 20), ("config.json", 1 << 20)):
        path, rng = out / name, random.Random(name)
        whole = path.read_bytes()
        for n in range(600 if environment.full else 80):
            path.write_bytes(mutated(whole, rng, reach) if n % 4 else whole[:rng.randrange(len(whole))])
            for target in (path, out):
                try:
                    result = environment.program.run("inspect", target)
                    check(result.err.count("\n") == (result.status != 0), f"expected one line on stderr for an error: {result}")
                except Failure as failure:
                    raise Failure(f"{name}, mutation {n}: {failure}") from None
        path.write_bytes(whole)


def tests(environment):
    yield "mutated_output", mutated_output
    for test in (truncated, wrong_shapes, missing_layer, not_finite, tiny_and_huge_values, lying_headers, overlapping, shards, missing_shard, configs,
                 no_files, arguments, vision_left_out, missing_split):
        yield test.__name__, test
    for name in ("gemma3-scaled.gguf", "gemma3-kinds.gguf")[:2 if environment.full else 1]:
        yield f"cuts[{name}]", lambda e, name=name: cuts(e, name)
    for source, name, reach in (("gemma3-untied-f16", "model.safetensors", 3000), ("gemma3-types-bf16", "config.json", 1 << 20),
                                ("gemma-gqa-sharded", "model.safetensors.index.json", 1 << 20), ("gemma3-scaled.gguf", "m.gguf", 16000)):
        yield f"mutations[{source}/{name}]", lambda e, s=source, n=name, r=reach: mutations(e, s, n, r)

"""`verify`: its numbers are those of an outside computation, and it finds out what is wrong with a file."""
import json
import random
import shutil
import subprocess
import sys

import numpy as np

from exported import Exported
from golden import decoder_of, judge
from harness import ARGUMENT, IO, MISMATCH, PRECISIONS, ROOT, TINY, Problems, check

OPTIONS = ("--windows", "2", "--window-ids", "64", "-q")


def agrees(environment, name):
    """Judged a second time by tools/independent_verify.py; all precisions pass."""
    out = environment.program.build(TINY / name, environment.scratch / "out")
    result = environment.program.run("verify", out, *OPTIONS)
    check(result.status == 0, str(result))
    report = json.loads((out / "verify.json").read_text())
    check(report["passed"] is True and set(report["precisions"]) == set(PRECISIONS), f"passed {report['passed']}, {list(report['precisions'])}")
    for precision, entry in report["precisions"].items():
        check(entry["load_warnings"] == 0, f"{precision}: {entry['load_warnings']} warnings while loading")
    check((out / "verify.html").stat().st_size > 1000, "no page")
    done = subprocess.run([sys.executable, ROOT / "tools" / "independent_verify.py", out, "--against", TINY / name, "--random", "--threads", "1", "--compare", out / "verify.json"],
                          capture_output=True, text=True)
    check(done.returncode == 0, done.stdout + done.stderr[-500:])


def damage(out, file, pattern, change):
    """Changes the values of one initializer in the data file, in place."""
    exported = Exported(out / "onnx" / f"{file}.onnx")
    name = next(n for n in exported.initializers if pattern in n and exported.place(n))
    location, offset, length = exported.place(name)
    values = exported.array(name).copy()
    change(values)
    with open(out / "onnx" / location, "r+b") as data:
        data.seek(offset)
        data.write(values.tobytes())


def set_row(values):
    values[3] = values[3] * values.dtype.type(1.5)


def finds_damage(environment):
    """A small fault anywhere is a mismatch."""
    problems = Problems()
    clean = environment.program.build(TINY / "gemma3-pattern", environment.scratch / "clean", precisions=("fp32", "fp16"))
    faults = (("layers.0/self_attn/qkv_proj", set_row), ("layers.2/mlp/down_proj", set_row), ("layers.1/post_feedforward_layernorm", set_row), ("embed_tokens", set_row),
              ("layers.1/self_attn/k_norm", set_row), ("lm_head/norm", set_row))
    for precision, file in (("fp32", "model"), ("fp16", "model_fp16")):
        for pattern, change in faults:
            out = environment.scratch / "damaged"
            shutil.copytree(clean, out)
            damage(out, file, pattern, change)
            result = environment.program.run("verify", out, "-p", precision, *OPTIONS)
            problems.check(result.status == MISMATCH, f"{precision}: {pattern} is damaged, but {result}")
            if result.status == MISMATCH:
                problems.check(json.loads((out / "verify.json").read_text())["passed"] is False, f"{precision}, {pattern}: verify.json says that it passed")
            shutil.rmtree(out)
    problems.report()


def not_a_number(environment):
    """One infinity in the weights."""
    out = environment.program.build(TINY / "gemma3-pattern", environment.scratch / "out", precisions=("fp32",))

    def infinite(values):
        values.reshape(-1)[5] = np.inf
    damage(out, "model", "layers.0/mlp/gate_up_proj", infinite)
    result = environment.program.run("verify", out, *OPTIONS)
    check(result.status == MISMATCH, f"an infinite weight: {result}")
    text = (out / "verify.json").read_text()
    json.loads(text, parse_constant=lambda name: check(False, f"verify.json holds {name}, which is no JSON"))


def wrong_source(environment):
    """Judged by another checkpoint than its own it does not pass unnoticed."""
    out = environment.program.build(TINY / "gemma3-pattern", environment.scratch / "out", precisions=("fp32",))
    result = environment.program.run("verify", out, "--against", TINY / "gemma3-finetune", *OPTIONS)
    check(result.status != 0, f"another model was accepted: {result}")


def weights(environment):
    """The error of each weight, against NumPy's; options of the build are found again."""
    name = "gemma3-pattern"
    problems, model = Problems(), judge(name)
    for options in ((), ("--block-size", "16", "--embedding-bits", "8")):
        out = environment.program.build(TINY / name, environment.scratch / f"out{len(options)}", *options, precisions=("fp32", "q4", "q8"))
        environment.program.run("verify", out, "--max-kl", "10", *OPTIONS)
        report = json.loads((out / "verify.json").read_text())["precisions"]
        problems.check(all(w["relative_error"] == 0 == w["largest_error"] for w in report["fp32"]["weights"]), f"{options}: fp32 weights differ from the source")
        for precision in ("q4", "q8"):
            said = {w["name"].rsplit("/", 1)[-1]: w for w in report[precision]["weights"] if "layers" not in w["name"] or "layers.0" in w["name"]}
            held = Exported(out / "onnx" / f"{PRECISIONS[precision]}.onnx").weights()
            layer = decoder_of(model).layers[0]
            for key, source, found in (("embed_tokens", decoder_of(model).embed_tokens, held["embedding"]), ("down_proj", layer.mlp.down_proj, held[0, "mlp.down_proj"]),
                                       ("o_proj", layer.self_attn.o_proj, held[0, "self_attn.o_proj"])):
                source = source.weight.detach().numpy().astype(np.float64)
                difference = found - source
                for what, value in (("relative_error", np.sqrt((difference ** 2).sum() / (source ** 2).sum())), ("largest_error", np.abs(difference).max())):
                    problems.check(abs(said[key][what] - value) <= 1e-4 * value, f"{options}, {precision}, {key}: {what} {said[key][what]}, NumPy {value}")
    problems.report()


def broken_files(environment):
    """One line, no crash, whatever happened to the folder."""
    clean = environment.program.build(TINY / "gemma3-pattern", environment.scratch / "clean", precisions=("fp32",))
    rng = random.Random(5)
    for name in ("onnx/model.onnx", "onnx/model.onnx_data", "config.json", "gemma-onnx.json"):
        for how in ("missing", "empty", "cut", "noise"):
            out = environment.scratch / "out"
            shutil.copytree(clean, out)
            path, whole = out / name, (clean / name).read_bytes()
            if how == "missing":
                path.unlink()
            else:
                path.write_bytes({"empty": b"", "cut": whole[:len(whole) // 2], "noise": rng.randbytes(len(whole))}[how])
            result = environment.program.run("verify", out, *OPTIONS)
            check(result.status == 0 or result.err.count("\n") == 1, f"{name} {how}: expected one line on stderr: {result}")
            check(result.status != 0 or name in ("config.json", "gemma-onnx.json"), f"{name} {how}: {result}")
            shutil.rmtree(out)
    environment.program.refuse((ARGUMENT, IO), "verify", environment.scratch / "nowhere")


def tests(environment):
    for name in ("gemma3-types-bf16", "gemma-untied-f16", "gemma3-multimodal", "gemma3-other-head", "gemma-gqa-sharded")[:5 if environment.full else 1]:
        yield f"agrees[{name}]", lambda e, n=name: agrees(e, n)
    for test in (finds_damage, not_a_number, wrong_source, weights, broken_files):
        yield test.__name__, test

"""convert --compare and --reference: green on what is right, and naming the layer of what is wrong."""
import json
import subprocess
import sys

import numpy as np
import onnx

from exported import Exported
from golden import golden
from harness import FORMAT, MISMATCH, PRECISIONS, ROOT, TINY, UNSUPPORTED, Problems, check
from static_pair import StaticPair

ROOM, LENGTH = 64, 8


def convert(environment, name, *arguments, status=0, precisions=("fp32",)):
    out = environment.scratch / "pair"
    result = environment.program.run("convert", "--model_name", TINY / name, "--output_dir", out, "--seq_length", LENGTH, "--max_length", ROOM, "-p", *precisions, "--force",
                                     *arguments)
    check(result.status == status, f"expected exit status {status}: {result}")
    return out, result


def report_of(out):
    return json.loads((out / "comparison_report.json").read_text())


def green(environment, name, profile):
    """The old script's command line ends well; the report says what was compared, and the page opens."""
    problems = Problems()
    for batch, cache in ((1, "full"), (3, "bounded")):
        out, result = convert(environment, name, "--batch_size", batch, "--profile", profile, "--cache", cache, "--compare", "--benchmark", precisions=("fp32", "fp16"))
        report = report_of(out)
        problems.check(report["passed"] and len(report["prompt_lengths"]) % batch == 0 and report["decode_steps"] >= 16, f"{report}")
        for precision, entry in report["precisions"].items():
            problems.check(entry["difference_starts_in_layer"] == -1 or precision != "fp32", f"{precision}: a layer is blamed")
            problems.check(len(entry["steps"]) == 1 + report["decode_steps"] and all(l["cosine"] > 0.999 for p in entry["layers"].values() for l in p), f"{precision}: {entry}")
        problems.check("<svg" in (out / "comparison_report.html").read_text(), "the page has no plot")
        rates = json.loads((out / "benchmark_results.json").read_text())["static_precisions"]
        problems.check(set(rates) == {"fp32", "fp16"} and rates["fp32"]["decode_tokens_per_second"], f"{rates}")
        problems.check("fp32" in result.out and "prefill" in result.out, result.out)
    problems.report()


def all_logits(environment, profile):
    """--all-logits: prefill gives every position; our own driver picks the one that counts."""
    from group_static import expected
    name = "gemma3-pattern"
    out, _ = convert(environment, name, "--all-logits", "--profile", profile, "--compare")
    check(report_of(out)["passed"], "the comparison failed")
    ids, truth = expected(name)
    pair = StaticPair(out, "fp32")
    taken, logits, _ = pair.step([ids[0, :6]])
    check(taken == [6] and logits.shape == (1, LENGTH, truth.shape[-1]), f"{taken}, {logits.shape}")
    difference = np.abs(logits[0, :6] - truth[0, :6]).max() / truth.std(-1).mean()
    check(difference <= 2e-4, f"{difference:.1e} std")


def spoiled_weight(out, layer):
    """One weight of the layer becomes another number."""
    file = Exported(out / "gemma_decode.onnx")
    name, offset, _ = file.place(f"/model/layers.{layer}/mlp/down_proj.weight")
    with open(out / name, "r+b") as f:
        f.seek(offset + 40)
        f.write(np.float32(3).tobytes())


def spoiled_window(out, layer):
    """The layer sees one key less."""
    for graph in ("gemma_prefill", "gemma_decode"):
        model = onnx.load(out / f"{graph}.onnx", load_external_data=False)
        node = next(n for n in model.graph.node if n.name == f"/model/layers.{layer}/self_attn/attention")
        window = next(a for a in node.attribute if a.name == "local_window_size")
        check(window.i > 2, "the layer has no window")
        window.i -= 1
        onnx.save(model, out / f"{graph}.onnx")


def wrong_file(environment, spoil, layer):
    out, _ = convert(environment, "gemma3-pattern", "--compare")
    spoil(out, layer)
    message = environment.program.refuse(MISMATCH, "verify", out, "-q")
    check(f"starts in layer {layer} " in message, f"the message does not name layer {layer}: {message}")
    entry = report_of(out)["precisions"]["fp32"]
    check(entry["difference_starts_in_layer"] == layer and not entry["passed"], f"{entry['difference_starts_in_layer']}")


def record(environment, name, file, *arguments):
    prompts = [" ".join(map(str, golden(name)[f"{case}.input_ids"][0, :n])) for case, n in (("prompt", 20), ("chunks", 8), ("cached", 3))]
    command = [sys.executable, ROOT / "tools" / "record_reference.py", TINY / name, "--output", file, "--steps", "32", *arguments]
    done = subprocess.run([str(c) for c in command] + [a for p in prompts for a in ("--prompt", p)], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr[-1500:])


def recorded(environment, suffix):
    """What PyTorch computed judges, with padding on the right; a changed number is noticed."""
    name, file = "gemma3-pattern", environment.scratch / f"reference{suffix}"
    record(environment, name, file, "--pad-to", "24")
    for batch in (1, 3):
        out, _ = convert(environment, name, "--batch_size", batch, "--reference", file)
        report = report_of(out)
        check(report["passed"] and report["reference"] == file.name and report["prompt_lengths"] == [20, 8, 3], f"{report['prompt_lengths']}, {report['reference']}")
    if suffix == ".npz":
        arrays = dict(np.load(file))
        arrays["decode_logits"][1, 5, 7] += 1
        np.savez(file, **arrays)
        _, result = convert(environment, name, "--reference", file, status=MISMATCH)
        check("no layer differs" in result.err, result.err)


def bad_records(environment):
    """Compressed, cut short, of another shape, not there."""
    name, file = "gemma3-pattern", environment.scratch / "reference.npz"
    record(environment, name, file)
    good = file.read_bytes()
    np.savez_compressed(file, **np.load(file))
    convert(environment, name, "--reference", file, status=UNSUPPORTED)
    for cut in (0, 10, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:cut])
        convert(environment, name, "--reference", file, status=FORMAT)
    file.write_bytes(good)
    arrays = dict(np.load(file))
    np.savez(file, **arrays | {"decode_logits": arrays["decode_logits"][:, :, 1:]})
    convert(environment, name, "--reference", file, status=FORMAT)
    del arrays["attention_mask"]
    np.savez(file, **arrays)
    convert(environment, name, "--reference", file, status=FORMAT)


def run_and_inspect(environment):
    """`run` needs a tokenizer, which the tiny folders lack; `inspect` and `bench` take the folder."""
    out, _ = convert(environment, "gemma3-pattern", precisions=("fp32", "q4"))
    for command in (("inspect", out), ("inspect", out, "--json"), ("bench", out, "--prompt-tokens", "16", "--decode-tokens", "8")):
        result = environment.program.run(*command)
        check(result.status == 0 and "gemma_decode" in result.out or command[0] == "bench" and "static" in result.out, str(result))


def beside_build(environment):
    """A pair in the folder of a build leaves it as it is; bench measures both, verify judges the dynamic files, --compare the pair."""
    name = "gemma3-pattern"
    out = environment.program.build(TINY / name, environment.scratch / "pair", precisions=("fp32", "q4"))
    before = {p: p.read_bytes() for p in (out / "onnx").iterdir()}
    config = json.loads((out / "config.json").read_text())
    convert(environment, name, "--compare", "--benchmark", precisions=("q4", "fp32"))
    check(all(p.read_bytes() == data for p, data in before.items()) and json.loads((out / "config.json").read_text()) == config, "convert changed what build wrote")
    check((out / "gemma_prefill_fp32.onnx").exists() and (out / "gemma.onnx_data").read_bytes() == (out / "onnx" / "model_q4.onnx_data").read_bytes(), "the first precision has a suffix")
    rates = json.loads((out / "benchmark_results.json").read_text())
    check(set(rates["precisions"]) == set(rates["static_precisions"]) == {"fp32", "q4"}, f"{rates}")
    result = environment.program.run("verify", out, "-q")
    check(result.status == 0 and (out / "verify.json").exists(), str(result))
    again = environment.program.build(TINY / name, out, precisions=("q8",))
    text = environment.program.run("inspect", again).out
    check(all(f in text for f in ("model_quantized.onnx", "model_q4.onnx", "gemma_decode_fp32.onnx")), text)


def lint(environment, name):
    """Told before anything is written; strict ends with 5; a target that takes all says so."""
    problems = Problems()
    out = environment.scratch / "out"
    for target in ("qnn", "coreml", "openvino", "webnn", "webgpu"):
        for profile in ("ort", "standard", "primitive"):
            result = environment.program.run("convert", TINY / name, "-o", out, "--profile", profile, "--lint", target, "--lint-strict", "--json", "-n", "-p", "all")
            document = json.JSONDecoder().raw_decode(result.out)[0]
            found = [f for g in document["graphs"].values() for f in g["findings"]]
            problems.check(document["lint"] == target and len(document["graphs"]) == 2 * len(PRECISIONS), f"{target}, {profile}: {result}")
            problems.check(result.status == (UNSUPPORTED if found else 0), f"{target}, {profile}: status {result.status} with {len(found)} findings")
            problems.check(all(f["count"] > 0 and f["example"] and f["reason"] and f["source"] for g in document["graphs"].values() for f in g["findings"] + g["notes"]), f"{found}")
            takes = ("primitive", "ort") if "experts" not in name else ("primitive",)
            problems.check(bool(found) != (target == "openvino" and profile in takes), f"{target}, {profile}: {len(found)} findings")
            if "experts" in name and (target, profile) == ("openvino", "ort"):  # a weight picked in a loop is no constant, as this operator alone wants it
                where = {g for g, entry in document["graphs"].items() for f in entry["findings"] if f["operator"] == "com.microsoft:MatMulNBits"}
                problems.check(len(where) == 6 and all("q4" in g or "int8" in g for g in where) and len(found) == 6, f"{target}, {profile}: {found}")
            if target in ("qnn", "coreml"):
                contrib = [f for f in found if f.get("operator") == "com.microsoft:GroupQueryAttention"]
                problems.check(bool(contrib) == (profile == "ort"), f"{target}, {profile}: {contrib}")
    problems.check(not out.exists(), "lint wrote something")
    message = environment.program.refuse(2, "convert", TINY / name, "-o", out, "--lint", "tpu")
    problems.check("qnn, coreml" in message, message)
    problems.report()


def refusals(environment):
    name = TINY / "gemma3-pattern"
    problems = Problems()
    for arguments, words in ((("--batch_size", "9"), "batch size 9"), (("--seq_length", "128", "--max_length", "64"), "above the maximum length"), (("--profile", "fast"), "fast"),
                             (("--cache", "ring"), "ring"), (("--seq_length", "8", "8"), "twice"), (("--seq_length", "x"), "'x'"), (("--max_length", "0"), "maximum length")):
        message = environment.program.refuse(2, "convert", name, "-o", environment.scratch / "out", *arguments)
        problems.check(words in message, f"{arguments}: {message}")
    environment.program.run("convert", name, "-o", environment.scratch / "out", "--seq_length", "8")
    problems.check("exists" in environment.program.refuse(2, "convert", name, "-o", environment.scratch / "out", "--seq_length", "8"), "overwrites")
    document = environment.scratch / "out" / "gemma_static.json"
    text = document.read_text()
    for change in (text[:100], text.replace('"max_length": 512', '"max_length": -1'), text.replace("gemma_decode.onnx", "../x.onnx"), text.replace("gemma_decode.onnx", "none.onnx")):
        document.write_text(change)
        environment.program.refuse((3, 4), "verify", environment.scratch / "out", "-q")
    problems.report()


def tests(environment):
    for name in ("gemma-mqa", "gemma3-pattern"):
        for profile in ("ort", "standard", "primitive"):
            yield f"green[{name}, {profile}]", lambda e, n=name, p=profile: green(e, n, p)
    for profile in ("ort", "standard", "primitive"):
        yield f"all_logits[{profile}]", lambda e, p=profile: all_logits(e, p)
    yield "wrong_weight", lambda e: wrong_file(e, spoiled_weight, 1)
    yield "wrong_window", lambda e: wrong_file(e, spoiled_window, 2)
    yield "recorded[npz]", lambda e: recorded(e, ".npz")
    yield "recorded[safetensors]", lambda e: recorded(e, ".safetensors")
    yield "bad_records", bad_records
    yield "run_and_inspect", run_and_inspect
    yield "beside_build", beside_build
    for name in ("gemma3-pattern", "gemma3n-streams", "gemma4-experts-sharded"):
        yield f"lint[{name}]", lambda e, n=name: lint(e, n)
    yield "refusals", refusals

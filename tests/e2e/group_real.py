"""The real Gemma 3 270M, where its files are in the cache (scripts/make-checkpoints): only with --full."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from harness import PRECISIONS, REAL, ROOT, Problems, check
from sessions import Decoder

STRIDE = 97


def source_at(name):
    check((REAL / name).exists(), f"{REAL / name} is not there; scripts/make-checkpoints f32 bf16 makes it")
    return REAL / name


def built(environment, source, *precisions):
    return environment.program.build(source_at(source), environment.scratch / "out", "--all-logits", precisions=precisions)


def golden_of(source):
    from safetensors.numpy import load_file
    name = "gemma-3-270m-bf16" if source.endswith("bf16") else "gemma-3-270m"
    return load_file(ROOT / "tests" / "golden" / f"{name}.safetensors")


def parity(environment, source):
    """fp32 logits at sampled positions, past the window, too; 64 greedy ids of 20 prompts."""
    problems, golden = Problems(), golden_of(source)
    decoder = Decoder(built(environment, source, "fp32") / "onnx" / "model.onnx", threads=2)
    std, worst = float(golden["logits.std"][0]), 0.0
    for n in range(len({k.split(".")[1] for k in golden if k.startswith("prompt.")})):
        case = {k.split(".")[2]: v for k, v in golden.items() if k.startswith(f"prompt.{n:02}.")}
        logits = decoder.step(case["ids"][None])[0][0]
        pairs = [(logits[-1][case["top_ids"]], case["top_logits"])]
        if "sample_positions" in case:
            pairs.append((logits[case["sample_positions"]][:, ::STRIDE], case["sample_logits"]))
        worst = max([worst] + [float(np.abs(a - b).max()) for a, b in pairs])
        text = decoder.greedy(case["ids"][None], len(case["greedy_ids"]))[0]
        problems.check((text == case["greedy_ids"]).all(), f"prompt {n}: greedy text parts at {int((text != case['greedy_ids']).argmax())}")
    print(f"{source}: largest difference {worst / std:.1e} std", flush=True)
    problems.check(worst <= 2e-4 * std, f"the logits differ by {worst / std:.2e} std")
    problems.check(decoder.warnings == "", f"ONNX Runtime warns: {decoder.warnings[:400]}")
    problems.report()


def far_positions(environment):
    """Beyond some thousand positions Transformers' fp32 angles show; with angles in double it is the judge there, too."""
    import types

    import torch
    import transformers
    from safetensors.numpy import load_file
    source, count = source_at("gemma-3-270m-f32"), 2048
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    rotary = model.model.rotary_emb

    def forward(self, x, position_ids, layer_type):
        parameters, width = self.config.rope_parameters[layer_type], self.config.head_dim
        frequencies = parameters["rope_theta"] ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = position_ids[..., None].double() * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().float(), angles.sin().float()

    rotary.forward = types.MethodType(forward, rotary)
    windows = load_file(ROOT / "tests" / "data" / "eval_ids.safetensors")["input_ids"]
    ids = np.concatenate([windows[0], windows[1:, 1:].reshape(-1)])[None, :count]
    with torch.no_grad():
        hidden = model.model(torch.from_numpy(ids), use_cache=False).last_hidden_state[0, ::61]
        expected = model.lm_head(hidden).numpy()
    decoder = Decoder(built(environment, "gemma-3-270m-f32", "fp32") / "onnx" / "model.onnx", threads=2)
    found = np.concatenate([piece[0] for piece in decoder.pieces(ids, [512] * (count // 512))])[::61]
    difference = np.abs(found - expected).max() / expected.std(-1).mean()
    print(f"{count} positions: largest difference {difference:.1e} std", flush=True)
    check(difference <= 2e-4, f"the logits differ by {difference:.2e} std")


def static_hosts(environment):
    """Both hosts on the real pair: the ids that Transformers gave, 64 of each of 20 prompts."""
    from group_hosts import c_host, ids_of
    problems, golden = Problems(), golden_of("gemma-3-270m-f32")
    out = environment.scratch / "pair"
    result = environment.program.run("convert", "--model_name", source_at("gemma-3-270m-f32"), "--output_dir", out, "--seq_length", "128", "--max_length", "1024", "-q")
    check(result.status == 0, str(result))
    commands = ([c_host(environment)], [sys.executable, ROOT / "examples" / "static" / "host.py"])
    for n in range(20):
        ids, expected = golden[f"prompt.{n:02}.ids"], golden[f"prompt.{n:02}.greedy_ids"].tolist()
        for command in commands:
            found = ids_of(command, out, len(expected), ids)
            problems.check(found == expected, f"{command[-1]}, prompt {n} of {len(ids)} ids: parts at {next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), '?')}")
    problems.report()


def static_compare(environment):
    """The old script's command line, against the reference and against PyTorch; a wrong weight is found in its layer."""
    from group_compare import spoiled_weight
    source, out, record = source_at("gemma-3-270m-f32"), environment.scratch / "pair", environment.scratch / "reference.npz"
    tool("record_reference.py", source, "--output", record, "--pad-to", "64")
    command = ("convert", "--model_name", source, "--output_dir", out, "--batch_size", "1", "--seq_length", "128", "--max_length", "512")
    for more in (("--compare",), ("--reference", record, "--force")):
        result = environment.program.run(*command, *more)
        check(result.status == 0, str(result))
        report = json.loads((out / "comparison_report.json").read_text())
        print(f"{report['reference']}: largest errors {report['precisions']['fp32']['prefill']['max_error']:.1e}, {report['precisions']['fp32']['decode']['max_error']:.1e}", flush=True)
    spoiled_weight(out, 11)
    message = environment.program.refuse(8, "verify", out, "-q")
    check("starts in layer 11 " in message, message)


def tool(name, *arguments):
    done = subprocess.run([sys.executable, ROOT / "tools" / name, *map(str, arguments)], capture_output=True, text=True)
    print(done.stdout, end="", flush=True)
    check(done.returncode == 0, f"{name}: {done.stdout[-800:]}\n{done.stderr[-800:]}")


def fp16_arithmetic(environment):
    """Every node rounded: no overflow, a margin of four, KL and top-1."""
    out = built(environment, "gemma-3-270m-f32", "fp16", "q4f16")
    tool("fp16_evaluator.py", out / "onnx" / "model_fp16.onnx", "--against", REAL / "gemma-3-270m-f32")
    tool("fp16_evaluator.py", out / "onnx" / "model_q4f16.onnx")


def verify_agrees(environment):
    """The program's own report, number by number."""
    source = source_at("gemma-3-270m-f32")
    out = environment.program.build(source, environment.scratch / "out")
    result = environment.program.run("verify", out, "--text-file", ROOT / "tests" / "data" / "eval.txt", "--windows", "2", "--window-ids", "512", "-q")
    check(result.status == 0, str(result))
    check(json.loads((out / "verify.json").read_text())["passed"], "verify.json says that it did not pass")
    tool("independent_verify.py", out, "--against", source, "--compare", out / "verify.json")


def checker(environment):
    import onnx
    out = environment.program.build(source_at("gemma-3-270m-bf16"), environment.scratch / "out")
    for name in PRECISIONS.values():
        onnx.checker.check_model(str(out / "onnx" / f"{name}.onnx"), full_check=True)


def oldest_runtime(environment):
    """The oldest release that the README promises loads every file without a warning, and `verify` is green with it."""
    library = os.environ.get("GEMMA_ONNX_OLDEST_ORT_LIBRARY")
    check(library, "GEMMA_ONNX_OLDEST_ORT_LIBRARY does not name a library; tests/run full does")
    out = environment.program.build(source_at("gemma-3-270m-bf16"), environment.scratch / "out")
    result = environment.program.run("verify", out, "--windows", "1", env=os.environ | {"GEMMA_ONNX_ORT_LIBRARY": library})
    check(result.status == 0, str(result))
    report = json.loads((out / "verify.json").read_text())
    check(report["onnxruntime"] == Path(library).name.removeprefix("libonnxruntime.so."), f"ran in {report['onnxruntime']}")
    check(all(r["load_warnings"] == 0 for r in report["precisions"].values()), "ONNX Runtime warns at loading")


def tests(environment):
    if not environment.full:
        return
    for source in ("gemma-3-270m-f32", "gemma-3-270m-bf16", "gemma-3-270m-q4_k_m.gguf"):
        yield f"parity[{source}]", lambda e, s=source: parity(e, s)
    yield "far_positions", far_positions
    yield "fp16_arithmetic", fp16_arithmetic
    yield "verify_agrees", verify_agrees
    yield "static_hosts", static_hosts
    yield "static_compare", static_compare
    yield "checker", checker
    yield "oldest_runtime", oldest_runtime

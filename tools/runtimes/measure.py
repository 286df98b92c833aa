#!/usr/bin/env python3
"""What runs the files, and how well: measure.py PROGRAM [--runtime NAME …] [--final]

Builds the real Gemma 3 270M and tiny checkpoints in every profile, form and precision, and tries them in every runtime of registry.py: each version in
an environment of its own (.deps/runtimes), each measurement in a process of its own. The results take their rows' places in docs/runtimes.json,
and docs/runtimes.md is made anew. Any part can be measured again:

  measure.py build/gemma-onnx --runtime onnxruntime@1.32.0 --profile ort --form dynamic --precision q4 --final

A text in fp32 and fp16 is compared with Hugging Face's fp32 ids (tests/golden); a quantised one with the newest ONNX Runtime's on the same file, and with
its ids at accuracy level 1 where the file has products that round activations. Numbers of tiny checkpoints are compared with what Transformers gave.
--final says that nothing else uses the machine; without it figures of time are marked as provisional. Run it with .deps/python/bin/python (scripts/python-env),
after scripts/make-checkpoints f32.
"""
import argparse
import datetime
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import environments
import page
import registry
import rows
from models import Models, REAL

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent / "tests" / "e2e")]

from harness import CORE  # noqa: E402

NET = 3600  # seconds after which a measurement is given up
# Of tiny checkpoints' logits, in standard deviations: fp32 from Transformers, the others from the newest ONNX Runtime on the same file. Products of the
# profile ort round activations to 8 bits, each release and processor in its way.
BOUNDS = {"fp32": 2e-4, "fp16": 2e-2, "q4": 2e-4, "q4f16": 2e-2, "q8": 2e-4, "int8": 2e-4}
BLOCKS = ("q4", "q4f16", "int8")  # precisions whose products are MatMulNBits in the profile ort
ROUNDED = 0.2
QUANTISED = ("gemma3-types-bf16", "gemma2-capped.gguf", "gemma4-experts-sharded")
# Logits: how near a quantised text's first other choice must have been, and where the file's products are computed without rounding activations.
NEAR, NEAR_EXACT = 0.5, 0.05


def machine():
    name = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "processor unknown")
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "").split()
    widest = next((word for flag, word in (("avx512_vnni", "AVX-512 VNNI"), ("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    gigabytes = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return ", ".join(filter(None, (name, widest, f"{len(os.sched_getaffinity(0))} cores", f"{gigabytes} GiB")))


def one_line(text):
    """Without folders, C++ signatures, colours and what a backtrace adds."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).split("Stack backtrace")[0]
    places = "|".join(re.escape(str(p)) for p in (tempfile.gettempdir(), environments.ROOT, Path.home()))
    text = re.sub(rf"(?:{places})/[^\s'\"]*/", "", " ".join(text.split()))
    text = re.sub(r"[^\s'\"(:]*/([\w.+-]+\.(?:cc|cpp|c|h|hpp|rs|py|mlir))\b", r"\1", text)
    text = re.sub(r"\w[\w.]*\.(?:cc|cpp|h):\d+ \S*::[^()]*\([^)]*\)(?: const)? ", "", text)
    text = re.sub(r"\[\d\d:\d\d:\d\d\] \S*:\d+: ", "", text)
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from \S+ failed:)?", "", text)
    return text if len(text) <= 400 else text[:300] + " … " + text[-97:]


def command_of(runtime):
    if runtime.is_python:
        return [environments.python_of(runtime.label, runtime.packages), HERE / "driver.py"]
    return ["node", HERE / ("chromium.mjs" if runtime.engine == "chromium" else "driver.mjs"), environments.npm_folder(runtime.label, runtime.packages)]


def run(runtime, job):
    """The driver's answer, and the peak of its resident memory in bytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        json.dump(job, file)
        file.flush()
        child = subprocess.Popen([*map(str, command_of(runtime)), file.name], stdout=out, stderr=err, env=environments.environment())
        net = threading.Timer(NET, child.kill)
        net.start()
        _, status, usage = os.wait4(child.pid, 0)
        net.cancel()
        out.seek(0)
        err.seek(0)
        said, complaints = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    last = said.rstrip().rsplit("\n", 1)[-1]
    if code == 0 and last.startswith("{"):
        answer = json.loads(last)
        printed = said.rstrip()[:-len(last)].strip() if "error" in answer else ""  # converters say on stdout what they do not take
        return answer | ({"error": f"{answer['error']} {printed[-300:]}"} if printed else {}), answer.get("peak_bytes", usage.ru_maxrss * 1024)
    ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return {"error": one_line(f"{ended}: {complaints[-300:]}"), "stage": "load"}, usage.ru_maxrss * 1024


# ---- texts

def real_prompts(count, longest=None):
    """Ids and Hugging Face's continuations, with the lead of each choice; spread over the lengths, of which the last two are 397 and 715."""
    from safetensors.numpy import load_file
    golden = load_file(HERE.parent.parent / "tests" / "golden" / "gemma-3-270m.safetensors")
    fit = [n for n in range(20) if longest is None or len(golden[f"prompt.{n:02}.ids"]) <= longest]
    numbers = fit if count >= len(fit) else sorted({fit[round(n * (len(fit) - 1) / max(count - 1, 1))] for n in range(count)})
    return [{k: golden[f"prompt.{n:02}.{k}"].tolist() for k in ("ids", "greedy_ids", "greedy_gaps")} for n in numbers]


def first_difference(found, expected):
    return next((n for n, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b), None)


def gap_to_golden(found, prompt):
    """The golden file keeps the lead over the second choice: what lies below that is at least as far."""
    at = first_difference(found, prompt["greedy_ids"][:len(found)])
    return 0.0 if at is None else prompt["greedy_gaps"][at]


def gap_to_choices(found, choices):
    """How far below the best the id that was taken stood in the run that is compared with."""
    at = first_difference(found, [c[0][0] for c in choices[:len(found)]])
    if at is None:
        return 0.0
    ids, logits = choices[at]
    return logits[0] - logits[ids.index(found[at])] if found[at] in ids else logits[0] - logits[-1]


class Judge:
    """Runs the newest ONNX Runtime where a text has no golden one, once for each graph."""

    def __init__(self, models, threads):
        self.models, self.threads, self.kept = models, threads, {}

    def choices(self, profile, form, precision, level, prompts, tokens):
        key = (profile, form, precision, level, len(prompts), len(prompts[-1]["ids"]), tokens)
        if key not in self.kept:
            job = text_job(self.models, profile, form, precision, prompts, tokens, self.threads, level)[0] | {"choices": True}
            answer, _ = run(registry.NEWEST, job | {"engine": "onnxruntime"})
            if "error" in answer:
                raise SystemExit(f"the newest ONNX Runtime does not run {key}: {answer['error']}")
            self.kept[key] = answer["choices"]
        return self.kept[key]

    def text(self, found, profile, form, precision, prompts, tokens, rounds):
        """rounds: Runtime.rounds."""
        common = {"prompts": len(prompts), "tokens": tokens}
        if precision in ("fp32", "fp16"):
            gaps = [gap_to_golden(f, p) for f, p in zip(found, prompts, strict=True)]
            equal = gaps.count(0.0)
            return common | {"equal": equal, "against": "Hugging Face fp32", "gap": max(gaps), "good": equal == len(prompts)}
        texts = self.choices(profile, form, precision, None, prompts, tokens)
        gaps = [gap_to_choices(f, c) for f, c in zip(found, texts, strict=True)]
        answer = common | {"equal": gaps.count(0.0), "against": f"ONNX Runtime {registry.NEWEST.version}", "gap": max(gaps), "good": max(gaps) < NEAR}
        if profile != "ort" or precision not in BLOCKS:
            return answer
        exactly = self.choices(profile, "dynamic", precision, 1, prompts, tokens)  # for static pairs, too: their weights are the same
        exact = max(gap_to_choices(f, c) for f, c in zip(found, exactly, strict=True))
        return answer | {"exact_gap": exact, "good": answer["good"] and (rounds or exact < NEAR_EXACT)}


def text_job(models, profile, form, precision, prompts, tokens, threads, level=None):
    graph, size = models.graph("gemma-3-270m", profile, form, precision, level)
    return graph | {"task": "text", "prompts": [p["ids"] for p in prompts], "tokens": tokens, "threads": threads, "vocabulary": models.vocabulary("gemma-3-270m")}, size


# ---- rows

def row_of(runtime, model, profile, form, precision, answer, final):
    """What every row has. A version that cannot be asked for warnings has none."""
    talk = answer.get("warnings", "") or ""
    return {"runtime": runtime.name, "version": runtime.version, "host": runtime.host, "model": model, "profile": profile, "form": form, "precision": precision,
            "loads": "error" not in answer or answer["stage"] != "load", "warnings": len(talk.splitlines()),
            "message": one_line(answer.get("error", "") or talk), "measured": datetime.date.today().isoformat(),
            "machine": ", ".join(filter(None, (machine(), answer.get("browser")))), "final": final}


def is_slow(runtime, profile, precision):
    """A token takes a second, in the runtime or in the one that is compared with: ONNX Runtime dequantises such weights in every call, and WebAssembly multiplies
    blocks that slowly."""
    return profile != "ort" and precision in (*BLOCKS, "q8") or not runtime.rounds and precision in BLOCKS


def prompts_and_tokens(runtime, profile, precision, options):
    if runtime.most:
        count, longest, tokens = runtime.most
        return real_prompts(min(options.prompts, count), longest), min(options.tokens, tokens)
    if is_slow(runtime, profile, precision):
        return real_prompts(min(options.prompts, 3), longest=40), min(options.tokens, 8)
    return real_prompts(options.prompts), options.tokens


def measure_text(runtime, profile, form, precision, judge, options):
    prompts, tokens = prompts_and_tokens(runtime, profile, precision, options)
    job, size = text_job(judge.models, profile, form, precision, prompts, tokens, options.threads)
    answer, peak = run(runtime, job | {"engine": runtime.engine} | runtime.settings)
    row = row_of(runtime, "gemma-3-270m", profile, form, precision, answer, options.final) | {"file_bytes": size}
    if "error" in answer:
        return row
    seconds = sorted(answer["seconds"])
    rate = round(1 / seconds[len(seconds) // 2], 1)
    return row | {"text": judge.text(answer["ids"], profile, form, precision, prompts, tokens, runtime.rounds), "tokens_per_second": rate, "peak_bytes": peak}


def golden_difference(runtime, name, profile, form, judge):
    graph, _ = judge.models.graph(name, profile, form, "fp32")
    answer, _ = run(runtime, graph | {"engine": runtime.engine, "task": "logits", "checkpoint": name, "threads": 1})
    return answer, max(answer["differences"].values()) if "differences" in answer else None


def choices_difference(found, expected):
    """Between the logits of two greedy texts as far as they are one."""
    worst = 0.0
    for (ids, logits), (other_ids, other_logits) in zip(found, expected, strict=True):
        others = dict(zip(other_ids, other_logits, strict=True))
        worst = max(worst, *(abs(logit - others[i]) for i, logit in zip(ids, logits, strict=True) if i in others))
        if ids[0] != other_ids[0]:
            break
    return worst


def newest_difference(runtime, name, profile, form, precision, judge):
    from golden import golden, std
    graph, _ = judge.models.graph(name, profile, form, precision)
    ids = golden(name)["prompt.input_ids"][0].tolist()
    job = graph | {"task": "text", "prompts": [ids, ids[:1]], "tokens": 8, "threads": 1, "vocabulary": judge.models.vocabulary(name), "choices": True}
    key = (name, profile, form, precision)
    if key not in judge.kept:
        judge.kept[key] = run(registry.NEWEST, job | {"engine": registry.NEWEST.engine})[0]["choices"]
    answer, _ = run(runtime, job | {"engine": runtime.engine})
    worst = max(choices_difference(f, e) for f, e in zip(answer["choices"], judge.kept[key], strict=True)) / std(name) if "choices" in answer else None
    return answer, worst


def measure_numbers(runtime, profile, form, precision, names, judge, options):
    """Several tiny checkpoints as one row; each in a process of its own, since some engines fall over."""
    bound = ROUNDED if profile == "ort" and precision in BLOCKS else BOUNDS[precision]
    found, complaint = [], None
    for name in names:
        answer, difference = golden_difference(runtime, name, profile, form, judge) if precision == "fp32" else newest_difference(runtime, name, profile, form, precision, judge)
        if difference is not None:
            found.append(difference)
            if not difference <= bound:
                answer = answer | {"error": f"{difference:.1g} standard deviations off", "stage": "run"}
        if complaint is None and ("error" in answer or answer.get("warnings")):
            complaint = answer | ({"error": f"{name}: {answer['error']}"} if "error" in answer else {})
    row = row_of(runtime, "tiny", profile, form, precision, complaint or answer, options.final)
    if not found:
        return row
    right = sum(difference <= bound for difference in found)
    worst = max(difference if math.isfinite(difference) else 1e6 for difference in found)
    return row | {"loads": True, "numbers": {"models": len(names), "right": right, "difference": float(f"{worst:.2g}"), "good": right == len(names)}}


def tiny_names(form, precision, options):
    """Of the quantised ones some: what families differ in is seen in fp32."""
    if options.checkpoint:
        return options.checkpoint
    return (*CORE, *(("embeddinggemma-published",) if form == "dynamic" else ())) if precision == "fp32" else QUANTISED


def measure(runtime, options, judge):
    """Rows, one after the other."""
    for profile in (p for p in runtime.profiles if p in options.profile):
        for form in (f for f in runtime.forms if f in options.form):
            for precision in (p for p in runtime.precisions if p in options.precision):
                if runtime.tiny and "tiny" in options.model:
                    yield measure_numbers(runtime, profile, form, precision, tiny_names(form, precision, options), judge, options)
                if runtime.real and "gemma-3-270m" in options.model:
                    yield measure_text(runtime, profile, form, precision, judge, options)


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program", type=Path)
    p.add_argument("--runtime", nargs="+", default=[], metavar="NAME", help="such as onnxruntime, onnxruntime@1.32.0, openvino; all without it")
    p.add_argument("--profile", nargs="+", default=registry.PROFILES, choices=registry.PROFILES)
    p.add_argument("--form", nargs="+", default=registry.FORMS, choices=registry.FORMS)
    p.add_argument("--precision", nargs="+", default=registry.PRECISIONS, choices=registry.PRECISIONS)
    p.add_argument("--model", nargs="+", default=("tiny", "gemma-3-270m"), choices=("tiny", "gemma-3-270m"))
    p.add_argument("--checkpoint", nargs="+", metavar="NAME", help="the tiny ones, of tests/golden/tiny; those of `make check` without it")
    p.add_argument("--prompts", type=int, default=20)
    p.add_argument("--tokens", type=int, default=48)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--final", action="store_true", help="nothing else uses the machine")
    p.add_argument("--scratch", type=Path, help="folder for the models, kept; else a temporary one, removed at the end")
    p.add_argument("--json", type=Path, default=rows.FILE)
    p.add_argument("--page", type=Path, default=page.PAGE)
    return p


def main():
    options = parser().parse_args()
    options.program = options.program.resolve()
    runtimes = registry.chosen(options.runtime)
    if "gemma-3-270m" in options.model and not REAL.exists():
        raise SystemExit(f"{REAL.name} is not there: scripts/make-checkpoints f32")
    with tempfile.TemporaryDirectory(prefix="gemma-onnx-runtimes-") as temporary:
        judge = Judge(Models(options.program, options.scratch or Path(temporary)), options.threads)
        for runtime in runtimes:
            try:
                for row in measure(runtime, options, judge):
                    rows.merge([row], options.json)
                    print(page.line_of(row), flush=True)
            except environments.CannotInstall as reason:
                print(f"{runtime.label}: cannot be installed here: {reason}", flush=True)
    page.write(rows.load(options.json), options.page)


if __name__ == "__main__":
    main()

"""The oldest ONNX Runtime that a model names, tried for what it is; and the page of what runs the files."""
import json
import subprocess
import sys

from harness import PRECISIONS, ROOT, TINY, Problems, Skip, check

sys.path.insert(0, str(ROOT / "tools" / "runtimes"))

# A checkpoint, profile, precision, how the graph is made; the release that its metadata names, and the one before, which cannot run it, or is wrong.
OLDEST = (
    ("gemma3-types-bf16", "ort", "fp32", ("build",), "1.24.1", "1.23.2"),
    ("gemma3-types-bf16", "ort", "fp32", ("convert", "--seq_length", 8, "--max_length", 48), "1.24.1", "1.23.2"),
    ("gemma3-types-bf16", "ort", "fp32", ("convert", "--seq_length", 8, "--max_length", 48, "--cache", "bounded"), "1.29.0", "1.28.0"),
    ("gemma3-types-bf16", "standard", "fp32", ("build",), "1.24.1", "1.23.2"),
    ("gemma3-types-bf16", "standard", "fp32", ("convert", "--seq_length", 8, "--max_length", 48), "1.25.1", "1.24.4"),
    ("gemma2-published", "standard", "fp32", ("build",), "1.27.0", "1.26.0"),
    ("gemma2-published", "standard", "fp32", ("convert", "--seq_length", 8, "--max_length", 48), "1.27.0", "1.26.0"),
    ("gemma3-types-bf16", "primitive", "fp32", ("build",), "1.15.1", None),
    ("gemma2-published", "primitive", "fp32", ("convert", "--seq_length", 8, "--max_length", 48), "1.15.1", None),
    ("gemma3-types-bf16", "primitive", "q4", ("build",), "1.19.2", "1.18.1"),
)
ROW = {"runtime": "ONNX Runtime", "version": "1.32.0", "host": "Python", "model": "gemma-3-270m", "profile": "ort", "form": "dynamic", "precision": "fp32", "loads": True,
       "warnings": 0, "message": "", "measured": "2026-11-30", "machine": "a machine", "final": True, "tokens_per_second": 18.5, "peak_bytes": 1800000000,
       "file_bytes": 1073000000, "text": {"prompts": 20, "tokens": 48, "equal": 20, "against": "Hugging Face fp32", "gap": 0, "good": True}}


def job_of(out, name, precision, command):
    import models
    suffix = "" if precision == "fp32" else f"_{precision}"
    path = out if command[0] == "convert" else out / "onnx" / f"model{suffix}.onnx"
    task = {"task": "logits"} if precision == "fp32" else {"task": "text", "prompts": [[2, 5, 7]], "tokens": 4, "vocabulary": 16}
    graph = next(out.glob("gemma_decode*.onnx")) if command[0] == "convert" else path
    return task | {"engine": "onnxruntime", "path": str(path), "form": "static" if command[0] == "convert" else "dynamic", "precision": precision,
                   "checkpoint": name, "threads": 1, "descriptions": {}}, models.described(graph)["metadata"]


def is_right(version, job):
    """Whether that release loads and runs it without a word, and in fp32 with Transformers' numbers."""
    import environments
    import measure
    import registry
    runtime = next(r for r in registry.onnx_runtimes() if r.label == f"onnxruntime@{version}")
    try:
        answer, _ = measure.run(runtime, job)
    except environments.CannotInstall as reason:
        raise Skip(f"ONNX Runtime {version} cannot be installed here: {reason}") from None
    if "error" in answer or answer["warnings"]:
        return False, answer.get("error", answer.get("warnings"))
    return max(answer.get("differences", {"": 0}).values()) <= measure.BOUNDS["fp32"], answer.get("differences")


def oldest(environment, name, profile, precision, command, right, wrong):
    out, problems = environment.scratch / "out", Problems()
    result = environment.program.run(command[0], TINY / name, "-o", out, "-p", precision, "--profile", profile, "-q", *command[1:])
    check(result.status == 0, str(result))
    job, metadata = job_of(out, name, precision, command)
    minor = right.rsplit(".", 1)[0]
    problems.check(metadata.get("gemma_onnx.min_onnxruntime") == minor, f"the model names {metadata.get('gemma_onnx.min_onnxruntime')}, expected {minor}")
    for version, expected in ((right, True), (wrong, False)):
        if version:
            found, said = is_right(version, job)
            problems.check(found == expected, f"{version} is {'right' if found else 'wrong'}: {said}")
    problems.report()


def named(environment):
    """Three profiles, three answers; inspect shows them."""
    for profile, expected in (("ort", "1.24"), ("standard", "1.24"), ("primitive", "1.15")):
        out = environment.program.build(TINY / "gemma3-pattern", environment.scratch / profile, "--profile", profile, precisions=("fp32",))
        shown = environment.program.run("inspect", out / "onnx" / "model.onnx").out
        check(f"metadata gemma_onnx.min_onnxruntime = {expected}\n" in shown, shown[-600:])


def driver(environment):
    """A measurement of this very Python's ONNX Runtime, in a process of its own."""
    out = environment.program.build(TINY / "gemma3-types-bf16", environment.scratch / "out", precisions=("fp32",))
    job, _ = job_of(out, "gemma3-types-bf16", "fp32", ("build",))
    file = environment.scratch / "job.json"
    file.write_text(json.dumps(job))
    done = subprocess.run([sys.executable, ROOT / "tools" / "runtimes" / "driver.py", file], capture_output=True, text=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    check(max(answer["differences"].values()) <= 2e-4 and len(answer["differences"]) == 6 and answer["warnings"] == "", f"{answer} {done.stderr}")
    file.write_text(json.dumps(job | {"path": str(out / "nowhere.onnx")}))
    answer = json.loads(subprocess.run([sys.executable, ROOT / "tools" / "runtimes" / "driver.py", file], capture_output=True, text=True).stdout.splitlines()[-1])
    check(answer["stage"] == "load" and "nowhere.onnx" in answer["error"], str(answer))


def texts(environment):
    """Where two texts part decides, and how near the other choice was."""
    import measure
    prompt = {"greedy_ids": [4, 5, 6], "greedy_gaps": [1.0, 0.25, 2.0]}
    choices = [[[4, 9], [3.0, 1.0]], [[5, 7], [2.0, 1.75]], [[6, 8], [1.0, 0.0]]]
    for found, to_golden, to_choices in (([4, 5, 6], 0, 0), ([4, 7, 6], 0.25, 0.25), ([4, 5, 8], 2, 1), ([1, 5, 6], 1, 2)):
        check(measure.gap_to_golden(found, prompt) == to_golden, f"{found}: {measure.gap_to_golden(found, prompt)}")
        check(measure.gap_to_choices(found, choices) == to_choices, f"{found}: {measure.gap_to_choices(found, choices)}")


def verdicts(environment):
    """Of a quantised text: within 0.5 of the run that rounds activations, always; within 0.05 of the exact one, too, where nothing is rounded."""
    import measure

    class Known(measure.Judge):
        def choices(self, profile, form, precision, level, prompts, tokens):
            return [[[[5, 7], [2.0, 2.0 - (exact if level == 1 else gap)]]]]

    judge, prompts = Known(None, 1), [{"ids": [2], "greedy_ids": [5], "greedy_gaps": [0.01]}]
    for gap, exact, rounds, good in ((0.4, 0.4, True, True), (0.6, 0.01, True, False), (0.4, 0.04, False, True), (0.4, 0.06, False, False), (0.6, 0.01, False, False)):
        found = judge.text([[7]], "ort", "dynamic", "q4", prompts, 1, rounds)
        check(found["good"] == good and abs(found["gap"] - gap) < 1e-9 and abs(found["exact_gap"] - exact) < 1e-9, f"{gap}, {exact}, {rounds}: {found}")
    check(judge.text([[7]], "ort", "dynamic", "q8", prompts, 1, False).keys() & {"exact_gap"} == set(), "q8 has no products that round")
    check(not judge.text([[7]], "ort", "dynamic", "fp16", prompts, 1, True)["good"], "a text in fp16 may not part, however near the other choice")


def page_of_rows(environment):
    """Every kind of row has its place; a row that breaks the format is refused; a new row takes the old one's place."""
    import page
    import rows
    bad_text = ROW["text"] | {"equal": 19, "gap": 0.75, "good": False}
    tiny = {k: v for k, v in ROW.items() if k not in ("text", "tokens_per_second", "peak_bytes", "file_bytes")} | {"model": "tiny"}
    numbers = {"models": 11, "right": 11, "difference": 4e-6, "good": True}
    made = [ROW, ROW | {"precision": "q4", "text": bad_text, "final": False},
            tiny | {"numbers": numbers}, tiny | {"profile": "standard", "numbers": numbers | {"right": 9, "difference": 1.5, "good": False}, "message": "gemma2: 2 off"},
            tiny | {"version": "1.4.0", "loads": False, "message": "no such | operator"},
            *(tiny | {"runtime": "An engine", "version": "2.1", "profile": "primitive", "numbers": numbers, "precision": p} for p in PRECISIONS),
            ROW | {"runtime": "Transformers.js", "version": "4.3.1", "host": "Chromium 156, wasm", "precision": "q8"}]
    file = environment.scratch / "rows.json"
    rows.merge(made, file)
    text = page.text(rows.load(file))
    for line in ("| ONNX Runtime 1.32.0, Python | ort, dynamic | fp32 | yes | 20/20 × 48 | 18.5 | 1,800 | 1,073,000,000 |",
                 "| ONNX Runtime 1.32.0, Python | ort, dynamic | q4 | yes | 19/20 × 48, gap 0.75, **wrong** | ≈ 18.5 | 1,800 | 1,073,000,000 |",
                 "| Transformers.js 4.3.1, Chromium 156, wasm | ort, dynamic | q8 | yes | 20/20 × 48 | 18.5 | 1,800 | 1,073,000,000 |",
                 "| 1.4.0 | fp32: no [1] |  |", "| 1.32.0 | fp32: yes | fp32: 9 of 11 right [2] |", "| An engine 2.1 | yes |", "1. no such | operator", "2. 2 off"):
        check(line in text.splitlines(), f"no line {line}\n{text}")
    rows.merge([ROW | {"tokens_per_second": 20.5}], file)
    check(len(rows.load(file)) == len(made) and "| 20.5 |" in page.text(rows.load(file)), "a row measured again does not replace the old one")
    for wrong in ({"profile": "other"}, {"loads": "yes"}, {"message": "two\nlines"}, {"tokens": 3}, {"text": {"prompts": 3}}):
        try:
            rows.checked(ROW | wrong)
        except ValueError:
            continue
        check(False, f"taken: {wrong}")


def page_is_current(environment):
    done = subprocess.run([sys.executable, ROOT / "tools" / "runtimes" / "page.py", "--check"], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)


def tests(environment):
    yield "named", named
    yield "driver", driver
    yield "texts", texts
    yield "verdicts", verdicts
    yield "page_of_rows", page_of_rows
    yield "page_is_current", page_is_current
    if environment.full:
        for case in OLDEST:
            yield f"oldest[{case[0]}, {case[1]}, {case[2]}, {' '.join(map(str, case[3][:1] + case[3][5:]))}]", lambda e, c=case: oldest(e, *c)

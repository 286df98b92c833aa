"""What holds of every build: the same bytes whatever the threads, the folder or the day; tables stored once; the source read once;
existing files left alone."""
import json
import os
import re
import shutil
import subprocess

import numpy as np

import synthetic
from exported import Exported
from harness import ARGUMENT, IO, PRECISIONS, TINY, Problems, Skip, check, check_nothing_left, checkpoint_names, files_under, pieces_of

LOCAL = ".gemma-onnx.local.json"  # where this machine keeps the source: not part of the result


def result_of(folder):
    files = files_under(folder)
    files.pop(LOCAL, None)
    return files


def differing(a, b):
    return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


def large_enough(environment):
    """A checkpoint that is cut into many pieces of work."""
    sizes = synthetic.SMALL | {"vocab": 20011, "hidden": 72, "intermediate": 7919}
    folder = environment.scratch / "model"
    return synthetic.write(folder, synthetic.tensors(sizes), config_text=json.dumps(synthetic.config(sizes)))


def threads(environment):
    for name, model in (("tiny", TINY / "gemma3-types-bf16"), ("GGUF", TINY / "gemma3-kinds.gguf"), ("large", large_enough(environment))):
        first = result_of(environment.program.build(model, environment.scratch / f"{name}-1", "--threads", "1"))
        check(len(first) >= 11, f"only {sorted(first)}")
        for run, count in enumerate((2, 7, 7)):
            again = result_of(environment.program.build(model, environment.scratch / f"{name}-{count}-{run}", "--threads", count))
            check(not differing(first, again), f"{name}, {count} threads: {differing(first, again)} differ from one thread's")


def elsewhere(environment):
    """Another folder, another time zone and day of the source: the same bytes; the manifest names no place and no time."""
    problems = Problems()
    for name in ("gemma3-untied-f16", "gemma3-scaled.gguf"):
        source, moved = TINY / name, environment.scratch / "elsewhere" / name
        moved.parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, moved)
        for path in [moved, *moved.rglob("*")]:
            os.utime(path, (1, 1))
        one = result_of(environment.program.build(source, environment.scratch / f"{name}-1"))
        two = result_of(environment.program.build(moved, environment.scratch / f"{name}-2"))
        problems.check(not differing(one, two), f"{name}: {differing(one, two)} depend on the folder or the day")
        for path, data in two.items():
            problems.check(str(environment.scratch).encode() not in data, f"{name}: {path} holds a path")
        text = two["gemma-onnx.json"].decode()
        problems.check(not re.search(r"\b20\d\d-\d\d|\"(time|date|host|threads|seconds|created)", text), f"{name}: the manifest holds a time or the machine")
    problems.report()


def one_run_or_five(environment):
    problems = Problems()
    for name in ("gemma3-types-bf16", "gemma-untied-f16"):
        together = result_of(environment.program.build(TINY / name, environment.scratch / f"{name}-together"))
        apart = environment.scratch / f"{name}-apart"
        for precision in PRECISIONS:
            environment.program.build(TINY / name, apart, precisions=(precision,))
            alone = result_of(environment.program.build(TINY / name, environment.scratch / f"{name}-{precision}", precisions=(precision,)))
            for path in (p for p in alone if p.startswith("onnx/")):
                problems.check(alone[path] == together.get(path), f"{name}: {path} built alone differs")
            check(len([p for p in alone if p.startswith("onnx/")]) == 2, f"{precision} alone gives {sorted(alone)}")
        after = result_of(apart)
        for files in (together, after):  # in which order the manifest lists the precisions is left open
            files["gemma-onnx.json"] = json.loads(files["gemma-onnx.json"])
        problems.check(not differing(together, after), f"{name}: built one after another, {differing(together, after)} differ")
    problems.report()


# ---- what is in the data files


def ranges(exported):
    """(file, offset, length) of all external data, each once."""
    return sorted({p for p in map(exported.place, exported.initializers) if p})


def check_filled(problems, path):
    """The model's own data file has its tensors one after another, and nothing else. Returns their ranges."""
    places = ranges(Exported(path))
    end = 0
    for file_name, offset, length in places:
        problems.check(file_name == f"{path.name}_data", f"{path.name}: data in {file_name}")
        problems.check(offset >= end, f"{path.name}: bytes {offset} … overlap those before")
        end = offset + length
    size = path.with_name(f"{path.name}_data").stat().st_size
    problems.check(size == end, f"{path.name}: the data file has {size} bytes, its tensors end at {end}")
    gaps = size - sum(length for _, _, length in places)
    allowed = sum(4096 if length >= 65536 else 64 for _, _, length in places)  # such tensors begin a page
    problems.check(gaps < allowed, f"{path.name}: {gaps} bytes are padding")
    return places


def stored_once(environment, name):
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out")
    tied = "-untied" not in name and name not in ("gemma3-other-head", "gemma2-no-caps-f16", "gemma4-per-layer-config", "gemma3n-defaults-f16")  # a copy of the embedding is tied, too
    for precision, file in PRECISIONS.items():
        held = [place for piece in pieces_of(name, file) for place in check_filled(problems, out / "onnx" / f"{piece}.onnx")]
        exported = Exported(out / "onnx" / f"{file}.onnx")
        problems.check(set(ranges(exported)) <= set(held), f"{precision}: reads {sorted(set(ranges(exported)) - set(held))[:3]}")
        tables = [i for i in exported.initializers if exported.place(i) and i.startswith(("/model/embed_tokens/", "/lm_head/lm_head"))]
        values = {exported.place(i) for i in tables if max(exported.initializers[i].dims) >= 90 and re.search(r"rows_table|weight(_packed|_int8|_uint8)?$", i)}
        problems.check(len(values) == (1 if tied else 2), f"{precision}: {len(values)} tables of the vocabulary: {sorted(tables)}")
    problems.report()


def read_once(environment):
    """Counted outside the program, by the system calls that it makes."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed: reading the source once was not checked")
    model = large_enough(environment)
    log = environment.scratch / "trace"
    strace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=read,pread64,readv,preadv,preadv2,mmap"]
    if subprocess.run([*strace, "true"], capture_output=True).returncode:
        raise Skip("strace may not trace here: reading the source once was not checked")
    result = environment.program.run("build", model, "-o", environment.scratch / "out", "-p", "all", "-q", "--threads", "1", before=strace)
    check(result.status == 0, str(result))
    total, source = 0, model / "model.safetensors"
    for line in log.read_text(errors="replace").splitlines():
        if f"<{source}>" in line:
            check("mmap(" not in line, f"the source is mapped: its reads cannot be counted: {line}")
            total += max(0, int(line.rsplit("= ", 1)[1].split()[0])) if re.search(r"= \d+$", line) else 0
    header = 8 + int.from_bytes(source.read_bytes()[:8], "little")
    vectors = sum(4 * int(np.prod(s)) for s in synthetic.shapes(synthetic.SMALL | {"hidden": 72}).values() if len(s) == 1)
    size = source.stat().st_size
    # The header twice (to know, to hash); small vectors again for the bound on fp16's residual stream, once a file.
    check(size <= total <= size + 2 * header + 2 * vectors, f"{total} bytes read of a file of {size}, header {header}, vectors {vectors}")


# ---- existing output


def existing_output(environment):
    out = environment.scratch / "out"
    environment.program.build(TINY / "gemma3-untied-f16", out, precisions=("fp32", "q4"))
    before = files_under(out)
    stamps = {p: (out / p).stat().st_mtime_ns for p in before}
    for model in ("gemma3-untied-f16", "gemma3-pattern"):
        line = environment.program.refuse(ARGUMENT, "build", TINY / model, "-o", out, "-p", "q8", "q4")
        check("--force" in line and str(out) in line, f"no way out in: {line}")
        check(files_under(out) == before, "a refused build changed the folder")
        check({p: (out / p).stat().st_mtime_ns for p in before} == stamps, "a refused build wrote files again")
    result = environment.program.run("build", TINY / "gemma3-pattern", "-o", out, "-p", "fp32", "q4", "-q", "--force")
    check(result.status == 0, str(result))
    fresh = environment.program.build(TINY / "gemma3-pattern", environment.scratch / "fresh", precisions=("fp32", "q4"))
    after = result_of(out)
    check(all(after[p] == data for p, data in result_of(fresh).items() if p.startswith("onnx/")), "--force does not give the new model")


def another_model(environment):
    """A second precision of another checkpoint in the same folder would mix two models under one config.json."""
    out = environment.program.build(TINY / "gemma3-untied-f16", environment.scratch / "out", precisions=("fp32",))
    before = files_under(out)
    result = environment.program.run("build", TINY / "gemma3-pattern", "-o", out, "-p", "q4", "-q")
    check(result.status == ARGUMENT and files_under(out) == before, f"two models in one folder: {result}")


def source_folder(environment):
    """Building into the source's own folder must not damage it."""
    folder = environment.scratch / "model"
    shutil.copytree(TINY / "gemma3-untied-f16", folder)
    before = files_under(folder)
    environment.program.run("build", folder, "-o", folder, "-p", "q4", "-q")
    after = files_under(folder)
    check(after["model.safetensors"] == before["model.safetensors"], "the source was changed")
    config = json.loads(after["config.json"])
    check({k: v for k, v in config.items() if k != "transformers.js_config"} == json.loads(before["config.json"]), "the source's config.json was changed")


def not_writable(environment):
    out = environment.scratch / "out"
    out.write_text("a file")
    line = environment.program.refuse((IO, ARGUMENT), "build", TINY / "gemma-mqa", "-o", out)
    check(str(out) in line and out.read_text() == "a file", line)
    environment.program.refuse((IO, ARGUMENT), "build", TINY / "gemma-mqa", "-o", "/proc/nowhere")


def dry_run(environment):
    """Writes nothing; its sizes are those of the files."""
    out = environment.scratch / "out"
    result = environment.program.run("build", TINY / "gemma3-types-bf16", "-o", out, "-p", "all", "--dry-run", "--json")
    check(result.status == 0 and result.err == "", str(result))
    check(not out.exists(), "--dry-run wrote something")
    json.loads(result.out)
    text = environment.program.run("build", TINY / "gemma3-types-bf16", "-o", out, "-p", "all", "-n").out
    check(all(f"onnx/{file}.onnx" in text for file in PRECISIONS.values()), f"the plan names not every file:\n{text[:500]}")
    check_nothing_left(out)


def tests(environment):
    for test in (threads, elsewhere, one_run_or_five, read_once, existing_output, another_model, source_folder, not_writable, dry_run):
        yield test.__name__, test
    for name in checkpoint_names():
        yield f"stored_once[{name}]", lambda e, n=name: stored_once(e, n)

"""examples/static: the hosts in C and Python give the ids of the dynamic graph."""
import subprocess
import sys


from golden import golden
from harness import ROOT, TINY, Problems, check
from sessions import Decoder

DEPS = ROOT / ".deps" / "prefix"


def c_host(environment):
    """Compiled as its first comment says."""
    program = environment.scratch / "host"
    done = subprocess.run(["cc", "-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", ROOT / "examples" / "static" / "host.c", f"-I{DEPS}/include/onnxruntime", f"-I{DEPS}/include",
                           f"-L{DEPS}/lib", "-lonnxruntime", f"-Wl,-rpath,{DEPS}/lib", "-o", program], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    return program


def ids_of(command, folder, count, prompt):
    done = subprocess.run([*map(str, command), str(folder), str(count), *map(str, prompt)], capture_output=True, text=True)
    check(done.returncode == 0, f"{command}: {done.stderr[-800:]}")
    return [int(i) for i in done.stdout.split()]


def tiny(environment, name):
    """Full and bounded caches, all profiles, prompts shorter and longer than a call, and a full cache that is told."""
    problems = Problems()
    host, python = [c_host(environment)], [sys.executable, ROOT / "examples" / "static" / "host.py"]
    decoder = Decoder(environment.program.build(TINY / name, environment.scratch / "built", precisions=("fp32",)) / "onnx" / "model.onnx")
    prompt = golden(name)["prompt.input_ids"][0]
    for profile in ("ort", "standard", "primitive"):
        for cache in ("full", "bounded"):
            out = environment.scratch / f"{profile}-{cache}"
            result = environment.program.run("convert", TINY / name, "-o", out, "--seq_length", 8, "--max_length", 40, "--profile", profile, "--cache", cache, "-q")
            check(result.status == 0, str(result))
            for count in (1, 7, 20):
                expected = decoder.greedy(prompt[None, :count], 12)[0].tolist()
                for command in ([host] if profile == "ort" else []) + [python]:
                    found = ids_of(command, out, 12, prompt[:count])
                    problems.check(found == expected, f"{command[-1]}, {profile}, {cache}, {count} ids: {found}, expected {expected}")
            for command in ([host] if profile == "ort" else []) + [python]:
                full = subprocess.run([*map(str, command), str(out), "30", *map(str, prompt[:20])], capture_output=True, text=True)
                problems.check(full.returncode == 1 and "full" in full.stderr, f"{command[-1]}: a full cache ends with {full.returncode}: {full.stderr[-200:]}")
    problems.report()


def tests(environment):
    for name in ("gemma3-pattern", "gemma-mqa"):
        yield f"tiny[{name}]", lambda e, n=name: tiny(e, n)

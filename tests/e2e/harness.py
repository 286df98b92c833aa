"""What every group of tests uses: running the program, and saying what is wrong."""
import os
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = ROOT / "tests" / "golden" / "tiny"
REAL = Path(os.environ.get("GEMMA_ONNX_CACHE", Path.home() / ".cache" / "gemma-onnx"))
PRECISIONS = {"fp32": "model", "fp16": "model_fp16", "q4": "model_q4", "q4f16": "model_q4f16", "q8": "model_quantized", "int8": "model_int8"}

ARGUMENT, IO, FORMAT, UNSUPPORTED, NETWORK, MISMATCH, CANCELLED = 2, 3, 4, 5, 7, 8, 9


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


class Problems:
    """Collects what is wrong, so that one run shows all of it."""

    def __init__(self):
        self.found = []

    def check(self, condition, message):
        if not condition:
            self.found.append(message)

    def report(self):
        check(not self.found, "\n".join(self.found[:20]) + (f"\nand {len(self.found) - 20} more" if len(self.found) > 20 else ""))


class Result:
    def __init__(self, arguments, completed):
        self.command = " ".join(map(str, arguments))
        self.status, self.out, self.err = completed.returncode, completed.stdout, completed.stderr

    def __str__(self):
        return f"{self.command}\nexit status {self.status}\n{self.err.strip()[-2000:]}"


def crashed(result):
    return result.status < 0 or result.status == 1 or result.status > 9 or "Sanitizer" in result.err or "runtime error:" in result.err


class Program:
    def __init__(self, path):
        self.path = path

    def run(self, *arguments, before=(), **popen):
        """Any exit status is fine but a crash."""
        command = [*map(str, before), str(self.path), *map(str, arguments)]
        if before:  # under a tracer the leak detector cannot work
            popen["env"] = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        completed = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", timeout=600, **popen)
        result = Result(command, completed)
        check(not crashed(result), f"crashed: {result}")
        return result

    def build(self, model, out, *arguments, precisions=("all",)):
        result = self.run("build", model, "-o", out, "-p", *precisions, "-q", *arguments)
        check(result.status == 0, f"did not build: {result}")
        check(result.err == "", f"talks on stderr: {result}")
        return Path(out)

    def refuse(self, status, *arguments, **popen):
        """Runs and expects this exit status and one line on stderr; returns the line."""
        result = self.run(*arguments, **popen)
        statuses = status if isinstance(status, tuple) else (status,)
        check(result.status in statuses, f"expected exit status {status}: {result}")
        check(result.err.count("\n") == 1 and result.err.endswith("\n"), f"expected one line on stderr: {result}")
        check(result.out == "", f"writes on stdout: {result.command}\n{result.out[:500]}")
        return result.err.strip()

    def start(self, *arguments):
        return subprocess.Popen([str(self.path), *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                preexec_fn=default_signals)


def default_signals():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def files_under(folder):
    """Path below the folder → bytes, of every file."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def check_nothing_left(folder):
    left = [str(p) for p in Path(folder).rglob("*") if not p.is_dir()] if Path(folder).exists() else []
    check(not left, f"left behind: {left}")


# One for every kind of layer: `make check` sees these in every profile, and all of them in the one that most people take.
CORE = ("gemma-mqa", "gemma3-types-bf16", "gemma2-published", "gemma2-capped.gguf", "vaultgemma-capped-bf16", "gemma3n-streams", "gemma3n-multimodal-bf16",
        "gemma4-dense", "gemma4-per-layer-bf16", "gemma4-experts-sharded", "gemma4-per-layer-config")


def apart(name):
    """Whether build writes the decoder as Transformers.js loads it in two: embed_tokens and decoder_model_merged."""
    return name.startswith(("gemma3n", "gemma4"))


def pieces_of(name, file):
    """The models whose data files hold the weights of `file` ("model_q4")."""
    return [file.replace("model", piece, 1) for piece in ("embed_tokens", "decoder_model_merged")] if apart(name) else [file]


def in_every_profile(name, full):
    return full or name in CORE


def checkpoint_names():
    return (TINY / "index.txt").read_text().split()


def encoder_names():
    return (TINY / "index-embeddinggemma.txt").read_text().split()

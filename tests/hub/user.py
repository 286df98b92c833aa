"""Who asks the Hub of the tests: gemma-onnx, or Python's huggingface_hub, each with a home and a cache of its own, and nothing of this machine's
environment that could say otherwise."""
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from harness import Failure, Result, check, crashed  # noqa: E402

OURS = re.compile(r"\.gemma-onnx\.(partial|journal)$")
THEIRS = re.compile(r"\.incomplete$")
for number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:  # as of a shell's background jobs: what we start would inherit it, and could not be interrupted
        signal.signal(number, signal.SIG_DFL)

LIMIT = 120  # seconds until a program that never ends is given up


def clean_environment():
    return {name: value for name, value in os.environ.items()
            if not name.upper().startswith(("HF_", "HUGGING", "TRANSFORMERS_", "XDG_", "SSL_CERT", "CURL_CA", "REQUESTS_CA"))
            and not name.upper().endswith("_PROXY")}


class User:
    """`home` is made; variables are added to the environment, None takes one away."""

    def __init__(self, environment, hub, name="user", **variables):
        self.program, self.home = environment.program, environment.scratch / name
        self.cache = self.home / "hf" / "hub"
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        self.environ = clean_environment() | {
            "HOME": str(self.home), "HF_HOME": str(self.home / "hf"), "TMPDIR": str(self.home / "tmp"),
            "HF_ENDPOINT": hub if isinstance(hub, str) else hub.endpoint,
            "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        self.environ |= {key: str(value) for key, value in variables.items() if value is not None}
        self.environ = {key: value for key, value in self.environ.items() if variables.get(key, "") is not None}

    # ---- gemma-onnx

    def run(self, *arguments, **variables):
        """Any exit status is fine but a crash."""
        return self.end(self.start(*arguments, **variables), None)

    def fetch(self, *arguments, **variables):
        """Succeeds; gives the path that is printed."""
        result = self.run("fetch", *arguments, **variables)
        check(result.status == 0, f"did not fetch: {result}")
        check(result.out.count("\n") == 1 and result.out.endswith("\n"), f"expected one path on stdout: {result}\n{result.out}")
        return Path(result.out[:-1])

    def events(self, *arguments, **variables):
        """Of fetch --json: name → list of objects."""
        result = self.run("fetch", *arguments, "--json", **variables)
        check(result.status == 0, f"did not fetch: {result}")
        found = {}
        for line in result.out.splitlines():
            event = json.loads(line)
            found.setdefault(event.pop("event"), []).append(event)
        return found

    def refuse(self, status, *arguments, **variables):
        """One line on stderr, which is given, nothing on stdout."""
        result = self.run(*arguments, "-q", **variables)
        check(result.status in (status if isinstance(status, tuple) else (status,)), f"expected exit status {status}: {result}")
        check(result.err.count("\n") == 1 and result.err.endswith("\n"), f"expected one line on stderr: {result}")
        check(result.out == "", f"writes on stdout: {result}\n{result.out[:500]}")
        return result.err.strip()

    def start(self, *arguments, **variables):
        return subprocess.Popen([str(self.program.path), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                errors="backslashreplace",
                                cwd=self.home, env=self.environ | {k: str(v) for k, v in variables.items()})

    def end(self, process, expected=0):
        """Waits for what was started; gives a Result."""
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Failure(f"does not end: {' '.join(process.args)}\n{err[-2000:]}") from None
        result = Result(process.args, subprocess.CompletedProcess(process.args, process.returncode, out, err))
        check(process.returncode == -signal.SIGKILL or not crashed(result), f"crashed: {result}")
        check(expected is None or result.status == expected, f"expected exit status {expected}: {result}")
        return result

    # ---- huggingface_hub

    def python(self, code, *arguments, expected=0, **variables):
        """Runs it with huggingface_hub's names at hand; gives what it prints, without the last newline."""
        process = self.start_python(code, *arguments, **variables)
        out, err = process.communicate(timeout=LIMIT)
        check(process.returncode == expected, f"huggingface_hub: exit status {process.returncode}: {err[-1500:]}")
        return out.removesuffix("\n")

    def start_python(self, code, *arguments, **variables):
        return subprocess.Popen([sys.executable, "-W", "ignore", "-c", "import sys\nfrom huggingface_hub import hf_hub_download, snapshot_download\n" + code,
                                 *map(str, arguments)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home,
                                env=self.environ | {k: str(v) for k, v in variables.items()})

    # ---- the cache

    def folder(self, name):
        return self.cache / f"models--{name.replace('/', '--')}"

    def partials(self):
        return sorted(p for p in self.home.rglob("*") if OURS.search(p.name))

    def check_cache(self):
        """Whatever has a final name is what its name says; links are relative and lead to it; refs are commits."""
        for blob in self.cache.glob("models--*/blobs/*"):
            if not OURS.search(blob.name) and not THEIRS.search(blob.name):
                check(blob.is_file() and not blob.is_symlink() and hash_like(blob) == blob.name, f"{blob}: the bytes are not what the name says")
        for link in self.cache.glob("models--*/snapshots/*/**/*"):
            if not link.is_dir():
                check(link.is_symlink() and not os.readlink(link).startswith("/") and link.exists(), f"{link}: not a relative link to a file that is there")
                check(link.resolve().parent == self.cache.resolve() / link.relative_to(self.cache).parts[0] / "blobs", f"{link} leads to {link.resolve()}")
        for ref in self.cache.glob("models--*/refs/**/*"):
            if ref.is_file():
                check(re.fullmatch("[0-9a-f]{40}", ref.read_text()), f"{ref}: {ref.read_text()!r} is no commit")


def hash_like(path):
    """In the algorithm of a name that is so long: git's of a blob, or SHA-256."""
    data = path.read_bytes()
    return hashlib.sha256(data).hexdigest() if len(path.name) == 64 else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tree_of(folder, leave_out=()):
    """Path → what is there: bytes, or where a link leads; None: a folder."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if not any(re.search(pattern, name) for pattern in leave_out):
            found[name] = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return found


def same_tree(a, b, what):
    """Says which paths differ, never their bytes."""
    check(a == b, f"{what}: only in the first: {sorted(a.keys() - b.keys())}, only in the second: {sorted(b.keys() - a.keys())}, "
                  f"different: {[name for name in a.keys() & b.keys() if a[name] != b[name]]}")


def check_files(folder, repository, revision="main", names=None):
    """The folder holds these files of the revision (None: those that are there), byte for byte."""
    files = repository.commits[repository.resolve(revision)]
    there = {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file() and ".cache" not in p.relative_to(folder).parts}
    check(names is None or there == set(names), f"expected {sorted(names or [])}, there are {sorted(there)}")
    for name in there:
        check(name in files, f"{name} is none of the commit's files")
        source = files[name].source
        check((Path(folder) / name).read_bytes() == (source if isinstance(source, bytes) else source.read_bytes()), f"{name}: other bytes")

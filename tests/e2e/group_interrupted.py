"""Signals, a full disk and failing system calls in mid-conversion: the right exit status, nothing half-written, old files whole."""
import resource
import shutil
import signal
import subprocess
import time

import synthetic
from harness import CANCELLED, IO, TINY, Failure, Skip, check, check_nothing_left, files_under

MODEL = "gemma3-untied-f16"
WAIT = 120  # seconds until a conversion that never starts is given up


def partial_files(out):
    return [p for p in out.rglob("*.partial")] if out.exists() else []


def interrupt(environment, model, out, number, *arguments):
    """Sends the signal once the program is writing; returns its exit status and what it said."""
    process = environment.program.start("build", model, "-o", out, *arguments)
    end = time.monotonic() + WAIT
    while not partial_files(out) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    too_late = process.poll() is not None
    process.send_signal(number)
    _, err = process.communicate(timeout=WAIT)
    check(not too_late, f"ended with {process.returncode} before the signal: {err}")
    return process.returncode, err


def signalled(environment, number, precision):
    model = synthetic.write_sparse(environment.scratch / "model", synthetic.WIDE_1B)
    out = environment.scratch / "out"
    status, err = interrupt(environment, model, out, number, "-p", precision)
    check(status == CANCELLED and err.count("\n") == 1, f"exit status {status}, expected {CANCELLED}: {err}")
    check_nothing_left(out)


def old_files_stay(environment):
    """--force over an existing build: interrupted, the old one is still there and whole."""
    model = synthetic.write_sparse(environment.scratch / "model", synthetic.WIDE_1B)
    out = environment.program.build(TINY / "gemma3-pattern", environment.scratch / "out", precisions=("fp32", "q4"))
    before = files_under(out)
    status, err = interrupt(environment, model, out, signal.SIGTERM, "-p", "fp32", "q4", "--force")
    check(status == CANCELLED, f"exit status {status}: {err}")
    check(files_under(out) == before, "the old files changed")


def no_room(environment):
    """Known before anything is written."""
    mount = environment.scratch / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], capture_output=True).returncode:
        raise Skip("no right to mount a small file system: a full disk was not checked this way")
    try:
        model = synthetic.write_sparse(environment.scratch / "model", synthetic.WIDE_1B)
        line = environment.program.refuse(IO, "build", model, "-o", mount / "out", "-p", "fp32")
        check("free" in line or "space" in line, line)
        check_nothing_left(mount)
    finally:
        subprocess.run(["umount", mount], check=True)


def file_too_large(environment):
    """A limit on the size of files stands for any write that fails in the middle."""
    for limit in (0, 100, 4096, 65536, 200000):
        def limited(limit=limit):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        out = environment.scratch / f"out{limit}"
        environment.program.refuse(IO, "build", TINY / "gemma3-untied-f16", "-o", out, "-p", "all", preexec_fn=limited)
        check_nothing_left(out)


def failing_calls(environment, call, error, count):
    """The n-th call of its kind fails, for every n."""
    if not shutil.which("strace"):
        raise Skip(f"strace is not installed: failing {call} calls were not checked")
    if subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True).returncode:
        raise Skip(f"strace may not trace here: failing {call} calls were not checked")
    failures = 0
    for n in range(1, count + 1):
        out = environment.scratch / f"out{n}"
        # Reads: of the source alone, for the loader of the program reads, too.
        only = ["-P", str(TINY / MODEL / "model.safetensors")] if call == "pread64" else []
        strace = ["strace", "-f", "-o", "/dev/null", *only, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={n}"]
        try:
            result = environment.program.run("build", TINY / MODEL, "-o", out, "-p", "fp32", "q4", "-q", "--threads", "2", before=strace)
        except Failure as failure:
            if "while loading shared libraries" in str(failure):
                continue  # the call was the loader's
            raise
        if result.status == 0:
            continue  # fewer calls than n
        failures += 1
        check(result.status == IO and result.err.count("\n") == 1, f"{call} number {n}: {result}")
        check_nothing_left(out)
    check(failures > 0, f"no {call} was made to fail")


def tests(environment):
    yield "SIGINT", lambda e: signalled(e, signal.SIGINT, "fp32")
    yield "SIGTERM", lambda e: signalled(e, signal.SIGTERM, "q4")
    for test in (old_files_stay, no_room, file_too_large):
        yield test.__name__, test
    full = environment.full
    yield "failing[pwrite64]", lambda e: failing_calls(e, "pwrite64", "ENOSPC", 90 if full else 12)
    yield "failing[rename]", lambda e: failing_calls(e, "rename", "EIO", 12)
    if full:
        yield "failing[close]", lambda e: failing_calls(e, "close", "EIO", 40)
    yield "failing[pread64]", lambda e: failing_calls(e, "pread64", "EIO", 60 if full else 8)
    yield "failing[ftruncate]", lambda e: failing_calls(e, "ftruncate", "ENOSPC", 4)

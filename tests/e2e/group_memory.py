"""Peak memory of a conversion: 64 MiB and 16 MiB a thread, whatever the model's size."""
import subprocess
import sys
from pathlib import Path

import synthetic
from harness import PRECISIONS, REAL, Skip, check

MIB = 1 << 20


def peak_of(*command):
    """Resident bytes of a program at its highest, by getrusage."""
    done = subprocess.run([sys.executable, "-I", "-S", Path(__file__).with_name("peak.py"), *map(str, command)], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    status, peak = map(int, done.stdout.split())
    check(status == 0, f"exit status {status}: {done.stderr}")
    return peak


def converts(environment, model, precisions, threads):
    peak = peak_of(environment.program.path, "build", model, "-o", environment.scratch / "out", "-p", *precisions, "--threads", threads, "-q")
    limit = (64 + 16 * threads) * MIB
    print(f"peak of {' '.join(precisions)} with {threads} threads: {peak / MIB:.1f} MiB, limit {limit / MIB:.0f}", flush=True)
    check(peak <= limit, f"{peak / MIB:.1f} MiB resident, limit {limit / MIB:.0f}")


def synthetic_model(environment, sizes, layers, precisions, threads):
    model = synthetic.write_sparse(environment.scratch / "model", sizes | {"layers": layers})
    converts(environment, model, precisions, threads)


def real(environment, precisions, threads):
    model = REAL / "gemma-3-270m-f32"
    if not model.is_dir():
        raise Skip(f"{model} is not there")
    converts(environment, model, precisions, threads)


def own_peak_counts(environment):
    """The measure itself: it sees what a program takes, and no more."""
    peak = peak_of(sys.executable, "-c", f"x = bytes({200 * MIB}).replace(b'\\0', b'1')")
    check(200 * MIB < peak < 600 * MIB, f"200 MiB taken, {peak / MIB:.1f} counted")
    peak = peak_of("true")
    check(peak < 24 * MIB, f"{peak / MIB:.1f} MiB counted of a program that does nothing")


def idle(environment):
    """What the program takes before it does anything. (A sanitizer's shadow grows with the program, and is not its own.)"""
    if b"__asan_init" not in environment.program.path.read_bytes():
        peak = peak_of(environment.program.path, "--help")
        check(peak < 24 * MIB, f"--help takes {peak / MIB:.1f} MiB")


def tests(environment):
    yield "own_peak_counts", own_peak_counts
    yield "idle", idle
    yield "1b_widths[q4]", lambda e: synthetic_model(e, synthetic.WIDE_1B | {"vocab": 40000}, 1, ("q4",), 2)
    if environment.full:
        for precision in PRECISIONS:
            yield f"27b_widths[{precision}]", lambda e, p=precision: synthetic_model(e, synthetic.WIDE_27B, 1, (p,), 2)
        yield "27b_widths[all, 1 thread]", lambda e: synthetic_model(e, synthetic.WIDE_27B | {"vocab": 60000}, 2, ("all",), 1)
        yield "270m[all, 2 threads]", lambda e: real(e, ("all",), 2)
        yield "270m[all, 7 threads]", lambda e: real(e, ("all",), 7)

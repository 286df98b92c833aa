#!/usr/bin/env python3
"""End-to-end tests: the built program, judged from outside by ONNX Runtime, onnx.checker and Hugging Face Transformers.

  tests/e2e/run.py --program build/gemma-onnx            the quick set
  tests/e2e/run.py --program build/gemma-onnx --full     everything, with the real Gemma 3 270M where it is there
  tests/e2e/run.py --program P --only refusals.          tests whose name holds 'refusals.'; may be repeated
  tests/e2e/run.py --program P --list                    the names

As many tests run at once as there are processors, or --jobs says. The program may be a sanitizer build: a report of a sanitizer fails the test. The groups are the files group_*.py.
"""
import argparse
import importlib.util
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tools")]

from harness import Failure, Program, Skip  # noqa: E402

# The cheap ones first: what needs Transformers is imported only when a test of it runs.
GROUPS = ("refusals", "properties", "interrupted", "hub", "hub_commands", "hub_clients", "hub_safety", "hub_lies", "hub_faults", "folder", "parity", "apart", "genai", "quantised", "static", "compare", "hosts", "verify", "encoders", "loop", "memory", "models", "runtimes", "real")


class Environment:
    """What a test may use: the program, and a folder of its own that is removed afterwards."""

    def __init__(self, program, full):
        self.program, self.full = Program(program), full
        self.scratch = None


def show_runtime():
    """The program, wherever it lies, finds the ONNX Runtime of the Python that runs these tests."""
    package = importlib.util.find_spec("onnxruntime")
    if package:
        os.environ.setdefault("GEMMA_ONNX_ORT_LIBRARY", str(Path(package.origin).parent / "capi"))


def run_one(name, test, environment, verbose):
    """'passed', 'failed' or 'skipped'."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gemma-onnx-e2e-") as scratch:
        environment.scratch = Path(scratch)
        try:
            test(environment)
        except Skip as reason:
            print(f"SKIPPED {name}: {reason}", flush=True)
            return "skipped"
        except Failure as failure:
            print(f"FAILED {name}\n    " + str(failure).replace("\n", "\n    "), flush=True)
            return "failed"
        except Exception:
            print(f"FAILED {name}\n    " + traceback.format_exc().replace("\n", "\n    "), flush=True)
            return "failed"
    if verbose:
        print(f"passed {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return "passed"


def collect(environment, only):
    tests = []
    for group in GROUPS:
        if only and not any(o.split(".")[0] in group or "." not in o for o in only):
            continue
        module = importlib.import_module(f"group_{group}")
        tests += [(f"{group}.{name}", test) for name, test in module.tests(environment)]
    names = [name for name, _ in tests]
    if len(set(names)) != len(names):
        sys.exit("two tests have the same name")
    return [(name, test) for name, test in tests if not only or any(o in name for o in only)]


def run_numbered(number):
    return run_one(*TESTS[number], *SETTINGS)


def run_all(tests, environment, verbose, jobs):
    """Every process takes the next test when it is done with one. Tests are closures: forked processes have them already."""
    global TESTS, SETTINGS
    TESTS, SETTINGS = tests, (environment, verbose)
    if jobs == 1:
        return [run_numbered(n) for n in range(len(tests))]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        return list(pool.imap_unordered(run_numbered, range(len(tests)), chunksize=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="name what passed, with its time")
    options = parser.parse_args()
    if not options.program.is_file():
        sys.exit(f"{options.program}: no such program")
    show_runtime()
    environment = Environment(options.program.resolve(), options.full)
    tests = collect(environment, options.only)
    if options.list:
        print("\n".join(name for name, _ in tests))
        return
    results = run_all(tests, environment, options.verbose, options.jobs)
    if not tests:
        print("no test has such a name")
    if results.count("skipped"):
        print(f"{results.count('skipped')} skipped")
    print(f"{results.count('passed')} passed, {results.count('failed')} failed")
    sys.exit(1 if "failed" in results or not tests else 0)


if __name__ == "__main__":
    main()

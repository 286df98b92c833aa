"""The table of published checkpoints: the page made from it, and conversions of their true widths and vocabularies."""
import json
import subprocess
import sys

from group_memory import converts
from harness import ROOT, check


def page(environment):
    done = subprocess.run([sys.executable, ROOT / "tools" / "make_models_page.py", environment.program.path, "--check"], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)


def listing(environment):
    text = environment.program.run("models")
    check(text.status == 0 and "google/gemma-3-270m" in text.out and text.err == "", str(text))
    one = json.loads(environment.program.run("models", "google/gemma-2-2b-it", "--json").out)["models"]
    check(len(one) == 1 and len(one[0]["tensors"]) == 2 + 11 * 26, f"{len(one)} models")
    environment.program.refuse(2, "models", "google/gemma-99")


def wide(environment, name, precision):
    """The true widths and vocabulary, few layers: what memory has to bear."""
    import make_models_page
    converts(environment, make_models_page.write_shortened(environment.scratch / "model", environment.program.path, name), (precision,), 2)


def tests(environment):
    yield "page", page
    yield "listing", listing
    if environment.full:
        import make_models_page
        for name in make_models_page.SHORTENED:
            for precision in ("fp16", "q4"):
                yield f"wide[{name}, {precision}]", lambda e, n=name, p=precision: wide(e, n, p)

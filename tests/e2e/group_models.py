"""The table of published checkpoints: the page made from it, and conversions of their true widths and vocabularies."""
import json
import subprocess
import sys

from group_memory import converts
from harness import ROOT, check

# Of each, the layers that are kept, in this order: Gemma 4's last layer is full, whatever its config says.
SHORTENED = {"google/gemma-3n-E4B": (0, 1), "google/gemma-4-E4B": (4, 5), "google/gemma-4-26B-A4B": (5,), "google/gemma-2-27b": (0,), "google/embeddinggemma-300m": (0,)}


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
    layers = SHORTENED[name]
    model = make_models_page.run(environment.program.path, "models", name, "--json")["models"][0]
    text = model["config"].get("text_config", model["config"])
    text |= {"num_hidden_layers": len(layers), "num_kv_shared_layers": 0, "layer_types": None}
    of_all_layers = {"model.embed_tokens_per_layer.weight": 1, "model.per_layer_model_projection.weight": 0}
    count = len({t["name"].split(".")[2] for t in model["tensors"] if ".layers." in t["name"]})
    kept = []
    for tensor in model["tensors"]:
        parts = tensor["name"].split(".")
        if parts[1] == "layers":
            if int(parts[2]) not in layers:
                continue
            tensor["name"] = ".".join([*parts[:2], str(layers.index(int(parts[2]))), *parts[3:]])
        elif tensor["name"] in of_all_layers:
            axis = of_all_layers[tensor["name"]]
            tensor["shape"][axis] = tensor["shape"][axis] // count * len(layers)
        kept.append(tensor)
    folder = make_models_page.write_zeros(environment.scratch / "model", model | {"tensors": kept})
    converts(environment, folder, (precision,), 2)


def tests(environment):
    yield "page", page
    yield "listing", listing
    if environment.full:
        for name in SHORTENED:
            for precision in ("fp16", "q4"):
                yield f"wide[{name}, {precision}]", lambda e, n=name, p=precision: wide(e, n, p)

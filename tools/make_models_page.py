#!/usr/bin/env python3
"""docs/models.md, from the program's own table: make_models_page.py PROGRAM [--check]

Each configuration becomes a folder of zeros with all its tensors, which takes no room on the disk; `build --dry-run` says what it would write.
"""
import argparse
import json
import math
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
PRECISIONS = ("fp32", "fp16", "q4", "q4f16", "q8", "int8")
HEAD = """# Models

Published checkpoints, by Hub id; of multimodal packages the text decoder. Made by `tools/make_models_page.py` from the table that `gemma-onnx models` lists;
sizes are those of `build --dry-run` for the decoder alone, in GB (10⁹ bytes); of Gemma 3n and 4 with the tied embedding twice, once for each of the two graphs
that Transformers.js loads ([decision 6](decisions/0006-two-graphs.md)). Fine-tunes with the same configuration convert alike.

Judged by: *real*, the real base model against Transformers in every precision; *tiny*, random checkpoints of the family in awkward sizes against Transformers,
and the number of parameters against the published one. Parameters leave out what the decoder does not use (towers; keys and values of layers that read
another layer's).

| checkpoints | family | parameters | fp32 | fp16 | q4 | q4f16 | q8 | int8 | judged by | mind |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
# Of each, the layers that write_shortened keeps, in this order: Gemma 4's last layer is full, whatever its config says.
SHORTENED = {"google/gemma-3n-E4B": (0, 1), "google/gemma-4-E4B": (4, 5), "google/gemma-4-26B-A4B": (5,), "google/gemma-2-27b": (0,),
             "google/embeddinggemma-300m": (0,)}
TAIL = """
Not converted: RecurrentGemma, T5Gemma (1 and 2), PaliGemma (1 and 2), EmbeddingGemma 2, the vision and audio parts of Gemma 3, 3n and 4, the assistants of Gemma 4, and
LoRA adapters; each is refused by what it is.
"""


def run(program, *arguments):
    return json.loads(subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def write_zeros(folder, model, dtype="BF16", width=2):
    """The decoder's folder: a header, and nothing behind it."""
    entries, at = {}, 0
    for tensor in model["tensors"]:
        nbytes = math.prod(tensor["shape"]) * width
        entries[tensor["name"]] = {"dtype": dtype, "shape": tensor["shape"], "data_offsets": [at, at + nbytes]}
        at += nbytes
    text = json.dumps(entries).encode()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps(model["config"]))
    return folder


def write_shortened(folder, program, name):
    """The folder of a published configuration with its true widths and vocabulary, and few of its layers."""
    layers = SHORTENED[name]
    model = run(program, "models", name, "--json")["models"][0]
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
    return write_zeros(folder, model | {"tensors": kept})


def planned(program, model):
    """The plan of every precision, by name."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_zeros(Path(scratch) / "model", run(program, "models", model["ids"][0], "--json")["models"][0])
        plan = run(program, "build", folder, "-o", Path(scratch) / "out", "-p", "all", "--dry-run", "--json")
    return plan


def row(program, model):
    plan = planned(program, model)
    if plan["parameters"] != model["parameters"]:
        sys.exit(f"{model['ids'][0]}: {plan['parameters']} parameters, expected {model['parameters']}")
    nbytes = {f["precision"]: sum(d["bytes"] for d in f["data"]) for f in plan["files"]}
    sizes = [f"{nbytes[p] / 1e9:.2f}" for p in PRECISIONS]
    names = ", ".join(f"`{i.removeprefix('google/')}`" for i in model["ids"])
    judged = "real" if "real" in model["judged"] else "tiny"
    return f"| {names} | {model['family']} | {model['parameters']:,} | {' | '.join(sizes)} | {judged} | {model['trap']} |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--check", action="store_true", help="compare with the page; write nothing")
    options = parser.parse_args()
    models = run(options.program, "models", "--json")["models"]
    page = HEAD + "".join(row(options.program, model) for model in models) + TAIL
    if not options.check:
        PAGE.write_text(page)
    elif PAGE.read_text() != page:
        sys.exit(f"{PAGE}: not what the program's table says; run tools/make_models_page.py")


if __name__ == "__main__":
    main()

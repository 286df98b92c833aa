#!/usr/bin/env python3
"""What check.mjs expects of an exported Gemma 3 270M, as JSON on stdout.

  expected.py FOLDER TOKENS

Greedy ids of two prompts: for fp32 and fp16 those of Hugging Face's fp32 model (tests/golden), for every other file what ONNX
Runtime in Python gives on that very file, with the second choice at each step where it comes close enough to be taken by another
kernel. q4, q4f16 and int8 files quantise activations to int8 at run time, so differences in the last place between kernels (one row or
several, one version or another) become differences of some hundredths of the logits' standard deviation.
"""
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from safetensors.numpy import load_file  # noqa: E402
from sessions import Decoder  # noqa: E402

PROMPTS = ("capital", "python")  # of tests/data/prompts.json, unequally long
NEAR = {"q8": 1e-3, "q4": 0.1, "q4f16": 0.1, "int8": 0.1}  # of the standard deviation: a lead below it is no lead
FILES = {"fp32": "model", "fp16": "model_fp16", "q8": "model_quantized", "q4": "model_q4", "q4f16": "model_q4f16", "int8": "model_int8"}


def greedy(decoder, ids, count, near):
    """The ids, and for each the second best where it is near, else null."""
    best, second, cache, step = [], [], None, ids[None]
    for _ in range(count):
        logits, cache = decoder.step(step, cache=cache)
        row = logits[0, -1]
        top = row.argsort()[::-1][:2]
        best.append(int(top[0]))
        second.append(int(top[1]) if row[top[0]] - row[top[1]] < near * row.std() else None)
        step = top[:1][None]
    return {"ids": best, "second": second}


def main():
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    golden = load_file(ROOT / "tests" / "golden" / "gemma-3-270m.safetensors")
    prompts = json.loads((ROOT / "tests" / "data" / "prompts.json").read_text())
    numbers = [next(n for n, p in enumerate(prompts) if p["name"] == name) for name in PROMPTS]
    ids = [golden[f"prompt.{n:02}.ids"] for n in numbers]
    out = {"prompts": [prompts[n]["text"] for n in numbers], "prompt_ids": [i.tolist() for i in ids], "greedy": {}}
    for dtype, file in FILES.items():
        path = folder / "onnx" / f"{file}.onnx"
        if not path.is_file():
            continue
        if dtype in ("fp32", "fp16"):
            out["greedy"][dtype] = [{"ids": golden[f"prompt.{n:02}.greedy_ids"][:count].tolist(), "second": [None] * count} for n in numbers]
        else:
            decoder = Decoder(path, threads=2)
            out["greedy"][dtype] = [greedy(decoder, i, count, NEAR[dtype]) for i in ids]
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()

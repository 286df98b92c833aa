#!/usr/bin/env python3
"""What tiny.mjs expects of an exported tiny checkpoint, as JSON on stdout.

  expected_tiny.py FOLDER NAME

Greedy ids of the golden prompt: for fp32 those of Hugging Face Transformers, for every other file what ONNX Runtime in Python gives on the
file of the whole decoder, with the second choice where it comes near (expected.py). And a left-padded batch.
"""
import json
import sys
from pathlib import Path

from expected import FILES, NEAR, greedy

from golden import golden
from sessions import Decoder

NEAR = NEAR | {"fp16": 1e-2}


def main():
    folder, name = Path(sys.argv[1]), sys.argv[2]
    g = golden(name)
    prompt, ids = g["greedy.input_ids"][0], g["greedy.output_ids"][0].tolist()
    out = {"prompt": prompt.tolist(), "batch": {"ids": g["leftpad.input_ids"].tolist(), "mask": g["leftpad.attention_mask"].tolist()}, "greedy": {}}
    for dtype, file in FILES.items():
        path = folder / "onnx" / f"{file}.onnx"
        if dtype == "fp32":
            out["greedy"][dtype] = {"ids": ids, "second": [None] * len(ids)}
        elif path.is_file():
            out["greedy"][dtype] = greedy(Decoder(path), prompt, len(ids), NEAR[dtype])
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()

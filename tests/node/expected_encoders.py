#!/usr/bin/env python3
"""What encoders.mjs expects of an exported tiny encoder, as JSON on stdout.

  expected_encoders.py FOLDER NAME

A padded batch and its embeddings: for fp32 those of the golden file, for every other file what ONNX Runtime in Python gives on it.
"""
import json
import sys
from pathlib import Path

from expected import FILES

from golden import golden
from group_encoders import inputs_of, open_session, run


def main():
    folder, name = Path(sys.argv[1]), sys.argv[2]
    ids, mask = inputs_of(name, "rightpad")
    out = {"ids": ids.tolist(), "mask": mask.tolist(), "std": float(golden(name)["sentence_embedding.std"][0]), "embeddings": {}}
    for dtype, file in FILES.items():
        fp32 = dtype == "fp32"
        embeddings = golden(name)["rightpad.sentence_embedding"] if fp32 else run(open_session(folder / "onnx" / f"{file}.onnx"), ids, mask)[1]
        out["embeddings"][dtype] = embeddings.tolist()
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""One peer's conversion, timed: build_one.py FOLDER CHECKPOINT -- COMMAND …; writes FOLDER/built.json when it succeeded."""
import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import measured  # noqa: E402

PACKAGES = ("onnxruntime-genai", "mobius-onnx", "optimum-onnx", "transformers", "torch", "onnxruntime")


def versions():
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass


folder, checkpoint, command = Path(sys.argv[1]), sys.argv[2], sys.argv[4:]
seconds, _, peak_kib = measured.run(command, quiet=False)
if not list(folder.rglob("*.onnx")):
    raise SystemExit("no .onnx file was written")
shutil.rmtree(f"{folder}.cache", ignore_errors=True)
report = {"checkpoint": checkpoint, "seconds": round(seconds, 2), "peak_rss_bytes": peak_kib * 1024, "command": command, "versions": dict(versions())}
(folder / "built.json").write_text(json.dumps(report, indent=2) + "\n")

"""The files that are tried, made by the program under test when they are first asked for."""
import os
import subprocess
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = ROOT / "tests" / "golden" / "tiny"
CACHE = Path(os.environ.get("GEMMA_ONNX_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemma-onnx")
REAL = CACHE / "gemma-3-270m-f32"
FILES = {"fp32": "model", "fp16": "model_fp16", "q4": "model_q4", "q4f16": "model_q4f16", "q8": "model_quantized", "int8": "model_int8"}
TYPES = {onnx.TensorProto.FLOAT: "tensor(float)", onnx.TensorProto.FLOAT16: "tensor(float16)", onnx.TensorProto.INT64: "tensor(int64)", onnx.TensorProto.INT32: "tensor(int32)"}


def described(path):
    model = onnx.load(path, load_external_data=False)

    def values(list_of):
        return [{"name": v.name, "shape": [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim], "kind": TYPES[v.type.tensor_type.elem_type]} for v in list_of]
    return {"inputs": values(model.graph.input), "outputs": values(model.graph.output), "metadata": {p.key: p.value for p in model.metadata_props},
            "files": sorted({e.value for i in model.graph.initializer for e in i.external_data if e.key == "location"})}


def file_bytes(path):
    """The model's and its data's."""
    return path.stat().st_size + sum((path.parent / f).stat().st_size for f in described(path)["files"])


class Models:
    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch

    def run(self, out, *arguments):
        if not out.exists():
            subprocess.run(list(map(str, [*arguments, "-o", out, "-q"])), check=True)
        return out

    def checkpoint(self, name):
        return REAL if name == "gemma-3-270m" else TINY / name

    def folder(self, name, profile, form, level=None):
        """All precisions. Of the real model a folder for each profile and form takes 2.2 GB."""
        out = self.scratch / f"{name}-{profile}-{form}-{level or 4}"
        command = (self.program, "build" if form == "dynamic" else "convert", self.checkpoint(name), "-p", "all", "--profile", profile)
        if form == "static":
            command += ("--seq_length", 128 if name == "gemma-3-270m" else 8, "--max_length", 1024 if name == "gemma-3-270m" else 48)
        return self.run(out, *command, *(("--accuracy-level", level) if level else ()))

    def graph(self, name, profile, form, precision, level=None):
        """What a job says about the graph, and the bytes of its files."""
        folder = self.folder(name, profile, form, level)
        if form == "dynamic":
            path = folder / "onnx" / f"{FILES[precision]}.onnx"
            return {"path": str(path), "form": form, "precision": precision, "descriptions": {path.name: described(path)}}, file_bytes(path)
        suffix = "" if precision == "fp32" else f"_{precision}"
        paths = [folder / f"gemma_{phase}{suffix}.onnx" for phase in ("prefill", "decode")]
        size = file_bytes(paths[0]) + paths[1].stat().st_size  # one data file for both
        return {"path": str(folder), "form": form, "precision": precision, "descriptions": {p.name: described(p) for p in paths}}, size

    def vocabulary(self, name):
        """From the graph's last output dimension, since a GGUF has no config.json."""
        folder = self.folder(name, "ort", "dynamic")
        return described(folder / "onnx" / "model.onnx")["outputs"][0]["shape"][-1]

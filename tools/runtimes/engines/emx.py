"""C code from the graph, compiled here: one function of all inputs and outputs, for fixed shapes."""
import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def called(*command, folder):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder)  # where it looks for data files
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip()[-600:])


class Model:
    def __init__(self, path, description):
        path = Path(path)
        source, library = path.with_suffix(".c"), path.with_suffix(".so")
        called(Path(sys.executable).parent / "emx-onnx-cgen", "compile", "--model-base-dir", ".", "--large-weight-threshold", 0, path.name, source.name, folder=path.parent)
        called("cc", "-O2", "-march=native", "-shared", "-fPIC", "-o", library, source, "-lm", folder=path.parent)
        self.function, self.inputs, self.outputs = ctypes.CDLL(str(library)).model, description["inputs"], description["outputs"]

    def run(self, feeds):
        results = {o["name"]: np.zeros(o["shape"], TYPES[o["kind"]]) for o in self.outputs}
        arrays = [np.ascontiguousarray(feeds[i["name"]]) for i in self.inputs] + list(results.values())
        self.function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
        return results


def open(path, threads, description):
    return Model(path, description)

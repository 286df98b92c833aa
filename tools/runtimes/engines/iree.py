"""Compiled for this processor; static graphs alone have one function that takes what a host feeds."""
import subprocess
import sys
from pathlib import Path

import iree.runtime as runtime

TOOLS = Path(sys.executable).parent


def called(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[:2000])


class Model:
    def __init__(self, path, description):
        mlir, module = Path(path).with_suffix(".mlir"), Path(path).with_suffix(".vmfb")
        called(TOOLS / "iree-import-onnx", path, "-o", mlir)
        called(TOOLS / "iree-compile", mlir, "-o", module, "--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host")
        self.inputs, self.outputs = [i["name"] for i in description["inputs"]], [o["name"] for o in description["outputs"]]
        self.module = runtime.load_vm_flatbuffer_file(str(module), driver="local-task")
        self.function = self.module[next(n for n in self.module.vm_module.function_names if not n.startswith("__") and not n.endswith("$async"))]

    def run(self, feeds):
        results = self.function(*(feeds[n] for n in self.inputs))
        return {name: r.to_host() for name, r in zip(self.outputs, results, strict=True)}


def open(path, threads, description):
    return Model(path, description)

from pathlib import Path

import _tools  # not mnnconvert, the program: it installs a package and sends what it did
import MNN
import numpy as np

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float32, "tensor(int64)": np.int32, "tensor(int32)": np.int32}  # MNN has neither fp16 nor int64 at its border


class Model:
    def __init__(self, path, threads, description):
        converted = str(Path(path).with_suffix(".mnn"))
        _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", path, "--MNNModel", converted])
        if not Path(converted).exists():
            raise RuntimeError("the converter wrote no file")
        self.inputs, self.outputs = description["inputs"], [o["name"] for o in description["outputs"]]
        runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
        self.module = MNN.nn.load_module_from_file(converted, [i["name"] for i in self.inputs], self.outputs, runtime_manager=runtime)

    def run(self, feeds):
        values = [MNN.expr.const(np.ascontiguousarray(feeds[i["name"]], TYPES[i["kind"]]), list(feeds[i["name"]].shape), MNN.expr.NCHW,
                                 MNN.expr.int if TYPES[i["kind"]] == np.int32 else MNN.expr.float) for i in self.inputs]
        results = self.module.onForward(values)
        return {name: np.array(r.read()) for name, r in zip(self.outputs, results, strict=True)}


def open(path, threads, description):
    return Model(path, threads, description)

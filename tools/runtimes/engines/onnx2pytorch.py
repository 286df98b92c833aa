import sys
from unittest.mock import MagicMock

import torch

sys.modules |= {name: MagicMock() for name in ("torchvision", "torchvision.ops", "torchvision.io")}  # for detectors alone, and bound to one build of torch
import onnx  # noqa: E402
from onnx2pytorch import ConvertModel  # noqa: E402


class Model:
    def __init__(self, path, description):
        self.module, self.inputs, self.outputs = ConvertModel(onnx.load(path)), [i["name"] for i in description["inputs"]], [o["name"] for o in description["outputs"]]

    def run(self, feeds):
        with torch.no_grad():
            results = self.module(*(torch.from_numpy(feeds[n]) for n in self.inputs))
        return {name: r.numpy() for name, r in zip(self.outputs, results, strict=True)}


def open(path, threads, description):
    torch.set_num_threads(threads)
    return Model(path, description)

"""The evaluator of the onnx package: NumPy, node by node."""
import onnx
from onnx.reference import ReferenceEvaluator


class Model:
    def __init__(self, path):
        self.evaluator = ReferenceEvaluator(onnx.load(path))

    def run(self, feeds):
        return dict(zip(self.evaluator.output_names, self.evaluator.run(None, feeds), strict=True))


def open(path, threads, description):
    return Model(path)

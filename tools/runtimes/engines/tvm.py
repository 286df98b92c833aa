import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


class Model:
    def __init__(self, path, description):
        self.inputs, self.outputs = [i["name"] for i in description["inputs"]], [o["name"] for o in description["outputs"]]
        module = from_onnx(onnx.load(path), sanitize_input_names=False)
        self.machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())

    def run(self, feeds):
        results = self.machine["main"](*(tvm.runtime.tensor(feeds[n]) for n in self.inputs))
        return {name: r.numpy() for name, r in zip(self.outputs, results, strict=True)}


def open(path, threads, description):
    return Model(path, description)

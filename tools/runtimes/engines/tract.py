import numpy as np
import tract


class Model:
    def __init__(self, path, description):
        inference = tract.onnx().load(path)
        kinds = {"tensor(float)": "f32", "tensor(float16)": "f16", "tensor(int64)": "i64", "tensor(int32)": "i32"}
        names = [inference.input_name(i) for i in range(inference.input_count())]
        described = {i["name"]: i for i in description["inputs"]}
        for n, name in enumerate(names):
            shape = [d if isinstance(d, int) else SYMBOLS[d] for d in described[name]["shape"]]
            inference.set_input_fact(n, ",".join(map(str, [*shape, kinds[described[name]["kind"]]])))
        self.inputs, self.outputs = names, [o["name"] for o in description["outputs"]]  # tract names outputs after their nodes
        self.runnable = inference.into_model().into_runnable()

    def run(self, feeds):
        results = self.runnable.run([np.ascontiguousarray(feeds[n]) for n in self.inputs])
        return {name: r.to_numpy() for name, r in zip(self.outputs, results, strict=True)}


SYMBOLS = {"batch_size": "B", "sequence_length": "S", "past_sequence_length": "P", "total_sequence_length": "P+S"}


def open(path, threads, description):
    return Model(path, description)

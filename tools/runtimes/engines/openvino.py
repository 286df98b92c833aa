import openvino

PRECISE = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


class Model:
    def __init__(self, compiled):
        self.compiled = compiled

    def run(self, feeds):
        results = self.compiled(feeds)
        return {output.any_name: results[output] for output in self.compiled.outputs}


def open(path, threads, description):
    return Model(openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads} | PRECISE))

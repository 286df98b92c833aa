#!/usr/bin/env python3
"""A q8 file as other tools make it, from our fp32 file: web_peer.py FOLDER OUT

ONNX Runtime's quantize_dynamic (int8 weights by column, activations quantised as a whole at run time, the embedding left in fp32), which is what
Optimum and Transformers.js' own script call. A stand-in for a published file: the graph around the products is ours.
"""
import argparse
import json
import logging
import shutil
import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

COMPANIONS = ("generation_config.json", "tokenizer.json", "tokenizer_config.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # it advises a pre-processing that changes nothing here
    target = options.out / "onnx" / "model_quantized.onnx"
    target.parent.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=options.out) as scratch:
        made = Path(scratch) / "model.onnx"
        quantize_dynamic(options.folder / "onnx" / "model.onnx", made, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"],
                         use_external_data_format=True, extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
        onnx.save_model(onnx.load(made), target, save_as_external_data=True, location=f"{target.name}_data")
    config = json.loads((options.folder / "config.json").read_text())
    config["transformers.js_config"] = {"use_external_data_format": {target.name: 1}, "dtype": "q8"}
    (options.out / "config.json").write_text(json.dumps(config, indent=2))
    for name in COMPANIONS:
        shutil.copy(options.folder / name, options.out / name)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Other tools' files as Transformers.js loads them, for bench/web.mjs:

  web_peer.py dynamic OURS OUT            int8 by ONNX Runtime's quantize_dynamic, from our fp32 file
  web_peer.py export PEER DTYPE OURS OUT  a folder of bench/peers/make, under the name that DTYPE has

dynamic: int8 weights by column, activations quantised as a whole at run time, the embedding left in fp32: what Optimum and Transformers.js' own script
call. A stand-in for a published file; the graph around the products is ours.

export: weights and operators stay. Caches get the dimensions that Transformers.js wants (numbers but for the length), external data its name, and
GroupQueryAttention loses sliding_window_cache, which wants a length in numbers; config and tokenizer are ours.
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
SUFFIXES = {"fp32": "", "fp16": "_fp16", "q4": "_q4", "q8": "_quantized", "int8": "_int8"}


def save(model, ours, out, dtype):
    target = out / "onnx" / f"model{SUFFIXES[dtype]}.onnx"
    target.parent.mkdir(parents=True)
    onnx.save_model(model, target, save_as_external_data=True, location=f"{target.name}_data")
    config = json.loads((ours / "config.json").read_text())
    config["transformers.js_config"] = {"use_external_data_format": {target.name: 1}, "dtype": dtype}
    (out / "config.json").write_text(json.dumps(config, indent=2))
    for name in COMPANIONS:
        shutil.copy(ours / name, out / name)


def dynamic(options):
    logging.disable(logging.WARNING)  # it advises a pre-processing that changes nothing here
    options.out.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=options.out) as scratch:
        made = Path(scratch) / "model.onnx"
        quantize_dynamic(options.ours / "onnx" / "model.onnx", made, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"],
                         use_external_data_format=True, extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
        save(onnx.load(made), options.ours, options.out, "int8")  # not "q8": what the page says of the memory that ours unfolds to is not true of it


def number_caches(graph, config):
    for value in (*graph.input, *graph.output):
        if value.name.startswith(("past_key_values.", "present.")):
            batch, heads, length, width = value.type.tensor_type.shape.dim
            batch.dim_param, heads.dim_value, width.dim_value = "batch_size", config["num_key_value_heads"], config["head_dim"]
            length.dim_param = "past_sequence_length" if value.name.startswith("past") else "total_sequence_length"


def export(options):
    model = onnx.load(next(options.peer.rglob("model.onnx")))
    number_caches(model.graph, json.loads((options.ours / "config.json").read_text()))
    for node in model.graph.node:
        for attribute in [a for a in node.attribute if a.name == "sliding_window_cache"]:
            node.attribute.remove(attribute)
    save(model, options.ours, options.out, options.dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run, arguments in (("dynamic", dynamic, ()), ("export", export, ("peer", "dtype"))):
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, **{"type": Path} if argument == "peer" else {"choices": SUFFIXES})
        command.add_argument("ours", type=Path)
        command.add_argument("out", type=Path)
        command.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()

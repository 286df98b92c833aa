#!/usr/bin/env python3
"""ONNX Runtime GenAI's model builder 0.18 on a Gemma 3 checkpoint: genai_build.py, with the builder's own options.

The builder needs Transformers 5 (it imports models that 4 does not have), but reads Gemma 3's rotary bases from where 4 kept them:
`rope_theta`, `rope_local_base_freq` and one `rope_type`. 5 has one entry per layer type instead. What the builder reads is put back
on the config object that it gets; Transformers itself loads the weights with its own config, and the builder's code stays as it is.
"""
import runpy

from transformers import AutoConfig

read_config = AutoConfig.from_pretrained


def read_for_builder(*args, **kwargs):
    config = read_config(*args, **kwargs)
    if "return_unused_kwargs" in kwargs:  # Transformers' own loaders ask like this
        return config
    ropes = config.rope_parameters
    if "full_attention" in ropes and "sliding_attention" in ropes:
        config.rope_theta = ropes["full_attention"]["rope_theta"]
        config.rope_local_base_freq = ropes["sliding_attention"]["rope_theta"]
        config.rope_parameters = dict(ropes["full_attention"])
    return config


AutoConfig.from_pretrained = read_for_builder
runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__", alter_sys=True)

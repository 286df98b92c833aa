#!/usr/bin/env python3
"""Drives a static pair with ONNX Runtime: host.py DIR NEW_TOKENS ID [ID ...]

DIR is what `gemma-onnx convert` wrote with --batch_size 1, any profile, any cache. Prints the new ids, each the likeliest. All that
is known of the graphs comes from DIR/gemma_static.json; docs/static-graphs.md explains it.
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort


class Pair:
    def __init__(self, folder, precision=None):
        self.rules = json.loads((Path(folder) / "gemma_static.json").read_text())
        files = self.rules["precisions"][precision or next(iter(self.rules["precisions"]))]
        # Longest graph first; the last one, decode, takes one id.
        graphs = sorted(files["graphs"], key=lambda g: -g["sequence_length"])
        self.graphs = [(g, ort.InferenceSession(str(Path(folder) / g["model"]), providers=["CPUExecutionProvider"])) for g in graphs]
        # One buffer is a graph's past and present, in all graphs.
        self.caches = [(past, present, np.zeros(cache["shape"], files["cache_dtype"]))
                       for cache in self.rules["caches"] for past, present in zip(cache["past"], cache["present"])]
        self.position = 0

    def pick(self, left):
        """The shortest graph that takes all that is left, else the longest that may be used now."""
        rules, room = self.rules["prefill"], self.rules["max_length"] - self.position
        usable = [g for g in self.graphs if g[0]["sequence_length"] == 1 or (
            left > 1 and g[0]["sequence_length"] <= room and (rules["padding"] or g[0]["sequence_length"] <= left)
            and (rules["continues"] or self.position == 0))]
        return next((g for g in reversed(usable) if g[0]["sequence_length"] >= left), usable[0])

    def feed(self, ids):
        """Appends ids; the logits after the last of them."""
        while ids:
            description, session = self.pick(len(ids))
            length = description["sequence_length"]
            taken = min(len(ids), length)
            if self.position + taken > self.rules["max_length"]:
                raise SystemExit("the caches are full")
            end = self.position + length
            inputs = {
                "input_ids": [ids[:taken] + [0] * (length - taken)],
                "position": [self.position],
                "seqlens_k": [taken - 1 if self.position == 0 else end - 1],
                "total_sequence_length": [end],
                "last_index": [taken - 1],
            }
            binding = session.io_binding()
            for entry in description["inputs"]:
                binding.bind_cpu_input(entry["name"], np.array(inputs[entry["name"]], entry["dtype"]))
            for past, present, cache in self.caches:
                binding.bind_input(past, "cpu", 0, cache.dtype, cache.shape, cache.ctypes.data)
                binding.bind_output(present, "cpu", 0, cache.dtype, cache.shape, cache.ctypes.data)
            binding.bind_output("logits")
            session.run_with_iobinding(binding)
            self.position += taken
            ids = ids[taken:]
        logits = binding.copy_outputs_to_cpu()[-1][0]  # [1, vocabulary], or every position with --all-logits
        return logits[taken - 1 if len(logits) > 1 else 0]


def main():
    folder, count, *prompt = sys.argv[1:]
    pair, ids = Pair(folder), [int(i) for i in prompt]
    for _ in range(int(count)):
        ids = [int(pair.feed(ids).argmax())]
        print(ids[0], end=" ", flush=True)
    print()


if __name__ == "__main__":
    main()

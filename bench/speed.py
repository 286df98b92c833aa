#!/usr/bin/env python3
"""Tokens a second in ONNX Runtime on the CPU, ours against the peers': speed.py --program gemma-onnx [--peers FOLDER] [--json FILE]

Prefill of 512 tokens, and decoding 16 tokens after 32 and after 1,024, with 2 threads. Every round measures every file once, in an
order that moves on by one, so that what else the machine does meets all alike; each figure is the median of the rounds, and the
ratios are medians of the rounds' own ratios. How each is driven:

- Files with a shared cache (ours, the GenAI builder's): one ONNX Runtime session through IoBinding; past and present are one buffer of
  1,104 positions, the attention mask is as long as what is valid; logits go into a buffer made before.
- Files whose cache grows (optimum, mobius): IoBinding too; present is what the step before returned, bound as past without a copy.
- GenAI's int4 file once more in GenAI's own runtime (append_tokens, generate_next_token with greedy search).
- llama.cpp: llama-cpp-python's eval of a batch of 512, then token by token; logits of the last position.

Decoding feeds the ids of the text whatever the model says, so that all do the same work; only GenAI's runtime follows its own output.
Run it with the Python of bench/peers/make: .deps/peers/bin/python.
"""
import argparse
import gc
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from common import CACHE, running_text, zero_cache

PROMPT, SHORT, LONG, STEPS = 512, 32, 1024, 16
CAPACITY = LONG + 5 * STEPS
MEASURES = ("prefill 512", "decode at 32", "decode at 1,024")


def on_cpu(array):
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


class Exported:
    """What the two ways of holding the cache share."""

    def __init__(self, path, checkpoint, threads):
        self.checkpoint = checkpoint
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: i for i in self.session.get_inputs()}
        self.past = [n for n in self.inputs if n.startswith("past_key_values.")]
        self.vocabulary = self.session.get_outputs()[0].shape[-1]
        self.last_only = self.session.get_outputs()[0].shape[1] == 1
        self.ids = running_text(CAPACITY)
        self.mask = np.ones((1, CAPACITY), np.int64)

    def empty(self, name, positions):
        return on_cpu(zero_cache(self.inputs[name], positions, self.checkpoint))

    def bind_tokens(self, binding, start, end):
        for name, array in (("input_ids", self.ids[:, start:end]), ("attention_mask", self.mask[:, :end]),
                            ("position_ids", np.arange(start, end)[None])):
            if name in self.inputs:
                binding.bind_ortvalue_input(name, on_cpu(array))

    def prefill(self):
        return timed(lambda: self.step(0, PROMPT))

    def decode(self, start):
        self.reach(start)
        return timed(lambda: [self.step(p, p + 1) for p in range(start, start + STEPS)]) / STEPS


class Shared(Exported):
    """Past and present are one buffer; going back is only a shorter mask."""

    def __init__(self, path, checkpoint, threads):
        super().__init__(path, checkpoint, threads)
        self.buffers = {name: self.empty(name, CAPACITY) for name in self.past}
        self.logits = {n: on_cpu(np.zeros((1, n, self.vocabulary), np.float32)) for n in {1, 1 if self.last_only else PROMPT}}
        self.reached = set()
        self.binding = self.session.io_binding()
        for name, buffer in self.buffers.items():
            self.binding.bind_ortvalue_input(name, buffer)
            self.binding.bind_ortvalue_output(name.replace("past_key_values", "present"), buffer)

    def step(self, start, end):
        self.bind_tokens(self.binding, start, end)
        self.binding.bind_ortvalue_output("logits", self.logits[1 if self.last_only else end - start])
        self.session.run_with_iobinding(self.binding)

    def reach(self, position):
        """Once: whatever was run since then wrote the same ids at the same places."""
        if position not in self.reached:
            if not self.last_only:
                self.logits.setdefault(min(position, PROMPT), on_cpu(np.zeros((1, min(position, PROMPT), self.vocabulary), np.float32)))
            for start in range(0, position, PROMPT):
                self.step(start, min(start + PROMPT, position))
            self.reached.add(position)


class Growing(Exported):
    """Each step returns a longer cache, which the next one takes as it is."""

    def __init__(self, path, checkpoint, threads):
        super().__init__(path, checkpoint, threads)
        self.kept = {}
        self.outputs = ["logits"] + [n.replace("past_key_values", "present") for n in self.past]

    def step(self, start, end):
        binding = self.session.io_binding()
        self.bind_tokens(binding, start, end)
        for name in self.past:
            binding.bind_ortvalue_input(name, self.cache[name] if start else self.empty(name, 0))
        for name in self.outputs:
            binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(binding)
        self.cache = dict(zip(self.past, binding.get_outputs()[1:], strict=True))

    def reach(self, position):
        if position not in self.kept:
            for start in range(0, position, PROMPT):
                self.step(start, min(start + PROMPT, position))
            self.kept[position] = self.cache
        self.cache = self.kept[position]


class GenaiRuntime:
    def __init__(self, folder, threads):
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the package reports what it runs otherwise
        import onnxruntime_genai as og
        self.og = og
        config = og.Config(str(folder))
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
        self.model = og.Model(config)
        self.ids = running_text(CAPACITY)[0].astype(np.int32)

    def start(self, count):
        params = self.og.GeneratorParams(self.model)
        params.set_search_options(max_length=CAPACITY, min_length=CAPACITY, do_sample=False)
        generator = self.og.Generator(self.model, params)
        return generator, timed(lambda: generator.append_tokens(self.ids[:count]))

    def prefill(self):
        return self.start(PROMPT)[1]

    def decode(self, start):
        generator, _ = self.start(start)
        generator.generate_next_token()  # the prompt's own: no run of the model
        return timed(lambda: [generator.generate_next_token() for _ in range(STEPS)]) / STEPS


class Llama:
    def __init__(self, path, threads):
        import llama_cpp
        self.llama = llama_cpp.Llama(str(path), n_ctx=CAPACITY, n_batch=PROMPT, n_ubatch=PROMPT, n_threads=threads, n_threads_batch=threads, verbose=False)
        self.ids = running_text(CAPACITY)[0].tolist()

    def prefill(self):
        self.llama.reset()
        return timed(lambda: self.llama.eval(self.ids[:PROMPT]))

    def decode(self, start):
        self.llama.reset()
        self.llama.eval(self.ids[:start])
        return timed(lambda: [self.llama.eval([t]) for t in self.ids[start:start + STEPS]]) / STEPS


def timed(work):
    time.sleep(0.02)  # the threads of the one before stop spinning
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def exported(path, checkpoint, threads):
    import onnx
    graph = onnx.load(path, load_external_data=False).graph
    shared = any(n.op_type == "GroupQueryAttention" for n in graph.node) and not any(n.op_type == "Attention" for n in graph.node)
    return (Shared if shared else Growing)(path, checkpoint, threads)


def candidates(options, scratch):
    """Group, name, a function that opens it. The first of a group is what the others are compared with."""
    def ours(name, precision, *extra):
        folder = scratch / name.replace(" ", "_")
        subprocess.run([options.program, "build", str(options.checkpoint), "-o", str(folder), "-p", precision, "-q", *extra], check=True)
        return exported(next((folder / "onnx").glob("model*.onnx")), options.checkpoint, options.threads)

    def theirs(name):
        return exported(options.peers / name / "model.onnx", options.checkpoint, options.threads)

    yield "fp32", "ours fp32", lambda: ours("fp32", "fp32")
    for name in ("genai-fp32-last", "genai-fp32", "optimum-fp32", "mobius-fp32"):
        yield "fp32", name, lambda name=name: theirs(name)
    yield "q4", "ours q4, embedding 4 bit", lambda: ours("q4-e4", "q4", "--embedding-bits", "4")
    yield "q4", "ours q4, embedding 8 bit", lambda: ours("q4-e8", "q4", "--embedding-bits", "8")
    for name in ("genai-int4-last", "genai-int4", "genai-k_quant"):
        yield "q4", name, lambda name=name: theirs(name)
    yield "q4", "genai-int4 in its runtime", lambda: GenaiRuntime(options.peers / "genai-int4", options.threads)
    yield "q4", "llama.cpp Q4_K_M", lambda: Llama(options.gguf, options.threads)


def measure(group, rounds):
    """Seconds per token, per file and measure, one list entry a round."""
    times = {name: {m: [] for m in MEASURES} for name, _ in group}
    for turn in range(rounds + 1):  # the first one warms up
        for name, model in group[turn % len(group):] + group[:turn % len(group)]:
            got = (model.prefill() / PROMPT, model.decode(SHORT), model.decode(LONG))
            if turn:
                for m, seconds in zip(MEASURES, got, strict=True):
                    times[name][m].append(seconds)
    return times


def show(group, times):
    names = list(times)
    print(f"\n{group}, tokens a second: median (slowest … fastest round)\n\n| file | " + " | ".join(MEASURES) + " |\n" + "| --- " * 4 + "|")
    for name in names:
        cells = []
        for m in MEASURES:
            rates = sorted(1 / s for s in times[name][m])
            cells.append(f"{statistics.median(rates):.1f} ({rates[0]:.1f} … {rates[-1]:.1f})")
        print(f"| {name} | " + " | ".join(cells) + " |")
    for yardstick in (n for n in names if n.startswith("ours")):
        print(f"\nspeed of {yardstick} ÷ speed of the file: median of the rounds' ratios (quartiles)\n\n| file | " + " | ".join(MEASURES) + " |\n" + "| --- " * 4 + "|")
        for name in (n for n in names if n != yardstick):
            cells = []
            for m in MEASURES:
                ratios = [theirs / mine for theirs, mine in zip(times[name][m], times[yardstick][m], strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4)
                cells.append(f"{middle:.2f} ({low:.2f} … {high:.2f})")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--checkpoint", type=Path, default=CACHE / "gemma-3-270m-bf16")
    parser.add_argument("--gguf", type=Path, default=CACHE / "gemma-3-270m-q4_k_m.gguf")
    parser.add_argument("--peers", type=Path, default=CACHE / "peers")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--groups", nargs="+", default=["fp32", "q4"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for group in options.groups:
        with tempfile.TemporaryDirectory(dir=options.scratch, prefix="speed-") as scratch:
            opened = []
            for which, name, make in candidates(options, Path(scratch)):
                if which != group:
                    continue
                try:
                    opened.append((name, make()))
                except Exception as error:  # a peer that is not there, or cannot load its own file, must not stop the others
                    print(f"{name}: left out: {str(error).splitlines()[0]}", flush=True)
            results[group] = measure(opened, options.rounds)
            show(group, results[group])
            del opened
            gc.collect()
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

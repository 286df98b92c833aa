"""A host of a static pair: it knows gemma_static.json and nothing else. One buffer is past and present of both graphs."""
import json
from pathlib import Path

import numpy as np

from sessions import StderrCapture

DTYPES = {"float32": np.float32, "float16": np.float16}


class StaticPair:
    """`feed` appends ids to every row and gives the logits after the last of them."""

    def __init__(self, folder, precision, threads=1):
        self.document = json.loads((Path(folder) / "gemma_static.json").read_text())
        entry = self.document["precisions"][precision]
        self.batch, self.room, self.rules = self.document["batch_size"], self.document["max_length"], self.document["prefill"]
        with StderrCapture() as capture:
            self.graphs = [(g, self.open(Path(folder) / g["model"], threads)) for g in entry["graphs"]]
        self.warnings = capture.text
        self.prefills = sorted((g for g in self.graphs if g[0]["phase"] == "prefill"), key=lambda g: -g[0]["sequence_length"])
        self.decode = next(g for g in self.graphs if g[0]["phase"] == "decode")
        dtype = DTYPES[entry["cache_dtype"]]
        # NaN: a slot that nobody wrote must not be seen, but 0 * NaN would show; hosts start with zeros, tests with large numbers.
        self.caches = [(past, present, np.full(c["shape"], 7, dtype)) for c in self.document["caches"] for past, present in zip(c["past"], c["present"])]
        self.reset()

    def open(self, path, threads):
        import onnxruntime as ort  # not above: other engines open the file as well
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def reset(self):
        self.positions = [0] * self.batch

    def call(self, graph, ids, values):
        description, session = graph
        feeds = {e["name"]: np.ascontiguousarray(({"input_ids": ids} | values)[e["name"]], e["dtype"]) for e in description["inputs"]}
        for entry in description["inputs"]:
            assert list(feeds[entry["name"]].shape) == entry["shape"], (entry, feeds[entry["name"]].shape)
        return self.run(session, feeds, description)

    def run(self, session, feeds, description):
        binding = session.io_binding()
        for name, value in feeds.items():
            binding.bind_input(name, "cpu", 0, value.dtype, value.shape, value.ctypes.data)
        for past, present, cache in self.caches:
            binding.bind_input(past, "cpu", 0, cache.dtype, cache.shape, cache.ctypes.data)
            binding.bind_output(present, "cpu", 0, cache.dtype, cache.shape, cache.ctypes.data)
        logits = np.zeros(description["outputs"][0]["shape"], np.float32)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        with StderrCapture() as capture:
            session.run_with_iobinding(binding)
        self.warnings += capture.text
        return logits

    def may_prefill(self, length, counts):
        positions = self.positions
        return (max(counts) > 1 and max(positions) + length <= self.room and (self.rules["continues"] or max(positions) == 0)
                and (self.rules["rows_at_different_positions"] or len(set(positions)) == 1) and (self.rules["padding"] or min(counts) >= length)
                and (self.rules["rows_at_different_positions"] or min(counts) > 0))

    def step(self, rows):
        """One call: how many ids it took of each row, and its logits [batch, …]."""
        counts = [len(r) for r in rows]
        # The smallest graph that takes all, else the largest that may be used.
        usable = [g for g in self.prefills if self.may_prefill(g[0]["sequence_length"], counts)]
        graph = next((g for g in reversed(usable) if g[0]["sequence_length"] >= max(counts)), usable[0] if usable else self.decode)
        length = graph[0]["sequence_length"]
        taken = [min(n, length) for n in counts]
        assert self.rules["padding"] or min(taken) == length, "padding would reach the caches"
        assert max(p + t for p, t in zip(self.positions, taken)) <= self.room, "the cache is full"
        ids = np.full((self.batch, length), 1, np.int64)
        for b, row in enumerate(rows):
            ids[b, :taken[b]] = row[:taken[b]]
        first = self.positions[0]
        end = first + length if length > 1 else max(self.positions) + 1
        lengths = self.positions if length == 1 else [t - 1 for t in taken] if first == 0 else [end - 1] * self.batch
        values = {"position": self.positions, "last_index": [max(t - 1, 0) for t in taken], "seqlens_k": lengths, "total_sequence_length": [end]}
        logits = self.call(graph, ids, values)
        self.positions = [p + t for p, t in zip(self.positions, taken)]
        return taken, logits, graph[0]

    def feed(self, rows):
        rows, out = [list(r) for r in rows], [None] * self.batch
        while any(rows):
            taken, logits, graph = self.step(rows)
            for b in range(self.batch):
                if taken[b] and taken[b] == len(rows[b]):
                    out[b] = logits[b, taken[b] - 1 if logits.shape[1] > 1 else 0]
                rows[b] = rows[b][taken[b]:]
        return out


class OpenVinoPair(StaticPair):
    """The same host on OpenVINO's CPU plug-in; the caches are copied back after every call."""

    def open(self, path, threads):
        import openvino
        precision = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
        return openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": threads} | precision)

    def run(self, session, feeds, description):
        results = session(feeds | {past: cache for past, _, cache in self.caches})
        for _, present, cache in self.caches:
            cache[...] = results[present]
        return results["logits"]

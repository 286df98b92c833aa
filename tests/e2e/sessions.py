"""ONNX Runtime on an exported decoder: a session whose log is captured, and the ways a host drives it."""
import os
import sys
import tempfile

import numpy as np


class StderrCapture:
    """What native code writes on stderr."""

    def __enter__(self):
        sys.stderr.flush()
        self.saved, self.file = os.dup(2), tempfile.TemporaryFile()
        os.dup2(self.file.fileno(), 2)
        return self

    def __exit__(self, *unused):
        os.dup2(self.saved, 2)
        os.close(self.saved)
        self.file.seek(0)
        self.text = self.file.read().decode(errors="backslashreplace")
        self.file.close()


class Decoder:
    """`warnings` holds what ONNX Runtime had to say while the session opened and ran."""

    def __init__(self, path, threads=1):
        self.warnings = ""
        self.session = self.open(path, threads)
        self.caches = {i.name: i for i in self.session.get_inputs() if i.name.startswith("past_key_values.")}
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.metadata = self.session.get_modelmeta().custom_metadata_map

    def open(self, path, threads):
        import onnxruntime as ort  # not above: tools/runtimes has other engines open the file
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the machine may be busy
        with StderrCapture() as capture:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.warnings += capture.text
        return session

    def tokens(self, ids):
        """The inputs that say what the tokens are."""
        return {"input_ids": ids}

    def empty_cache(self, batch):
        kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        return {name: np.zeros((batch, i.shape[1], 0, i.shape[3]), kinds[i.type]) for name, i in self.caches.items()}

    def step(self, ids, mask=None, positions=None, cache=None, extra=()):
        """Logits and the new cache (and the extra outputs)."""
        ids = np.asarray(ids, np.int64)
        cache = cache or self.empty_cache(len(ids))
        past = next(iter(cache.values())).shape[2]
        if mask is None:
            mask = np.ones((len(ids), past + ids.shape[1]), np.int64)
        if positions is None:
            positions = np.broadcast_to(np.arange(past, past + ids.shape[1]), ids.shape)
        feeds = self.tokens(ids) | {"attention_mask": np.asarray(mask, np.int64), "position_ids": np.ascontiguousarray(positions, np.int64)} | cache
        with StderrCapture() as capture:
            values = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
        self.warnings += capture.text
        new = {name: values[name.replace("past_key_values", "present")] for name in self.caches}
        return values["logits"], new, *(values[e] for e in extra)

    def pieces(self, ids, lengths):
        """Logits of each piece, on a growing cache."""
        cache, start, out = None, 0, []
        for length in lengths:
            logits, cache, *_ = self.step(ids[:, start:start + length], cache=cache)
            out.append(logits)
            start += length
        return out

    def greedy(self, ids, count):
        out, cache, step = [], None, ids
        for _ in range(count):
            logits, cache, *_ = self.step(step, cache=cache)
            step = logits[:, -1:].argmax(-1)
            out.append(step)
        return np.concatenate(out, axis=1)


class ApartDecoder(Decoder):
    """embed_tokens in front of decoder_model_merged, as Transformers.js runs them: outputs go where inputs have their names."""

    def __init__(self, folder, suffix, threads=1):
        super().__init__(folder / f"decoder_model_merged{suffix}.onnx", threads)
        self.embedding = self.open(folder / f"embed_tokens{suffix}.onnx", threads)

    def tokens(self, ids):
        return dict(zip([o.name for o in self.embedding.get_outputs()], self.embedding.run(None, {"input_ids": ids}), strict=True))

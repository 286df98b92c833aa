#!/usr/bin/env python3
"""The loop of a careful user: every checkpoint to every precision and both graph forms, verified, and judged by Transformers as well.

  every_checkpoint.py build/gemma-onnx                    every tiny checkpoint of tests/golden/tiny
  every_checkpoint.py build/gemma-onnx FOLDER.gguf DIR …  these

Of each: `build -p all` and `verify`, `convert -p all` and `verify`, and then the largest difference between the fp32 file and Hugging
Face Transformers on random texts, in standard deviations, with at most 2e-4 allowed; of the other precisions what theirs is. For an encoder the
difference is that of the last hidden states. A line for each checkpoint; exit status 1 when one is not green.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
import transformers
from make_golden import load_judge, special_ids, unpacked

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "golden" / "tiny"
FILES = {"fp32": "model", "fp16": "model_fp16", "q4": "model_q4", "q4f16": "model_q4f16", "q8": "model_quantized", "int8": "model_int8"}
BOUND = 2e-4
MAX_KL = 10  # nats, of 4-bit files: a random model has no weights that are small, and little is left of the worst
TEXTS, LENGTH = 3, 40


class NotGreen(Exception):
    pass


def tiny_checkpoints():
    return [TINY / name for index in sorted(TINY.glob("index*.txt")) for name in index.read_text().split()]


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotGreen(done.stderr.strip() or f"{arguments[0]} ended with {done.returncode}")


def random_texts(config):
    allowed = [i for i in range(3, config.get_text_config().vocab_size) if i not in special_ids(config)]
    return np.random.default_rng(0).choice(allowed, (TEXTS, LENGTH))


@torch.no_grad()
def transformers_values(judge, ids):
    """Logits of every position, or an encoder's last hidden states."""
    out = judge(torch.from_numpy(ids), use_cache=False)
    return (out.logits if "logits" in out else out.last_hidden_state).float().numpy()


def file_values(path, ids):
    """The same of an exported file."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.broadcast_to(np.arange(LENGTH), ids.shape)}
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    for value in session.get_inputs():
        if value.name.startswith("past_key_values."):
            feeds[value.name] = np.zeros((TEXTS, value.shape[1], 0, value.shape[3]), kinds[value.type])
    wanted = [i.name for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    name = "logits" if "logits" in outputs else "last_hidden_state"
    return session.run([name], {k: np.ascontiguousarray(v) for k, v in feeds.items() if k in wanted})[0]


def judged(folder, source, scratch):
    """By precision, the largest difference from Transformers in standard deviations; logits of the last position, as they are shipped."""
    judge = load_judge(unpacked(source, scratch))
    ids = random_texts(judge.config)
    truth = transformers_values(judge, ids)
    std, out = float(truth.std(-1).mean()), {}
    for precision, file in FILES.items():
        found = file_values(folder / "onnx" / f"{file}.onnx", ids)
        out[precision] = float(np.abs(found - truth[:, -found.shape[1]:]).max()) / std
    return out


def go_through(program, source, scratch):
    """A line of text; NotGreen where something is not."""
    built, pair = scratch / "built", scratch / "static"
    run(program, "build", source, "-o", built, "-p", "all", "-q")
    run(program, "convert", source, "-o", pair, "-p", "all", "--seq_length", "16", "--max_length", "64", "-q")
    for folder in (built, pair):
        run(program, "verify", folder, "--max-kl", MAX_KL, "-q")
    differences = judged(built, source, scratch)
    text = "  ".join(f"{precision} {difference:.1e}" for precision, difference in differences.items())
    if not differences["fp32"] <= BOUND:
        raise NotGreen(f"from Transformers: {text}")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="*", metavar="CHECKPOINT")
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    os.environ.setdefault("GEMMA_ONNX_ORT_LIBRARY", str(Path(ort.__file__).parent / "capi"))
    failed = 0
    for source in options.checkpoints or tiny_checkpoints():
        with tempfile.TemporaryDirectory(prefix="gemma-onnx-") as scratch:
            try:
                print(f"{source.name:32} green  {go_through(options.program.resolve(), source.resolve(), Path(scratch))}", flush=True)
            except NotGreen as reason:
                print(f"{source.name:32} FAILED {reason}", flush=True)
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How far quantised files are from the model they were made of: quality.py --program gemma-onnx [--peers FOLDER] [--json FILE]

Mean KL divergence to Hugging Face fp32 (nats), top-1 agreement and perplexity at every position of the 8 windows of 512 tokens in
tests/data/eval_ids.safetensors, and the KL at positions 512 … 699 of one text (beyond the sliding window). All files see the same
tokens in the same run. Ours are built here by the program; the peers' come from bench/peers/make. The peers' files are judged by
Transformers on the bf16 copy, which they were made of; ours on both copies, each file by the copy that it was made of.
Run it with the Python of bench/peers/make: .deps/peers/bin/python.
"""
import argparse
import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import transformers

from common import CACHE, ROOT, running_text, windows, zero_cache

sys.path.insert(0, str(ROOT / "tools"))
from independent_verify import every_position  # noqa: E402

CHECKPOINTS = {"bf16": "gemma-3-270m-bf16", "f32": "gemma-3-270m-f32"}
OURS = {
    "q4": ("q4", []),
    "q4, embedding 8 bit": ("q4", ["--embedding-bits", "8"]),
    "q4f16": ("q4f16", []),
    "q8": ("q8", []),
    "int8": ("int8", []),
    "fp16": ("fp16", []),
}
PEERS = ("genai-int4", "genai-int8", "genai-k_quant", "genai-fp32", "optimum-fp32", "mobius-fp32")
CHUNK = 64  # positions compared at a time
PAST = (512, 700)  # positions beyond the sliding window of 512


def texts():
    return [row[None] for row in windows()] + [running_text(PAST[1])]


class Judge:
    """Transformers in fp32."""

    def __init__(self, folder):
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    @torch.no_grad()
    def logits(self, ids):
        return self.model(torch.from_numpy(ids), use_cache=False).logits[0].numpy()


class File:
    """An ONNX decoder; logits of every position."""

    def __init__(self, path, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        model = onnx.load(path, load_external_data=False)
        last = next((n for n in model.graph.node if n.name == "/lm_head/last_position"), None)
        source = str(path)
        if last is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
            source = every_position(model, last).SerializeToString()
        self.session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def logits(self, ids):
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
        feeds = {i.name: known[i.name] if i.name in known else zero_cache(i, 0, CACHE / CHECKPOINTS["bf16"])
                 for i in self.session.get_inputs()}
        return self.session.run(["logits"], feeds)[0][0]


def exponentials(logits):
    """Of the logits less the largest; their sum and its logarithm in double."""
    largest = logits.max(-1, keepdim=True).values
    powers = (logits - largest).exp_()
    total = powers.sum(-1, dtype=torch.float64)
    return powers, total, largest[:, 0].double() + total.log()


def compare(reference, logits, following):
    """[positions, 4]: KL, top-1 agreement, own loss and the reference's (NaN where no token follows). KL is good to 1e-8 nats."""
    out = []
    for start in range(0, len(logits), CHUNK):
        p, q = (torch.from_numpy(x[start:start + CHUNK]) for x in (reference, logits))
        powers, total, p_log = exponentials(p)
        q_log = exponentials(q)[2]
        kl = powers.mul_(p - q).sum(-1, dtype=torch.float64) / total - p_log + q_log
        top = (p.argmax(-1) == q.argmax(-1)).double()
        target = torch.from_numpy(following[start:start + CHUNK])[:, None]
        loss = [log[:len(target)] - x[:len(target)].gather(1, target)[:, 0].double() for x, log in ((q, q_log), (p, p_log))]
        loss = [torch.nn.functional.pad(x, (0, len(kl) - len(x)), value=float("nan")) for x in loss]
        out.append(torch.stack([kl, top, *loss], 1))
    return torch.cat(out).numpy()


def measure(judge, files, texts):
    """Per file one array a text; text by text, so that the reference's logits of one text at a time are in memory."""
    rows = [[] for _ in files]
    for number, text in enumerate(texts, 1):
        reference = judge.logits(text)
        for row, file in zip(rows, files, strict=True):
            row.append(compare(reference, file.logits(text), text[0, 1:]))
        print(f"text {number} of {len(texts)}: mean KL " + " ".join(f"{row[-1][:, 0].mean():.3g}" for row in rows), file=sys.stderr, flush=True)
    return [summary(row) for row in rows]


def summary(rows):
    inside, beyond = np.concatenate(rows[:-1]), rows[-1][PAST[0]:]
    loss = np.nanmean(inside[:, 2:], 0)
    return {"mean_kl": float(inside[:, 0].mean()), "top1": float(inside[:, 1].mean()), "perplexity": float(np.exp(loss[0])),
            "reference_perplexity": float(np.exp(loss[1])), "kl_past_window": float(beyond[:, 0].mean())}


def nbytes(path):
    return sum(f.stat().st_size for f in path.parent.iterdir() if f.name == path.name or f.name.startswith(path.name.split(".onnx")[0] + ".onnx"))


def build(program, checkpoint, folder, precision, options):
    subprocess.run([program, "build", str(checkpoint), "-o", str(folder), "-p", precision, "-q", *options], check=True)
    return next((folder / "onnx").glob("model*.onnx"))


def files_of(copy, options, scratch):
    for name, (precision, extra) in OURS.items():
        if not options.only or name in options.only:
            yield name, build(options.program, CACHE / CHECKPOINTS[copy], scratch / name.replace(" ", "_"), precision, extra)
    if copy == "bf16":
        for name in PEERS:
            path = options.peers / name / "model.onnx"
            if path.is_file() and (not options.only or name in options.only):
                yield name, path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--peers", type=Path, default=CACHE / "peers")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="a disk with 4 GB free")
    parser.add_argument("--copies", nargs="+", choices=CHECKPOINTS, default=list(CHECKPOINTS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these files only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus, results = texts(), []
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="quality-") as scratch:
        for copy in options.copies:
            found = list(files_of(copy, options, Path(scratch) / copy))
            files = [File(path, options.threads) for _, path in found]
            measured = measure(Judge(CACHE / CHECKPOINTS[copy]), files, corpus)
            results += [{"file": name, "copy": copy, "bytes": nbytes(path)} | m for (name, path), m in zip(found, measured, strict=True)]
            del files
            gc.collect()
    print("| file | made of, judged by | bytes | mean KL | KL / k_quant's | top-1 % | perplexity (reference) | KL past the window |\n" + "| --- " * 8 + "|")
    yardstick = next((r["mean_kl"] for r in results if r["file"] == "genai-k_quant"), None)
    for r in results:
        show(r, yardstick)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def show(r, yardstick):
    ratio = f"{r['mean_kl'] / yardstick:.3f}" if yardstick else "–"
    print(f"| {r['file']} | {r['copy']} | {r['bytes']:,} | {r['mean_kl']:.3g} | {ratio} | {100 * r['top1']:.2f} | "
          f"{r['perplexity']:.2f} ({r['reference_perplexity']:.2f}) | {r['kl_past_window']:.3g} |", flush=True)


if __name__ == "__main__":
    main()

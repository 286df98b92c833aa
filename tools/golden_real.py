"""Golden vectors of the real Gemma 3 270M, small enough to keep: logits reduced to their top, their moments and a sample.

Used by make_golden.py. The prompts are tests/data/prompts.json, the text is tests/data/eval.txt.
"""
import hashlib
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import DynamicCache

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
GREEDY, TOP, STRIDE, WINDOWS, WINDOW = 64, 64, 97, 8, 512
# Positions at which a sample of the vocabulary is kept, of the two longest prompts: around the window of 512, too.
SAMPLED = {"chapter": (0, 1, 17, 100, 255, 256, 396), "long": (0, 63, 256, 510, 511, 512, 513, 600, 714)}


# ---- ids


def encode(folder, text):
    """<bos> and the text. What Transformers' own tokenizer classes do with this file is the same."""
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    return torch.tensor([ids])


def eval_windows(folder):
    """The text's first ids in windows, each with a <bos> of its own."""
    ids = encode(folder, (DATA / "eval.txt").read_text(encoding="utf-8"))[0]
    body = ids[1:1 + WINDOWS * (WINDOW - 1)].reshape(WINDOWS, WINDOW - 1)
    return torch.cat([ids[:1].expand(WINDOWS, 1), body], dim=1)


# ---- the judge's numbers


@torch.no_grad()
def greedy(model, ids):
    """Logits at all positions of the prompt, then the continuation and by how much each id led the second."""
    cache, out, gaps = DynamicCache(config=model.config), [], []
    logits = model(ids, cache=cache, use_cache=True).logits[0]
    row = logits[-1]
    for _ in range(GREEDY):
        best = row.topk(2)
        gaps.append(best.values[0] - best.values[1])
        out.append(best.indices[0])
        row = model(best.indices[:1].view(1, 1), cache=cache, use_cache=True).logits[0, -1]
    return logits, torch.stack(out), torch.stack(gaps)


def moments(row):
    return torch.stack([row.mean(), row.std(), row.logsumexp(-1)])


def prompt_tensors(model, ids, positions):
    logits, out, gaps = greedy(model, ids)
    top = logits[-1].topk(TOP)
    t = {"ids": ids[0], "greedy_ids": out, "greedy_gaps": gaps, "top_ids": top.indices, "top_logits": top.values,
         "moments": moments(logits[-1])}
    if positions:
        rows = logits[list(positions)]
        t |= {"sample_positions": torch.tensor(positions), "sample_logits": rows[:, ::STRIDE].contiguous(),
              "sample_moments": torch.stack([moments(row) for row in rows])}
    return t, logits[-1]


@torch.no_grad()
def eval_tensors(model, windows):
    """Of every position of the text: minus the logarithm of the next id's probability, and the likeliest id."""
    losses, best = [], []
    for window in windows:
        logits = model(window[None], use_cache=False).logits[0]
        losses.append(logits[:-1].log_softmax(-1).gather(1, window[1:, None])[:, 0].neg())
        best.append(logits.argmax(-1))
    return {"eval.input_ids": windows, "eval.loss": torch.stack(losses), "eval.argmax": torch.stack(best)}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def golden_of(folder, model):
    tensors, last = {}, []
    for n, prompt in enumerate(json.loads((DATA / "prompts.json").read_text(encoding="utf-8"))):
        ids = encode(folder, prompt["text"])
        t, row = prompt_tensors(model, ids, SAMPLED.get(prompt["name"]))
        tensors |= {f"prompt.{n:02}.{key}": value for key, value in t.items()}
        last.append(row)
        print(f"{prompt['name']}: {ids.shape[1]} ids, std {float(row.std()):.2f}, smallest lead {float(t['greedy_gaps'].min()):.1e}", flush=True)
    vocabulary = torch.arange(0, last[0].numel(), STRIDE)
    tensors |= {"sample.vocabulary_ids": vocabulary, "logits.std": torch.stack(last).std(-1).mean().reshape(1)}
    tensors |= eval_tensors(model, eval_windows(folder))
    loss = float(tensors["eval.loss"].mean())
    print(f"text: mean loss {loss:.4f} nats, perplexity {torch.tensor(loss).exp():.2f}")
    return tensors, {"checkpoint": f"gemma-3-270m, {model.config.dtype}", "prompts": str(n + 1),
                     "weights_sha256": digest(folder / "model.safetensors")}

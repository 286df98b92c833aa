#!/usr/bin/env python3
"""Golden vectors: what Hugging Face Transformers computes, in fp32 and eager mode. Layout: tests/golden/README.md.

  make_golden.py TINY                    for each line of TINY/index.txt writes TINY/<line>.golden.safetensors
  make_golden.py --check TINY            computes them again and compares
  make_golden.py --real FOLDER OUT       the real Gemma 3 270M in FOLDER to the file OUT (golden_real.py)
  make_golden.py --real FOLDER --check OUT
  make_golden.py --text FOLDER OUT       the ids of tests/data/eval.txt by the tokenizer in FOLDER; --check likewise
"""
import argparse
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import DynamicCache

import golden_real
import tiny_gguf

PROMPT, CHUNKS, STEPS, PADDED, CONTINUATION = 23, (7, 9, 5), (9,) + (1,) * 8, (10, 4, 6), 12
TOLERANCE = 1e-5  # of the standard deviation of the logits; another CPU may add in another order and differ by up to 5e-5


# ---- the judge


def load_judge(folder, dtype=torch.float32):
    config = transformers.AutoConfig.from_pretrained(folder)
    return getattr(transformers, config.architectures[0]).from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def unpacked(source, scratch):
    """The folder to judge: the source itself, or a GGUF's content dequantised by the `gguf` package."""
    if source.suffix != ".gguf":
        return source
    whole, folder = source, Path(scratch) / source.stem
    if "-of-" in source.name:
        whole = Path(scratch) / "whole.gguf"
        tiny_gguf.write_whole(source.name, whole)
    tool = Path(__file__).with_name("gguf_to_safetensors.py")
    subprocess.run([sys.executable, tool, whole, folder], check=True, capture_output=True)
    return folder


@torch.no_grad()
def one_shot(model, ids):
    return model(ids, use_cache=False).logits.float()


@torch.no_grad()
def in_pieces(model, ids, lengths):
    """All positions' logits, computed piece by piece on a cache."""
    cache, start, out = DynamicCache(config=model.config), 0, []
    for length in lengths:
        positions = torch.arange(start, start + length).unsqueeze(0)
        out.append(model(ids[:, start:start + length], position_ids=positions, cache=cache, use_cache=True).logits.float())
        start += length
    return torch.cat(out, dim=1)


@torch.no_grad()
def left_padded(model, ids, mask, positions):
    logits = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits.float()
    return logits * mask.unsqueeze(-1)  # what stands at padding is undefined: zeros


@torch.no_grad()
def greedy(model, ids, count):
    """The likeliest ids one after another, and by how much each led the second."""
    cache, out, gaps = DynamicCache(config=model.config), [], []
    step = ids
    for _ in range(count):
        best = model(step, cache=cache, use_cache=True).logits[:, -1].float().topk(2)
        gaps.append(float(best.values[0, 0] - best.values[0, 1]))
        step = best.indices[:, :1]
        out.append(int(step))
    return torch.tensor([out]), torch.tensor(gaps)


# ---- inputs


def random_ids(name, config, *shape):
    """Any id but padding and the multimodal ones, the highest one among them; the first is <bos>."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    vocab = config.get_text_config().vocab_size
    special = {getattr(config, key, None) for key in ("image_token_id", "boi_token_id", "eoi_token_id")}
    allowed = torch.tensor([i for i in range(1, vocab) if i not in special])
    ids = allowed[torch.randint(len(allowed), shape, generator=generator)]
    ids[:, -1] = allowed[-1]
    ids[:, 0] = 2
    return ids


def padded_batch(name, config):
    """Prompts of unequal length, padded on the left with id 0; positions count real tokens only."""
    ids = random_ids(name, config, len(PADDED), max(PADDED))
    mask = torch.tensor([[0] * (max(PADDED) - n) + [1] * n for n in PADDED])
    for row, n in enumerate(PADDED):
        ids[row, -n] = 2
    return ids * mask, mask, (mask.cumsum(1) - 1).clamp(min=0)


# ---- one checkpoint


def golden_inputs(name, config):
    ids, mask, positions = padded_batch(f"{name} leftpad", config)
    return {
        "prompt.input_ids": random_ids(f"{name} prompt", config, 1, PROMPT),
        "one.input_ids": random_ids(f"{name} one", config, 1, 1),
        "cached.input_ids": random_ids(f"{name} cached", config, 1, sum(STEPS)),
        "cached.lengths": torch.tensor(STEPS),
        "chunks.input_ids": random_ids(f"{name} chunks", config, 1, sum(CHUNKS)),
        "chunks.lengths": torch.tensor(CHUNKS),
        "leftpad.input_ids": ids, "leftpad.attention_mask": mask, "leftpad.position_ids": positions,
    }


def golden_logits(model, t):
    last = t["cached.lengths"].cumsum(0) - 1
    return {
        "prompt.logits": one_shot(model, t["prompt.input_ids"]),
        "one.logits": one_shot(model, t["one.input_ids"]),
        "cached.logits": in_pieces(model, t["cached.input_ids"], t["cached.lengths"].tolist())[:, last],
        "chunks.logits": in_pieces(model, t["chunks.input_ids"], t["chunks.lengths"].tolist()),
        "leftpad.logits": left_padded(model, t["leftpad.input_ids"], t["leftpad.attention_mask"], t["leftpad.position_ids"]),
    }


def own_noise(model, t, logits):
    """The largest difference between two ways in which the judge itself computes the same logits. A large one would mean that
    one of them is wrong."""
    last = t["cached.lengths"].cumsum(0) - 1
    pairs = [(one_shot(model, t["cached.input_ids"])[:, last], logits["cached.logits"]),
             (one_shot(model, t["chunks.input_ids"]), logits["chunks.logits"])]
    for row, n in enumerate(PADDED):
        pairs.append((one_shot(model, t["leftpad.input_ids"][row:row + 1, -n:])[0], logits["leftpad.logits"][row, -n:]))
    return max(float((a - b).abs().max()) for a, b in pairs)


def fp16_error(folder, t, logits):
    half = golden_logits(load_judge(folder, torch.float16), t)
    return max(float((half[k] - logits[k]).abs().max()) for k in logits)


def greedy_case(name, model, std):
    """A start from which no two ids come near each other, so that greedy text is a fair thing to compare."""
    for attempt in range(300):
        ids = random_ids(f"{name} greedy {attempt}", model.config, 1, 8)
        out, gaps = greedy(model, ids, CONTINUATION)
        if float(gaps.min()) > 0.02 * std and len(out.unique()) > CONTINUATION // 3:
            return {"greedy.input_ids": ids, "greedy.output_ids": out, "greedy.gaps": gaps}
    sys.exit(f"{name}: no prompt with a clear greedy continuation")


def golden_of(source):
    with tempfile.TemporaryDirectory() as scratch:
        folder = unpacked(source, scratch)
        model = load_judge(folder)
        t = golden_inputs(source.name, model.config)
        logits = golden_logits(model, t)
        std = float(logits["prompt.logits"].std(-1).mean())  # row by row: the rows' means, which softmax ignores, may lie far apart
        noise, half = own_noise(model, t, logits), fp16_error(folder, t, logits)
        t |= logits | greedy_case(source.name, model, std)
    peak = float(logits["prompt.logits"].softmax(-1).max(-1).values.mean())
    print(f"{source.name}: std {std:.2f}, mean top probability {peak:.2f}, noise {noise / std:.1e} std, fp16 {half / std:.1e} std")
    if std < 1 or noise > 1e-4 * std:
        sys.exit(f"{source}: flat logits, or a judge that disagrees with itself")
    return t | {"logits.std": torch.tensor([std]), "judge.noise": torch.tensor([noise / std]),
                "judge.fp16_error": torch.tensor([half / std])}


# ---- files


def versions(**more):
    return {"torch": torch.__version__, "transformers": transformers.__version__, "attention": "eager", "dtype": "float32"} | more


def differs(made, kept, std):
    if made.shape != kept.shape or made.dtype != kept.dtype:
        return True
    return float((made.double() - kept.double()).abs().max()) > (TOLERANCE * std if made.is_floating_point() else 0)


def differences(made, path):
    """Names of tensors that differ between what was computed now and the kept file."""
    kept = load_file(path)
    std = float(kept["logits.std"][0]) if "logits.std" in kept else 1.0
    both = [k for k in made.keys() & kept.keys() if not k.startswith("judge.")]  # those are measurements of a machine
    return sorted(made.keys() ^ kept.keys()) + sorted(k for k in both if differs(made[k], kept[k], std))


def finish(made, path, check, metadata):
    """Writes, or compares; returns whether all is well."""
    if not check:
        save_file({k: v.contiguous() for k, v in made.items()}, path, metadata=metadata)
        return True
    with safe_open(path, "pt") as file:
        kept = file.metadata()
    for key in metadata:
        if kept.get(key) != metadata[key]:
            print(f"{path}: {key} was {kept.get(key)}, is {metadata[key]}")
    wrong = differences(made, path)
    print(f"{path}: {'differs in ' + ', '.join(wrong) if wrong else 'the same'}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compute again and compare; nothing is written")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="the real Gemma 3 270M as a Hugging Face folder")
    parser.add_argument("--text", type=Path, metavar="FOLDER", help="a folder with Gemma 3's tokenizer.json")
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    well = True
    if options.text:
        ids = golden_real.eval_windows(options.text)
        well = finish({"input_ids": ids}, options.path, options.check, {"text": "tests/data/eval.txt"})
    elif options.real:
        torch.set_num_threads(1)  # the same sums on every machine
        made, metadata = golden_real.golden_of(options.real, load_judge(options.real))
        well = finish(made, options.path, options.check, versions(**metadata))
    else:
        torch.set_num_threads(1)
        for name in (options.path / "index.txt").read_text().split():
            made = golden_of(options.path / name)
            well &= finish(made, options.path / f"{name}.golden.safetensors", options.check, versions(checkpoint=name))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()

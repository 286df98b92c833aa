#!/usr/bin/env python3
"""Golden vectors: what Hugging Face Transformers computes, in fp32 and eager mode. Layout: tests/golden/README.md.

  make_golden.py TINY                    for each line of TINY/index*.txt writes TINY/<line>.golden.safetensors
  make_golden.py --check TINY            computes them again and compares
  make_golden.py --real FOLDER OUT       the real Gemma 3 270M in FOLDER to the file OUT (golden_real.py)
  make_golden.py --real FOLDER --check OUT
  make_golden.py --text FOLDER OUT       the ids of tests/data/eval.txt by the tokenizer in FOLDER; --check likewise
"""
import argparse
import json
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

SPECIAL_IDS = ("image_token_id", "boi_token_id", "eoi_token_id", "video_token_id", "audio_token_id", "boa_token_id",
               "eoa_token_index", "eoa_token_id")
PLACEHOLDERS = ("image_token_id", "video_token_id", "audio_token_id")  # Gemma 4 embeds padding for them, Gemma 3 what is in its table
PROMPT, CHUNKS, STEPS, PADDED, CONTINUATION = 23, (7, 9, 5), (9,) + (1,) * 8, (10, 4, 6), 12
TOLERANCE = 1e-5  # of the standard deviation of the logits; another CPU may add in another order and differ by up to 5e-5


# ---- the judge


# Transformers builds this package only with timm, which would give a tower that no text passes; the decoder alone is its own class.
DECODERS = {"Gemma3nForConditionalGeneration": transformers.Gemma3nForCausalLM}


def judge_of(folder):
    """The class for the folder, and its config."""
    config = transformers.AutoConfig.from_pretrained(folder)
    name = config.architectures[0]
    return (DECODERS[name], config.text_config) if name in DECODERS else (getattr(transformers, name), config)


def load_judge(folder, dtype=torch.float32):
    judge, config = judge_of(folder)
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    return judge.from_pretrained(folder, config=config, dtype=dtype, **plain).eval()


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


def special_ids(config, keys=SPECIAL_IDS):
    return {getattr(config, key, None) for key in keys} - {None}


def text_end(config):
    """Where the ids of texts end: those of a tower with a vocabulary of its own lie behind them."""
    towers = [getattr(config, key, None) for key in ("vision_config", "audio_config")]
    offsets = [tower.vocab_offset for tower in towers if hasattr(tower, "vocab_offset")]
    return min([config.get_text_config().vocab_size, *offsets])


def random_ids(name, config, *shape):
    """Any id but padding and the multimodal ones, the highest one among them; the first is <bos>."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    allowed = torch.tensor([i for i in range(1, text_end(config)) if i not in special_ids(config)])
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


def greedy_case(name, model, config, std):
    """A start from which no two ids come near each other, so that greedy text is a fair thing to compare."""
    for attempt in range(300):
        ids = random_ids(f"{name} greedy {attempt}", config, 1, 8)
        out, gaps = greedy(model, ids, CONTINUATION)
        replaced = special_ids(config, PLACEHOLDERS) if config.model_type.startswith("gemma4") else set()
        clear = float(gaps.min()) > 0.02 * std and int(out.max()) < text_end(config) and not replaced & set(out[0].tolist())
        if clear and len(out.unique()) > CONTINUATION // 3:
            return {"greedy.input_ids": ids, "greedy.output_ids": out, "greedy.gaps": gaps}
    sys.exit(f"{name}: no prompt with a clear greedy continuation")


def golden_of(source):
    with tempfile.TemporaryDirectory() as scratch:
        folder = unpacked(source, scratch)
        if (folder / "modules.json").is_file():
            return sentence_golden(source, folder)
        model, config = load_judge(folder), transformers.AutoConfig.from_pretrained(folder)
        t = golden_inputs(source.name, config)
        logits = golden_logits(model, t)
        std = float(logits["prompt.logits"].std(-1).mean())  # row by row: the rows' means, which softmax ignores, may lie far apart
        noise, half = own_noise(model, t, logits), fp16_error(folder, t, logits)
        t |= logits | greedy_case(source.name, model, config, std)
    peak = float(logits["prompt.logits"].softmax(-1).max(-1).values.mean())
    print(f"{source.name}: std {std:.2f}, mean top probability {peak:.2f}, noise {noise / std:.1e} std, fp16 {half / std:.1e} std")
    if std < 1 or noise > 1e-4 * std:
        sys.exit(f"{source}: flat logits, or a judge that disagrees with itself")
    return t | {"logits.std": torch.tensor([std]), "judge.noise": torch.tensor([noise / std]),
                "judge.fp16_error": torch.tensor([half / std])}


# ---- one checkpoint that gives sentence embeddings


def modules_after(folder):
    """What sentence-transformers, the judge of it, does after the decoder."""
    from sentence_transformers.util import import_from_string  # only needed here

    after = json.loads((folder / "modules.json").read_text())[1:]
    return [import_from_string(module["type"]).load(str(folder), subfolder=module["path"]) for module in after]


@torch.no_grad()
def embedded(judge, ids, mask, positions):
    """The last hidden state, zeros at padding, and the sentence's embedding."""
    model, modules = judge
    hidden = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state.float()
    features = {"token_embeddings": hidden, "attention_mask": mask}
    for module in modules:
        features = module(features)
    return hidden * mask.unsqueeze(-1), features["sentence_embedding"]


def sentence_inputs(name, config):
    """Texts by case: ids, mask, positions."""
    mask = torch.tensor([[1] * n + [0] * (max(PADDED) - n) for n in PADDED])
    ids = random_ids(f"{name} rightpad", config, *mask.shape) * mask
    t = {"leftpad": padded_batch(f"{name} leftpad", config), "rightpad": (ids, mask, torch.arange(max(PADDED)).expand_as(mask))}
    for case, length in (("prompt", PROMPT), ("one", 1)):
        ids = random_ids(f"{name} {case}", config, 1, length)
        t[case] = ids, torch.ones_like(ids), torch.arange(length).unsqueeze(0)
    return t


def alone(text):
    """The texts of a padded batch, each by itself."""
    for ids, mask in zip(*text[:2]):
        ids = ids[mask.bool()].unsqueeze(0)
        yield ids, torch.ones_like(ids), torch.arange(ids.shape[1]).unsqueeze(0)


def sentence_errors(pairs, stds):
    """The largest difference between two computations, each of its kind's standard deviations."""
    return max(float((a - b).abs().max()) / std for one, other in pairs for a, b, std in zip(one, other, stds))


def sentence_golden(source, folder):
    config, modules = transformers.AutoConfig.from_pretrained(folder), modules_after(folder)
    judge, half_judge = (load_judge(folder), modules), (load_judge(folder, torch.float16), modules)
    texts = sentence_inputs(source.name, config)
    made = {case: embedded(judge, *text) for case, text in texts.items()}
    hidden, embedding = made["prompt"]
    stds = float(hidden.std(-1).mean()), float(embedding.std())
    pairs = []
    for case in ("leftpad", "rightpad"):
        rows = zip(alone(texts[case]), *made[case], texts[case][1].bool(), strict=True)
        pairs += [(embedded(judge, *text), (h[mask].unsqueeze(0), e.unsqueeze(0))) for text, h, e, mask in rows]
    noise = sentence_errors(pairs, stds)
    half = sentence_errors([(embedded(half_judge, *texts[case]), made[case]) for case in made], stds)
    likeness = float(torch.cat([e for _, e in made.values()]).corrcoef().triu(1).max())
    print(f"{source.name}: std {stds[0]:.2f}, {stds[1]:.2f}, likeness {likeness:.2f}, noise {noise:.1e} std, fp16 {half:.1e} std")
    if likeness > 0.95 or noise > 1e-4:
        sys.exit(f"{source}: embeddings that are all alike, or a judge that disagrees with itself")
    t = {}
    for case, (ids, mask, positions) in texts.items():
        t |= {f"{case}.input_ids": ids, f"{case}.last_hidden_state": made[case][0], f"{case}.sentence_embedding": made[case][1]}
        if case.endswith("pad"):
            t |= {f"{case}.attention_mask": mask, f"{case}.position_ids": positions}
    for dim in (embedding.shape[1] // 2, embedding.shape[1] // 4):
        t[f"matryoshka.{dim}"] = torch.nn.functional.normalize(embedding[:, :dim], dim=-1)
    return t | {"last_hidden_state.std": torch.tensor([stds[0]]), "sentence_embedding.std": torch.tensor([stds[1]]),
                "judge.noise": torch.tensor([noise]), "judge.fp16_error": torch.tensor([half])}


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
        for name in [line for index in sorted(options.path.glob("index*.txt")) for line in index.read_text().split()]:
            made = golden_of(options.path / name)
            well &= finish(made, options.path / f"{name}.golden.safetensors", options.check, versions(checkpoint=name))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()

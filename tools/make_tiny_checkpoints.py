#!/usr/bin/env python3
"""Makes the tiny random checkpoints that the golden vectors are computed on (tests/golden/README.md).

  make_tiny_checkpoints.py OUT           one folder for each recipe of tiny_recipes.py, the GGUF files of tiny_gguf.py, index.txt
  make_tiny_checkpoints.py --check OUT   makes them again elsewhere and compares: every file must have the same content

The models are Transformers' own classes, so that names and shapes are theirs. Weights depend only on the recipe's name.
"""
import argparse
import filecmp
import json
import sys
import tempfile
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, GemmaForCausalLM, Gemma3ForCausalLM, Gemma3ForConditionalGeneration
from transformers.utils import logging

import tiny_gguf
from tiny_recipes import RECIPES

CLASSES = {c.__name__: c for c in (GemmaForCausalLM, Gemma3ForCausalLM, Gemma3ForConditionalGeneration)}


def config_of(recipe):
    config = dict(recipe["config"])
    return AutoConfig.for_model(config.pop("model_type"), **config)


def distribution(name, shape):
    """Mean and standard deviation. Large enough that logits spread (std above 1) and attention is not flat, but with more from the
    layers in the residual stream than from the embedding: else a tied head would only repeat its input."""
    if "vision_tower" in name or "multi_modal_projector" in name:
        return 0.0, 0.1
    if len(shape) == 1:  # a norm, whose factor is 1 + w
        return 2.0 if "post_feedforward" in name else 0.0, 0.3
    return 0.0, 1.5 / shape[1] ** 0.5


def randomize(model, name):
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            mean, std = distribution(key, parameter.shape)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std + mean)


def edit_tensors(tensors, recipe, config):
    """The deviations of real files from what Transformers itself would save."""
    for source, target in recipe.get("rename", ()):
        tensors = {(target + k[len(source):] if k.startswith(source) else k): v for k, v in tensors.items()}
    if recipe.get("redundant_head"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if recipe.get("other_head"):
        generator = torch.Generator().manual_seed(7)
        tensors["lm_head.weight"] = torch.randn(tensors["model.embed_tokens.weight"].shape, generator=generator) * 0.25
    if recipe.get("inv_freq"):
        pairs = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        for n in range(config.num_hidden_layers):
            tensors[f"model.layers.{n}.self_attn.rotary_emb.inv_freq"] = 1 / 10000.0 ** pairs
    return tensors


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_tensors(folder, tensors, shard_size):
    """One file, or shards of at most `shard_size` bytes each with the index that names them."""
    shards, size = [{}], 0
    for name, tensor in tensors.items():
        if shard_size and shards[-1] and size + tensor.nbytes > shard_size:
            shards, size = shards + [{}], 0
        shards[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    if len(shards) == 1:
        return save_file(shards[0], folder / "model.safetensors", metadata={"format": "pt"})
    weight_map = {}
    for n, shard in enumerate(shards):
        file = f"model-{n + 1:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(t.nbytes for t in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def own_tensors(model):
    """The state dict without the second name of a tied head, as save_pretrained leaves it out."""
    tensors = {k: v for k, v in model.state_dict().items() if not k.startswith("model.rotary_emb")}
    text = model.config.get_text_config()
    if getattr(model.config, "tie_word_embeddings", True) and text.tie_word_embeddings:
        tensors.pop("lm_head.weight")
    return tensors


def make_folder(recipe, folder):
    folder.mkdir(parents=True)
    config = config_of(recipe)
    model = CLASSES[recipe["config"]["architectures"][0]](config).eval()
    model.tie_weights()
    randomize(model, recipe["name"])
    model.to(getattr(torch, recipe.get("dtype", "float32")))
    tensors = edit_tensors(own_tensors(model), recipe, config)
    write_tensors(folder, tensors, int(recipe["shard_size"].removesuffix("KB")) * 1000 if "shard_size" in recipe else 0)
    write_json(folder / "config.json", recipe["config"])
    eos = recipe["config"].get("eos_token_id", 1)
    write_json(folder / "generation_config.json", {
        "_from_model_config": True, "bos_token_id": 2, "eos_token_id": eos, "pad_token_id": 0,
        "transformers_version": recipe["config"]["transformers_version"]})
    check_loads(folder, recipe, tensors)


def check_loads(folder, recipe, tensors):
    """Transformers must find every weight in what was written."""
    model, info = CLASSES[recipe["config"]["architectures"][0]].from_pretrained(folder, output_loading_info=True)
    unexpected = [k for k in info["unexpected_keys"] if "inv_freq" not in k]
    if info["missing_keys"] or unexpected or info["mismatched_keys"]:
        sys.exit(f"{folder}: Transformers does not load what was written: {info}")
    stored = sorted(round(float(t.float().sum()), 4) for k, t in tensors.items() if "inv_freq" not in k)
    loaded = sorted(round(float(p.detach().float().sum()), 4) for p in model.parameters())
    if recipe.get("redundant_head"):
        stored.remove(round(float(tensors["lm_head.weight"].sum()), 4))
    if stored != loaded:
        sys.exit(f"{folder}: the loaded weights are not the written ones")


def make_all(out):
    names = []
    for recipe in RECIPES:
        make_folder(recipe, out / recipe["name"])
        names.append(recipe["name"])
    names += tiny_gguf.make_all(out)
    (out / "index.txt").write_text("".join(f"{name}\n" for name in names))


def check(out):
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        make_all(Path(temporary))
        for made in sorted(p for p in Path(temporary).rglob("*") if p.is_file()):
            kept = out / made.relative_to(temporary)
            if not kept.is_file() or not filecmp.cmp(made, kept, shallow=False):
                wrong.append(str(kept))
    sys.exit(f"not what the recipes make: {', '.join(wrong)}" if wrong else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="make them again and compare")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.check:
        check(options.out)
    elif options.out.exists() and any(options.out.iterdir()):
        sys.exit(f"{options.out} is not empty")
    else:
        make_all(options.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes the tiny random checkpoints that the golden vectors are computed on (tests/golden/README.md).

  make_tiny_checkpoints.py OUT           one folder for each recipe of tiny_recipes.py, the GGUF files of tiny_gguf.py, the indices
  make_tiny_checkpoints.py --check OUT   makes them again elsewhere and compares: every file must have the same content

The models are Transformers' own classes, so that names and shapes are theirs. Weights depend only on the recipe's name.
"""
import argparse
import filecmp
import json
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.utils import logging

import tiny_gguf
from make_golden import judge_of
from sentence_files import sentence_files
from tiny_recipes import RECIPES

OUTSIDE = ("vision_tower", "audio_tower", "multi_modal_projector", "embed_vision", "embed_audio")  # the decoder
PLAIN_FACTORS = ("gemma3n", "gemma4")  # whose norms multiply by w; those of the others by 1 + w
INDEXED = ("gemma", "gemma2", "gemma3", "gemma3n", "gemma4", "vaultgemma")  # the families of index.txt, which the tests follow; each other one has an index of its own


def index_of(name):
    family = name.split("-")[0]
    return "index.txt" if family in INDEXED else f"index-{family}.txt"


def distribution(name, shape, recipe):
    """Mean and standard deviation. Large enough that logits spread (std above 1) and attention is not flat, but with more from the
    layers in the residual stream than from the embedding: else a tied head would only repeat its input."""
    for part, moments in recipe.get("weights", {}).items():
        if part in name:
            return moments
    if any(part in name for part in OUTSIDE):
        return 0.0, 0.1
    if "router.proj" in name:  # experts are to be chosen clearly
        return 0.0, 3.0
    if "modality_router" in name:  # its input is divided by its width
        return 0.0, shape[1] ** 0.5 / 2
    if "prediction_coefs" in name or "correction_coefs" in name:  # streams are to mix, but not to grow from layer to layer
        return 0.0, 0.15
    if len(shape) == 1:  # a norm, whose factor is w or 1 + w, or another factor
        plain = recipe["config"]["model_type"].startswith(PLAIN_FACTORS)
        if plain and "q_norm" in name:  # these families scale scores by nothing else
            return 0.5, 0.15
        return (1.0 if plain else 0.0) + (2.0 if "post_feedforward" in name else 0.0), 0.3
    return 0.0, 1.5 / shape[-1] ** 0.5


def weights_of(model):
    """The parameters, and the buffers that a file holds."""
    return [*model.named_parameters(), *((k, b) for k, b in model.named_buffers() if k in model.state_dict())]


def randomize(model, recipe):
    generator = torch.Generator().manual_seed(zlib.crc32(recipe["name"].encode()))
    with torch.no_grad():
        for key, weight in sorted(weights_of(model)):
            mean, std = distribution(key, weight.shape, recipe)
            weight.copy_(torch.randn(weight.shape, generator=generator) * std + mean)


def unused_kv(tensors):
    """Keys and values of the layers that take another layer's, as published files hold them."""
    generator = torch.Generator().manual_seed(11)
    attentions = [k.removesuffix("q_norm.weight") for k in tensors if k.endswith("self_attn.q_norm.weight")]
    donors = {tensors[a + "k_norm.weight"].shape: a for a in attentions if a + "k_norm.weight" in tensors}
    for attention in [a for a in attentions if a + "k_norm.weight" not in tensors]:
        donor = donors[tensors[attention + "q_norm.weight"].shape]
        for part in ("k_norm.weight", "k_proj.weight", "v_proj.weight"):
            like = tensors[donor + part]
            tensors[attention + part] = torch.randn(like.shape, generator=generator).to(like.dtype)


def edit_tensors(tensors, recipe, config):
    """The deviations of real files from what Transformers itself would save."""
    for source, target in recipe.get("rename", ()):
        tensors = {(target + k[len(source):] if k.startswith(source) else k): v for k, v in tensors.items()}
    if recipe.get("redundant_head"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if recipe.get("other_head"):
        generator = torch.Generator().manual_seed(7)
        tensors["lm_head.weight"] = torch.randn(tensors["model.embed_tokens.weight"].shape, generator=generator) * 0.25
    if recipe.get("unused_kv"):
        unused_kv(tensors)
    for name, shape in recipe.get("beside", {}).items():
        tensors[name] = torch.zeros(shape, dtype=tensors[next(iter(tensors))].dtype)
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
        tensors.pop("lm_head.weight", None)
    return tensors


def write_sentence_files(folder, recipe):
    """What sentence-transformers adds to the decoder: pooling, two dense layers without bias, normalisation."""
    width, wide = recipe["config"]["hidden_size"], recipe["dense"]
    for path, value in sentence_files(width, wide, newer=recipe.get("saved", False)).items():
        (folder / path).parent.mkdir(exist_ok=True)
        write_json(folder / path, value)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{recipe['name']} dense".encode()))
    dtype = getattr(torch, recipe.get("dtype", "float32"))
    for path, shape in (("2_Dense", (wide, width)), ("3_Dense", (width, wide))) if wide else ():
        weight = torch.randn(shape, generator=generator) * 1.5 / shape[1] ** 0.5
        save_file({"linear.weight": weight.to(dtype)}, folder / path / "model.safetensors", metadata={"format": "pt"})


def make_folder(recipe, folder):
    folder.mkdir(parents=True)
    write_json(folder / "config.json", recipe["config"])
    judge, config = judge_of(folder)
    model = judge(config).eval()
    model.tie_weights()
    randomize(model, recipe)
    model.to(getattr(torch, recipe.get("dtype", "float32")))
    tensors = edit_tensors(own_tensors(model), recipe, config)
    write_tensors(folder, tensors, int(recipe["shard_size"].removesuffix("KB")) * 1000 if "shard_size" in recipe else 0)
    if recipe.get("saved"):
        model.save_pretrained(folder)
    if "dense" in recipe:
        write_sentence_files(folder, recipe)
        return check_loads(folder, recipe, tensors)
    eos = recipe["config"].get("eos_token_id", 1)
    write_json(folder / "generation_config.json", {
        "_from_model_config": True, "bos_token_id": 2, "eos_token_id": eos, "pad_token_id": 0,
        "transformers_version": recipe["config"]["transformers_version"]})
    check_loads(folder, recipe, tensors)


def check_loads(folder, recipe, tensors):
    """Transformers must find every weight in what was written."""
    judge, config = judge_of(folder)
    model, info = judge.from_pretrained(folder, config=config, output_loading_info=True)
    unexpected = [k for k in info["unexpected_keys"] if "inv_freq" not in k and k not in recipe.get("beside", {})]
    if info["missing_keys"] or unexpected or info["mismatched_keys"]:
        sys.exit(f"{folder}: Transformers does not load what was written: {info}")
    stored = Counter(round(float(t.float().sum()), 4) for t in tensors.values())
    loaded = Counter(round(float(w.detach().float().sum()), 4) for _, w in weights_of(model))
    if loaded - stored:
        sys.exit(f"{folder}: the loaded weights are not the written ones")


def make_all(out):
    names = []
    for recipe in RECIPES:
        make_folder(recipe, out / recipe["name"])
        names.append(recipe["name"])
    names += tiny_gguf.make_all(out)
    for index in sorted({index_of(name) for name in names}):
        (out / index).write_text("".join(f"{name}\n" for name in names if index_of(name) == index))


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

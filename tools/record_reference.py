#!/usr/bin/env python3
"""Records what PyTorch and Transformers compute, for `gemma-onnx convert --reference FILE`:

  record_reference.py MODEL --output reference.npz [--prompt TEXT …] [--steps 32] [--pad-to N] [--dtype float32]

MODEL is a Hugging Face folder. The prompts are one batch, padded on the right to the longest (or to N); after it every row goes on
with the likeliest id. The file holds what the older comparison script kept, under its names: input_ids and attention_mask
[rows, n], prefill_logits [rows, n, vocabulary] in fp32, next_token [rows, 1], decode_input_ids [rows, steps] and decode_logits
[rows, steps, vocabulary]. A name that ends in .safetensors gives that format.
"""
import argparse
import json
from pathlib import Path

import numpy as np

PROMPTS = ["The capital of France is", "def fibonacci(n):\n", "Once upon a time, in a small village by the sea,"]


def encode(model, prompts, pad_to):
    """Ids and mask; a folder without a tokenizer takes prompts of ids: "2 17 5"."""
    import transformers
    if (Path(model) / "tokenizer.json").is_file():
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        rows = [tokenizer(p).input_ids for p in prompts]
    else:
        rows = [[int(i) for i in p.split()] for p in prompts]
    width = max(pad_to, *(len(r) for r in rows))
    ids = np.array([r + [0] * (width - len(r)) for r in rows], np.int64)
    mask = np.array([[1] * len(r) + [0] * (width - len(r)) for r in rows], np.int64)
    return ids, mask


def record(model, ids, mask, steps):
    """Row by row, without padding: the ids that count and nothing else decide."""
    import torch
    vocabulary = model.get_output_embeddings().weight.shape[0]
    out = {"input_ids": ids, "attention_mask": mask, "prefill_logits": np.zeros((*ids.shape, vocabulary), np.float32),
           "next_token": np.zeros((len(ids), 1), np.int64), "decode_input_ids": np.zeros((len(ids), steps), np.int64),
           "decode_logits": np.zeros((len(ids), steps, vocabulary), np.float32)}
    for row in range(len(ids)):
        count = int(mask[row].sum())
        with torch.no_grad():
            step = model(torch.from_numpy(ids[row:row + 1, :count]), use_cache=True)
            out["prefill_logits"][row, :count] = step.logits[0].float().numpy()
            out["next_token"][row] = token = step.logits[0, -1].argmax().item()
            for n in range(steps):
                out["decode_input_ids"][row, n] = token
                step = model(torch.tensor([[token]]), past_key_values=step.past_key_values, use_cache=True)
                out["decode_logits"][row, n] = step.logits[0, -1].float().numpy()
                token = step.logits[0, -1].argmax().item()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--prompt", action="append")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--pad-to", type=int, default=0)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    import torch
    import transformers
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = json.loads((Path(options.model) / "config.json").read_text())
    kind = getattr(transformers, config["architectures"][0])
    model = kind.from_pretrained(options.model, dtype=getattr(torch, options.dtype), attn_implementation="eager").eval()
    arrays = record(model, *encode(options.model, options.prompt or PROMPTS, options.pad_to), options.steps)
    if options.output.suffix == ".safetensors":
        from safetensors.numpy import save_file
        save_file(arrays, options.output)
    else:
        np.savez(options.output, **arrays)
    print(f"{options.output}: {len(arrays['input_ids'])} prompts of up to {arrays['input_ids'].shape[1]} ids, {options.steps} steps each")


if __name__ == "__main__":
    main()

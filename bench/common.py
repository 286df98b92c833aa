"""What the benchmarks share: where the checkpoints lie, the text, an empty cache."""
import json
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("GEMMA_ONNX_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemma-onnx")
KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def windows():
    """8 × 512 ids of tests/data/eval.txt, each window with its own <bos>."""
    from safetensors.numpy import load_file
    return load_file(ROOT / "tests" / "data" / "eval_ids.safetensors")["input_ids"].astype(np.int64)


def running_text(length):
    """The same ids as one text, [1, length]."""
    ids = windows()
    return np.concatenate([ids[0], *ids[1:, 1:]])[None, :length]


def zero_cache(value, positions, checkpoint):
    """Zeros for one past_key_values input; the peers' graphs leave dimensions open that the config fixes.

    The GenAI builder's sliding layers (sliding_window_cache) want room for a window even where nothing is cached yet: what is valid
    follows from the attention mask.
    """
    config = json.loads((checkpoint / "config.json").read_text())
    if "past_sliding_length" in value.shape:
        positions = max(positions, config["sliding_window"])
    return np.zeros((1, config["num_key_value_heads"], positions, config["head_dim"]), KINDS[value.type])

#!/usr/bin/env python3
"""What `gemma-onnx verify` measures, computed a second time with ONNX Runtime and Transformers alone.

  independent_verify.py OUT --against FOLDER [--windows 2] [--window-ids 512] [-p fp32 q4 …] [--json FILE]
  independent_verify.py OUT --against FOLDER --compare OUT/verify.json

OUT is a folder that `gemma-onnx build` wrote, FOLDER the Hugging Face checkpoint. The ids are those of
tests/data/eval_ids.safetensors (the text tests/data/eval.txt; windows of 512, each with its own <bos>), or, where the
vocabulary is smaller or --random is given, the pseudo-random ids that `verify` takes then. With --compare the program's report is
compared, number by number; it must have been made with the same windows (verify OUT --text-file tests/data/eval.txt --windows N
--window-ids 512), and exit status 1 says that they disagree.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

ROOT = Path(__file__).resolve().parent.parent
FILES = {"fp32": "model", "fp16": "model_fp16", "q4": "model_q4", "q4f16": "model_q4f16", "q8": "model_quantized", "int8": "model_int8"}
CHUNK = 128  # positions whose logits are held at a time
PROMPTS, GREEDY = (6, 31, 150), 32  # of the first window, as `verify` has them

# How far the two may lie apart: the truths differ by up to 5e-5 of the logits' deviation, and ONNX Runtime is fed other chunks.
AGREE = {  # relative, absolute
    "mean_kl": (0.02, 2e-8), "top1": (0, 0.004), "perplexity": (0.005, 0), "reference_perplexity": (1e-4, 0), "mean_error": (0.02, 2e-6),
    "max_error": (0.25, 1e-3)}


# ---- ids


def random_ids(vocabulary, count):
    """Steele and Vigna's splitmix64 from 1, as `verify` uses it for models without a tokenizer."""
    state, mask, out = 1, (1 << 64) - 1, []
    for _ in range(count):
        state = z = (state + 0x9E3779B97F4A7C15) & mask
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        out.append((z ^ (z >> 31)) % vocabulary)
    return out


def windows_of(config, windows, length, pseudo_random):
    kept = ROOT / "tests" / "data" / "eval_ids.safetensors"
    if config.vocab_size > 200000 and kept.is_file() and not pseudo_random:
        from safetensors.numpy import load_file
        ids = load_file(kept)["input_ids"]
        stream = ids[:, 1:].reshape(-1)
    else:
        stream = np.array(random_ids(config.vocab_size, windows * length))
    body = np.resize(stream, windows * (length - 1)).reshape(windows, length - 1)
    return np.concatenate([np.full((windows, 1), config.bos_token_id), body], axis=1).astype(np.int64)


# ---- the two sides


class Judge:
    def __init__(self, folder):
        import transformers
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        config = transformers.AutoConfig.from_pretrained(folder)
        kind = getattr(transformers, config.architectures[0])
        self.model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.config = config.get_text_config()
        self.cap = getattr(self.config, "final_logit_softcapping", None)

    @torch.no_grad()
    def hidden(self, ids):
        return self.model.model(torch.from_numpy(ids), use_cache=False).last_hidden_state[0]

    @torch.no_grad()
    def logits(self, hidden):
        logits = self.model.lm_head(hidden)
        return torch.tanh(logits / self.cap) * self.cap if self.cap else logits

    @torch.no_grad()
    def greedy(self, ids, count):
        from transformers import DynamicCache
        out, cache, step = [], DynamicCache(config=self.model.config), torch.from_numpy(ids)
        for _ in range(count):
            hidden = self.model.model(step, cache=cache, use_cache=True).last_hidden_state[0, -1:]
            out.append(int(self.logits(hidden)[0].argmax()))
            step = torch.tensor([out[-1:]])
        return out


class Exported:
    """A file as it is, and a second session that shows every position."""

    def __init__(self, path, threads):
        self.threads = threads
        self.shipped = self.session(path.read_bytes(), path.parent)
        model = onnx.load(path, load_external_data=False)
        last = next((n for n in model.graph.node if n.name == "/lm_head/last_position"), None)
        self.every = self.session(every_position(model, last).SerializeToString(), path.parent) if last else self.shipped

    def session(self, data, folder):
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def step(session, ids, cache):
        kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        inputs = [i for i in session.get_inputs() if i.name.startswith("past_key_values.")]
        if cache is None:
            cache = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), kinds[i.type]) for i in inputs}
        past = cache[inputs[0].name].shape[2]
        feeds = {"input_ids": ids, "attention_mask": np.ones((1, past + ids.shape[1]), np.int64), "position_ids": np.arange(past, past + ids.shape[1])[None]}
        names = ["logits"] + [i.name.replace("past_key_values", "present") for i in inputs]
        logits, *new = session.run(names, feeds | cache)
        return logits[0], {i.name: value for i, value in zip(inputs, new, strict=True)}

    def greedy(self, ids, count):
        out, cache = [], None
        for _ in range(count):
            logits, cache = self.step(self.shipped, ids, cache)
            out.append(int(logits[-1].argmax()))
            ids = np.array([out[-1:]], np.int64)
        return out


def every_position(model, last):
    """The Gather of the last position becomes a Reshape that keeps all."""
    norm = next(n.input[1] for n in model.graph.node if n.name == "/lm_head/norm")
    hidden = next(i.dims[0] for i in model.graph.initializer if i.name == norm)
    wanted = onnx.numpy_helper.from_array(np.array([-1, hidden], np.int64), "/lm_head/every_position")
    model.graph.initializer.append(wanted)
    unused = next(i for i in model.graph.initializer if i.name == last.input[1])
    model.graph.initializer.remove(unused)
    last.op_type, last.input[1] = "Reshape", wanted.name
    del last.attribute[:]
    # Declared shapes follow from the nodes; what stood there for one position would only be a warning.
    del model.graph.value_info[:]
    logits = next(o for o in model.graph.output if o.name == "logits")
    logits.type.tensor_type.shape.dim[1].dim_param = "sequence_length"
    return model


# ---- measuring


class Sums:
    def __init__(self):
        self.kl, self.same, self.loss, self.true_loss, self.error, self.largest, self.std = [], [], [], [], [], 0.0, []

    def add(self, found, wanted, following):
        self.largest = max(self.largest, float((found - wanted).abs().max()))
        self.error.append((found - wanted).abs().double().mean(-1))
        self.std.append(wanted.double().std(-1))
        p, q = wanted.double().log_softmax(-1), found.double().log_softmax(-1)
        self.kl.append((p.exp() * (p - q)).sum(-1))
        self.same.append(found.argmax(-1) == wanted.argmax(-1))
        rows = torch.arange(len(following))  # the last position of a window has no next id
        self.loss.append(-q[rows, following])
        self.true_loss.append(-p[rows, following])

    def result(self):
        mean = {k: float(torch.cat(getattr(self, k)).double().mean()) for k in ("kl", "same", "loss", "true_loss", "error", "std")}
        return {"positions": len(torch.cat(self.kl)), "mean_kl": mean["kl"], "max_kl": float(torch.cat(self.kl).max()), "max_error": self.largest,
                "mean_error": mean["error"], "logits_standard_deviation": mean["std"], "top1": mean["same"],
                "perplexity": float(np.exp(mean["loss"])), "reference_perplexity": float(np.exp(mean["true_loss"]))}


def measure(path, judge, windows, truths, greedy, threads):
    exported, sums = Exported(path, threads), Sums()
    for ids, hidden in zip(windows, truths, strict=True):
        cache = None
        for first in range(0, len(ids), CHUNK):
            logits, cache = exported.step(exported.every, ids[None, first:first + CHUNK], cache)
            sums.add(torch.from_numpy(logits), judge.logits(hidden[first:first + CHUNK]), torch.from_numpy(ids[first + 1:first + CHUNK + 1]))
    agreement = []
    for length, wanted in zip(PROMPTS, greedy, strict=True):
        found = exported.greedy(windows[0][None, :length], GREEDY)
        agreement.append(next((n for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b), GREEDY))
    return {"all_positions": sums.result(), "greedy_ids_equal": agreement}


def disagreements(ours, theirs):
    """Lines that say where the program's report differs."""
    out = []
    for precision, mine in ours.items():
        report = theirs.get("precisions", {}).get(precision, {}).get("all_positions", {})
        for key, (relative, absolute) in AGREE.items():
            a, b = mine["all_positions"][key], report.get(key)
            if b is None or abs(a - b) > absolute + relative * abs(a):
                out.append(f"{precision}, {key}: {a:.6g} here, {b if b is None else f'{b:.6g}'} in the report")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--against", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("-p", "--precision", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--window-ids", type=int, default=512)
    parser.add_argument("--random", action="store_true", help="pseudo-random ids, as verify takes them without a tokenizer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compare", type=Path, metavar="VERIFY_JSON")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    theirs = json.loads(options.compare.read_text()) if options.compare else None
    if theirs:
        options.windows, options.window_ids = theirs["windows"], theirs["window_ids"]
    judge = Judge(options.against)
    windows = windows_of(judge.config, options.windows, options.window_ids, options.random)
    truths = [judge.hidden(ids[None]) for ids in windows]
    greedy = [judge.greedy(windows[0][None, :n], GREEDY) for n in PROMPTS]
    results = {}
    for precision in options.precision:
        path = options.folder / "onnx" / f"{FILES[precision]}.onnx"
        if not path.is_file():
            continue
        results[precision] = measure(path, judge, windows, truths, greedy, options.threads)
        r = results[precision]["all_positions"]
        print(f"{precision:6} mean KL {r['mean_kl']:.3e}  top-1 {r['top1']:.2%}  perplexity {r['perplexity']:.3f} ({r['reference_perplexity']:.3f})  "
              f"largest error {r['max_error'] / r['logits_standard_deviation']:.2e} std  mean {r['mean_error'] / r['logits_standard_deviation']:.2e} std  "
              f"greedy {results[precision]['greedy_ids_equal']} of {GREEDY}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"windows": options.windows, "window_ids": options.window_ids, "precisions": results}, indent=1) + "\n")
    wrong = disagreements(results, theirs) if theirs else []
    if not results:
        wrong = [f"{options.folder}: no model in its onnx folder"]
    print("\n".join(wrong) if wrong else "the report agrees" if theirs else "done")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

"""The rows of docs/runtimes.json: one for every runtime, graph and precision that was tried. measure.py writes them; page.py makes
docs/runtimes.md of them.

A row is an object with these keys; those in KEY say which row it is, and a new one with the same takes the old one's place.

  runtime     its name: "ONNX Runtime", "Transformers.js"
  version     what was installed: "1.32.0"
  host        where it ran: "Python", "Node", "Node, wasm", "Chromium, wasm"
  model       "gemma-3-270m", or of tests/golden/tiny: "tiny", several of them, or a name
  profile     "ort", "standard", "primitive"
  form        "dynamic" (of build) or "static" (of convert)
  precision   "fp32", "fp16", "q4", "q4f16", "q8", "int8"
  loads       whether it loads: true or false
  warnings    how many lines the runtime wrote on stderr or the console while it loaded and ran
  message     what it said when it did not load or run, in one line; "" if it did
  text        optional: greedy text. {"prompts", "tokens"}: how many prompts, new tokens of each; {"equal"}: how many of the prompts had the
              expected ids to the last; {"against"}: whose ids those are; {"gap"}: where texts part, how far the logit of the token taken lies
              below the expected one's in the run that is compared with, the largest over the prompts; 0 if none parts;
              {"exact_gap"}: optional, of MatMulNBits: the same to the newest ONNX Runtime at accuracy level 1;
              {"good"}: whether that is within the bar, as the page says it
  numbers     optional: logits. {"models"}: of how many tiny checkpoints; {"right"}: how many of them ran and were within the bound of the tests;
              {"difference"}: the largest of those that ran, in standard deviations of the logits, 1e6 if it is no number; {"good"}: whether all are right
  tokens_per_second  optional: of decoding one prompt, from the median time of a step
  peak_bytes  optional: the largest resident memory of the process, with the interpreter and the mapped file
  file_bytes  optional: the model file and its data
  measured    the day: "2026-11-30"
  machine     kind of machine, in words
  final       false while other programs used the machine: times are then no more than a hint
"""
import json
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "runtimes.json"
KEY = ("runtime", "version", "host", "model", "profile", "form", "precision")
REQUIRED = {k: str for k in (*KEY, "message", "measured", "machine")} | {"loads": bool, "warnings": int, "final": bool}
OPTIONAL = {"tokens_per_second": (int, float), "peak_bytes": int, "file_bytes": int}
EXACT = {"exact_gap": (int, float)}
PARTS = {"text": {"prompts": int, "tokens": int, "equal": int, "against": str, "gap": (int, float), "good": bool},
         "numbers": {"models": int, "right": int, "difference": (int, float), "good": bool}}
PROFILES, FORMS, PRECISIONS = ("ort", "standard", "primitive"), ("dynamic", "static"), ("fp32", "fp16", "q4", "q4f16", "q8", "int8")
CHOICES = {"profile": PROFILES, "form": FORMS, "precision": PRECISIONS}


def key(row):
    return tuple(row[k] for k in KEY)


def checked(row):
    """The row, or an error that names what is wrong with it."""
    known = REQUIRED.keys() | OPTIONAL.keys() | PARTS.keys()
    if unknown := row.keys() - known:
        raise ValueError(f"{row}: unknown: {', '.join(sorted(unknown))}")
    for where, rules, needed in ((row, REQUIRED, True), (row, OPTIONAL, False), (row.get("text", {}), EXACT, False), *((row[p], PARTS[p], True) for p in PARTS if p in row)):
        for name, kind in rules.items():
            if name not in where and not needed:
                continue
            if name not in where or not isinstance(where[name], kind) or (isinstance(where[name], bool) and kind is not bool):
                raise ValueError(f"{row}: {name} is {where.get(name, 'missing')!r}")
    for name, choices in CHOICES.items():
        if row[name] not in choices:
            raise ValueError(f"{row}: {name} is none of {', '.join(choices)}")
    if "\n" in row["message"]:
        raise ValueError(f"{row}: the message has several lines")
    return row


def load(path=FILE):
    return [checked(row) for row in json.loads(path.read_text())] if path.exists() else []


def save(rows, path=FILE):
    """A line for each, in the order of their keys, so that a rerun shows in a diff what changed."""
    lines = [json.dumps(checked(row), ensure_ascii=False) for row in sorted(rows, key=key)]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def merge(new, path=FILE):
    found = {key(row): row for row in load(path)} | {key(row): checked(row) for row in new}
    save(found.values(), path)

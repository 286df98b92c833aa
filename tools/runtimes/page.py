#!/usr/bin/env python3
"""docs/runtimes.md from docs/runtimes.json: page.py [--check]

--check writes nothing, and fails when the page is not that of the rows.
"""
import argparse
import sys
from pathlib import Path

import rows as table
from rows import FORMS, PRECISIONS, PROFILES

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "runtimes.md"

HEAD = """# Runtimes

What loads the files, whether it says the same, and how fast. Made by `tools/runtimes/page.py` from `runtimes.json`, which `tools/runtimes/measure.py build/gemma-onnx`
fills: every runtime in an environment of its own, every measurement in a process of its own; any row can be measured again by itself
(`measure.py --help`).

**Text** is greedy text of the real Gemma 3 270M: *n/m × t*, so many of m prompts give the expected t ids to the last. In fp32 and fp16 those are Hugging Face's
fp32 ids, else the ids that the newest ONNX Runtime gives with the same file; *gap* says how far below the expected id, in logits, the one taken stood in that run where
texts part (the first time; the largest over the prompts). Products of blocks (q4, q4f16, int8) round activations to 8 bits in native ONNX Runtime, each release and processor in its way;
*exact* is the gap to the same weights without that rounding (`--accuracy-level 1`). **wrong** is beyond the bar: any difference in fp32 and fp16, a gap of 0.5 in quantised files and, where nothing
is rounded (WebAssembly, WebGPU), an exact gap of 0.05, too. **Numbers** are logits of tiny random checkpoints: fp32
against Transformers (prompt, cached, chunked, left-padded), the other precisions against the newest ONNX Runtime. Peak memory is the process' resident memory, interpreter and mapped
file included. ≈: other programs used the machine meanwhile; such a time is a hint.
"""
BY_HAND = """
Tried by hand with a tiny `primitive` model, and not in the script:

- **ncnn** 1.0.20261020 by pnnx 20261020: converts, but leaves `ScatterND`, `torch.where` and `torch.le`, which ncnn has not.
- **onnx2torch** 1.5.15: "Converter is not implemented (… operation_type='LessOrEqual', version=16)".
- **jaxonnxruntime** 0.3.0: static, "ScatterND is not implemented"; dynamic, "… is not constant but used as a static argument … the `Range` operator".
- **onnx2tf** 1.29.24: "Value for attr 'out_type' of float is not in the list of allowed values: int32, int64", at a `Shape`.
- **Aidge** 0.10.1: imports the dynamic graph whole, of the static one all but `ScatterND`; not run.
- **nncase** 2.11.0 wants .NET ("Failed to get hostfxr path"); **wonnx** 0.5.1 a GPU ("No GPU found given preference"); **rten** has a converter on PyPI, no engine.

What engines are particular about, and what the graphs do for it: a `Reshape` is told every length but one (tract, OpenCV); `TensorScatter` has no `axis`
(tinygrad; the default is meant). tinygrad wants clang, and keeps the lengths of the first call unless its caches are cleared. MNN's `mnnconvert` installs a package and reports what it
converted; its module does not. What goes wrong without a word: MNN in q8; IREE in the dynamic `primitive` graph (prompts of more than one id). The evaluator of the onnx package knows no
`DequantizeLinear` before opset 19, which `primitive` in q8 has.
"""


def number(version):
    return tuple(int(part) if part.isdigit() else -1 for part in version.replace("-", ".").split("."))


def text_cell(row):
    if "text" not in row:
        return ""
    text = row["text"]
    apart = "" if text["equal"] == text["prompts"] else f", gap {text['gap']:.2g}"
    exact = f", exact {text['exact_gap']:.2g}" if text.get("exact_gap") else ""
    return f"{text['equal']}/{text['prompts']} × {text['tokens']}{apart}{exact}{'' if text['good'] else ', **wrong**'}"


def numbers_cell(row):
    if "numbers" not in row:
        return ""
    n = row["numbers"]
    return f"{n['right']} of {n['models']} right, {n['difference']:.1e}"


def line_of(row):
    """For a terminal."""
    cells = (f"{row['runtime']} {row['version']}", row["host"], row["model"], row["profile"], row["form"], row["precision"], "loads" if row["loads"] else "no", text_cell(row),
             numbers_cell(row), f"{row['tokens_per_second']} tokens/s" if "tokens_per_second" in row else "", f"{row['warnings']} warnings" if row["warnings"] else "", row["message"][:200])
    return " | ".join(c for c in cells if c)


class Notes:
    """Messages, numbered as they come."""

    def __init__(self):
        self.found = []

    def mark(self, message):
        if message not in self.found:
            self.found.append(message)
        return f" [{self.found.index(message) + 1}]"

    def lines(self):
        return "".join(f"\n{n}. {message}" for n, message in enumerate(self.found, 1)) + ("\n" if self.found else "")


def is_good(row):
    return row["loads"] and "numbers" in row and row["numbers"]["good"]


def outcome(row):
    if is_good(row):
        return "yes" if not row["warnings"] else "yes, warns"
    if not row["loads"]:
        return "no"
    if "numbers" not in row:
        return "fails"
    return f"{row['numbers']['right']} of {row['numbers']['models']} right" if row["numbers"]["right"] else "**wrong**"


def summary(found, notes):
    """Several precisions in one cell: those of one outcome together, with what the runtime said."""
    groups = {}
    for precision in PRECISIONS:
        for row in found:
            if row["precision"] == precision:
                message = "" if is_good(row) else row["message"].split(": ", 1)[-1] if row["model"] == "tiny" else row["message"]
                groups.setdefault((outcome(row), message), []).append(precision)
    cells = []
    for (what, message), precisions in groups.items():
        names = "" if len(precisions) == len(PRECISIONS) else f"{' '.join(precisions)}: "
        cells.append(f"{names}{what}{notes.mark(message) if message else ''}")
    return "; ".join(cells)


def grid(rows, heads, notes):
    """Lines of a table: versions by profile and form."""
    columns = [(p, f) for p in PROFILES for f in FORMS if any(r["profile"] == p and r["form"] == f for r in rows)]
    out = [f"| {heads} | " + " | ".join(f"{p}, {f}" for p, f in columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for runtime, _, version in sorted({(r["runtime"], number(r["version"]), r["version"]) for r in rows}, key=lambda n: (n[0].lower(), n[1])):
        own = [r for r in rows if r["runtime"] == runtime and r["version"] == version]
        cells = [summary([r for r in own if (r["profile"], r["form"]) == c], notes) for c in columns]
        out.append(f"| {version if heads == 'version' else f'{runtime} {version}'} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def real_line(row, notes):
    rate = f"{'' if row['final'] else '≈ '}{row['tokens_per_second']:g}" if "tokens_per_second" in row else ""
    peak = f"{row['peak_bytes'] / 1e6:,.0f}" if "peak_bytes" in row else ""
    size = f"{row['file_bytes']:,}" if "file_bytes" in row else ""
    note = notes.mark(row["message"]) if row["message"] else ""
    loads = f"no{note}" if not row["loads"] else "yes" if not row["warnings"] else f"yes, {row['warnings']} warnings{note}"
    said = text_cell(row) or (f"fails{note}" if row["loads"] and note else "")
    cells = (f"{row['runtime']} {row['version']}, {row['host']}", f"{row['profile']}, {row['form']}", row["precision"], loads, said, rate, peak, size)
    return "| " + " | ".join(cells).replace("  ", " ") + " |"


def newest(rows):
    """Of every runtime and host the rows of its newest version."""
    latest = {}
    for row in rows:
        key = row["runtime"], row["host"]
        latest[key] = max(latest.get(key, ()), number(row["version"]))
    return [r for r in rows if number(r["version"]) == latest[r["runtime"], r["host"]]]


def in_order(row):
    return row["runtime"] != "ONNX Runtime", row["runtime"].lower(), row["host"], PROFILES.index(row["profile"]), row["form"], PRECISIONS.index(row["precision"])


def text(rows):
    real, tiny = [r for r in rows if r["model"] == "gemma-3-270m"], [r for r in rows if r["model"] != "gemma-3-270m"]
    parts, notes = [HEAD], Notes()
    machines = sorted({f"{r['machine']}, {r['measured']}{'' if r['final'] else ' (busy)'}" for r in rows})
    parts.append("Measured on: " + "; ".join(machines) + ".\n")
    parts.append("## The real model, newest versions\n\n| runtime | profile | precision | loads | text | tokens/s | peak MB | bytes |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    parts += [real_line(r, notes) for r in sorted(newest(real), key=in_order)]
    versions = [r for r in tiny if r["runtime"] == "ONNX Runtime"]
    if versions:
        parts.append("\n## ONNX Runtime, version by version\n\nNumbers of tiny checkpoints of every family. What a model needs stands in its metadata "
                     "(`gemma_onnx.min_onnxruntime`, [the graph](graph.md)).\n")
        parts.append(grid(versions, "version", notes))
    older = [r for r in real if r["host"] in ("Python", "Node", "Node, wasm") and r["runtime"].lower().startswith("onnx")]
    if older:
        parts.append("\nText of the real model:\n\n| runtime | profile | " + " | ".join(PRECISIONS) + " |\n" + "| --- " * (len(PRECISIONS) + 2) + "|")
        for key in sorted({(r["runtime"] != "ONNX Runtime", r["runtime"], number(r["version"]), r["version"], r["host"], r["profile"], r["form"]) for r in older}):
            _, runtime, _, version, host, profile, form = key
            cells = []
            for precision in PRECISIONS:
                row = next((r for r in older if (r["runtime"], r["version"], r["host"], r["profile"], r["form"], r["precision"]) == (runtime, version, host, profile, form, precision)), None)
                cells.append("" if row is None else text_cell(row) or ("no" if not row["loads"] else "fails") + notes.mark(row["message"]))
            parts.append(f"| {runtime} {version} | {profile}, {form} | " + " | ".join(cells) + " |")
    engines = [r for r in tiny if r["runtime"] != "ONNX Runtime"]
    if engines:
        parts.append("\n## Other engines\n\nNumbers of tiny checkpoints.\n")
        parts.append(grid(engines, "engine", notes))
        parts.append(BY_HAND)
    if notes.found:
        parts.append("\n## What they say\n" + notes.lines())
    return "\n".join(parts).rstrip() + "\n"


def write(rows, path=PAGE):
    path.write_text(text(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", type=Path, default=table.FILE)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    wanted = text(table.load(options.json))
    if options.check and (not options.page.exists() or options.page.read_text() != wanted):
        sys.exit(f"{options.page.name} is not what {options.json.name} says; run tools/runtimes/page.py")
    if not options.check:
        options.page.write_text(wanted)


if __name__ == "__main__":
    main()

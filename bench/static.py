#!/usr/bin/env python3
"""Static pairs beside the dynamic graph: static.py --program gemma-onnx [--json FILE]

Caches of 4,096 positions. `gemma-onnx bench` measures the dynamic graph (one shared buffer as past and present), the pair with full
caches and the pair with bounded ones, in turns, each in a process of its own; every figure is the median of the rounds, ratios are
medians of the rounds' own. Memory is what is resident once both sessions are open and have run, against the decode session alone.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import CACHE

CONTEXTS = (32, 4000)
FOLDERS = {"build": (), "pair, full caches": ("--cache", "full"), "pair, bounded caches": ("--cache", "bounded")}


def make(program, model, folder, precision, arguments):
    if arguments:
        subprocess.run([program, "convert", model, "-o", folder, "-p", precision, "--seq_length", "512", "--max_length", "4096", "-q", *arguments], check=True)
    else:
        subprocess.run([program, "build", model, "-o", folder, "-p", precision, "-q"], check=True)


def measure(program, folder):
    command = [program, "bench", folder, "--prompt-tokens", "512", "--decode-tokens", "16", "--repeats", "2", "--threads", "2", "--json", "-q", "--context", *map(str, CONTEXTS)]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    entry = next(iter((document["precisions"] or document["static_precisions"]).values()))
    rates = {"prefill 512": entry["prefill_tokens_per_second"]["median"]}
    return rates | {f"decode at {d['context']}": d["median"] for d in entry["decode_tokens_per_second"]}


def resident(program, folder):
    """The largest resident set in MB after loading, sampled: the last third of a run."""
    process = subprocess.Popen([program, "bench", folder, "--prompt-tokens", "512", "--decode-tokens", "64", "--repeats", "1", "--context", "32", "-q"], stdout=subprocess.DEVNULL)
    seen = []
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                seen.append(int(line.split()[1]) / 1024)
        time.sleep(0.05)
    return statistics.median(seen[len(seen) * 2 // 3:])


def decode_alone(folder):
    """The same folder, of which only the decode graph is opened."""
    path = folder / "gemma_static.json"
    document = json.loads(path.read_text())
    for precision in document["precisions"].values():
        precision["graphs"] = [g for g in precision["graphs"] if g["phase"] == "decode"]
    path.write_text(json.dumps(document))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--checkpoint", type=Path, default=CACHE / "gemma-3-270m-bf16")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "q4"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for precision in options.precisions:
        with tempfile.TemporaryDirectory() as scratch:
            folders = {name: Path(scratch) / name.replace(" ", "-").replace(",", "") for name in FOLDERS}
            for name, arguments in FOLDERS.items():
                make(options.program, options.checkpoint, folders[name], precision, arguments)
            rounds = {name: [] for name in FOLDERS}
            for _ in range(options.rounds):
                for name, folder in folders.items():
                    rounds[name].append(measure(options.program, folder))
            print(f"\n{precision}, tokens a second: median (slowest … fastest round); in brackets the ratio to build\n")
            measures = list(rounds["build"][0])
            print(f"| | {' | '.join(measures)} |\n|{' --- |' * (1 + len(measures))}")
            for name in FOLDERS:
                cells = []
                for m in measures:
                    own, base = [r[m] for r in rounds[name]], [r[m] for r in rounds["build"]]
                    cells.append(f"{statistics.median(own):.1f} ({min(own):.1f} … {max(own):.1f}) [{statistics.median(a / b for a, b in zip(own, base)):.2f}]")
                print(f"| {name} | {' | '.join(cells)} |")
            both = resident(options.program, folders["pair, full caches"])
            decode_alone(folders["pair, full caches"])
            alone = resident(options.program, folders["pair, full caches"])
            print(f"\nresident: {both:.0f} MB with both sessions, {alone:.0f} MB with decode alone: {both / alone:.3f} x")
            results[precision] = {"rounds": rounds, "resident_mb": {"both": both, "decode": alone}}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

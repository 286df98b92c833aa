#!/usr/bin/env python3
"""Operator profiles and engines: profiles.py --program gemma-onnx [--json FILE]

Static pairs of one model in every profile, caches of 1,024 positions, in ONNX Runtime (gemma-onnx bench) and, the primitive one, in OpenVINO's
CPU plug-in. In turns, each measurement in a process of its own; medians of the rounds, in brackets the ratio to `ort` in ONNX Runtime.
OpenVINO's caches are not bound in place: what a call returns is copied back, which is part of the time.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import CACHE, ROOT, running_text

PROMPT, CONTEXT, ROOM, STEPS = 512, 600, 1024, 16


def in_onnxruntime(program, folder):
    command = [program, "bench", folder, "--prompt-tokens", PROMPT, "--context", CONTEXT, "--decode-tokens", STEPS, "--repeats", 2, "--threads", 2, "--json", "-q"]
    document = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
    entry = next(iter(document["static_precisions"].values()))
    return entry["prefill_tokens_per_second"]["median"], entry["decode_tokens_per_second"][0]["median"]


def in_openvino(folder):
    sys.path.insert(0, str(ROOT / "tests" / "e2e"))
    from static_pair import OpenVinoPair
    pair = OpenVinoPair(folder, next(iter(json.loads((folder / "gemma_static.json").read_text())["precisions"])), threads=2)
    ids = running_text(CONTEXT)[0].tolist()
    seconds = []
    for _ in range(2):  # the first one warms up
        pair.reset()
        begun = time.perf_counter()
        pair.feed([ids[:PROMPT]])
        seconds.append(time.perf_counter() - begun)
    for i in ids[PROMPT:]:
        pair.feed([[i]])
    begun = time.perf_counter()
    for i in ids[:STEPS]:
        pair.feed([[i]])
    return PROMPT / min(seconds), STEPS / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--checkpoint", type=Path, default=CACHE / "gemma-3-270m-bf16")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "q4"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--openvino", type=Path, metavar="FOLDER", help="measure this one in this process, for the other rounds")
    options = parser.parse_args()
    if options.openvino:
        print(json.dumps(in_openvino(options.openvino)))
        return
    results = {}
    for precision in options.precisions:
        with tempfile.TemporaryDirectory() as scratch:
            rounds = {}
            for profile in ("ort", "standard", "primitive"):
                subprocess.run([options.program, "convert", options.checkpoint, "-o", f"{scratch}/{profile}", "-p", precision, "--profile", profile, "--seq_length",
                                str(PROMPT), "--max_length", str(ROOM), "-q"], check=True)
                rounds |= {(profile, "ONNX Runtime"): []} | ({(profile, "OpenVINO"): []} if profile == "primitive" else {})
            for _ in range(options.rounds):
                for (profile, engine), found in rounds.items():
                    folder = Path(scratch) / profile
                    if engine == "ONNX Runtime":
                        found.append(in_onnxruntime(options.program, folder))
                    else:
                        run = subprocess.run([sys.executable, __file__, "--openvino", folder], check=True, capture_output=True, text=True)
                        found.append(json.loads(run.stdout.splitlines()[-1]))
        print(f"\n{precision}\n\n| | prefill {PROMPT} | decode at {CONTEXT} |\n| --- | --- | --- |")
        base = rounds["ort", "ONNX Runtime"]
        for (profile, engine), found in rounds.items():
            cells = [f"{statistics.median(r[i] for r in found):.1f} [{statistics.median(r[i] / b[i] for r, b in zip(found, base)):.2f}]" for i in (0, 1)]
            print(f"| {profile}, {engine} | {' | '.join(cells)} |")
        results[precision] = [{"profile": p, "engine": e, "rounds": r} for (p, e), r in rounds.items()]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a conversion costs beside a plain copy: convert.py --program gemma-onnx [--checkpoint FOLDER] [--rounds 5] [--json FILE]

Per precision: seconds of `gemma-onnx build` and of `cp --sparse=never --reflink=never` of a file as large as what it wrote, one after
the other in every round, in the same folder, into fresh names; source and copied file are in the page cache, neither side calls fsync.
Figures are medians; the ratio is the median of the rounds' ratios. Then all five precisions in one run beside five single runs, peak
resident memory (getrusage, mapped input pages counted), the start of --help, and the size of the stripped program.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import measured

CACHE = Path(os.environ.get("GEMMA_ONNX_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemma-onnx")
PRECISIONS = ("fp32", "fp16", "q4", "q4f16", "q8", "int8")
MIB = 1 << 20


class Bench:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.source = sum(f.stat().st_size for f in options.checkpoint.glob("*.safetensors"))
        for f in options.checkpoint.glob("*.safetensors"):
            subprocess.run(["cat", str(f)], stdout=subprocess.DEVNULL, check=True)

    def convert(self, *precisions, threads=None):
        folder = self.scratch / "out"
        shutil.rmtree(folder, ignore_errors=True)
        seconds, cpu, peak = measured.run([self.options.program, "build", str(self.options.checkpoint), "-o", str(folder), "-q", "-p", *precisions,
                                      "--threads", str(threads or self.options.threads)])
        size = sum(f.stat().st_size for f in (folder / "onnx").iterdir())
        shutil.rmtree(folder)
        return seconds, cpu, peak, size

    def copy(self, size):
        original, duplicate = self.scratch / f"original-{size}", self.scratch / "duplicate"
        if not original.exists():
            with open(original, "wb") as f:
                for start in range(0, size, MIB):
                    f.write(os.urandom(min(MIB, size - start)))
        duplicate.unlink(missing_ok=True)
        subprocess.run(["cat", str(original)], stdout=subprocess.DEVNULL, check=True)
        seconds, cpu, _ = measured.run(["cp", "--sparse=never", "--reflink=never", str(original), str(duplicate)])
        duplicate.unlink()
        return seconds, cpu

    def beside_copy(self, precisions, threads=None):
        *_, size = self.convert(*precisions, threads=threads)
        self.copy(size)
        rounds = []
        for _ in range(self.options.rounds):
            seconds, cpu, peak, _ = self.convert(*precisions, threads=threads)
            rounds.append((seconds, cpu, *self.copy(size), peak))
        (self.scratch / f"original-{size}").unlink()
        wall, cpu, cp_wall, cp_cpu, peaks = zip(*rounds)
        ratios = sorted(a / b for a, b in zip(wall, cp_wall))
        return {"what": " ".join(precisions), "threads": threads or self.options.threads, "bytes": size,
                "seconds": statistics.median(wall), "fastest": min(wall), "cpu_seconds": statistics.median(cpu),
                "cp_seconds": statistics.median(cp_wall), "cp_fastest": min(cp_wall), "cp_cpu_seconds": statistics.median(cp_cpu),
                "ratio": statistics.median(ratios), "ratio_low": ratios[0], "ratio_high": ratios[-1], "peak_mib": max(peaks) / 1024}

    def one_run_or_five(self):
        together, apart = [], []
        for _ in range(self.options.rounds):
            together.append(self.convert(*PRECISIONS)[0])
            apart.append(sum(self.convert(p)[0] for p in PRECISIONS))
        read = statistics.median(self.read_source() for _ in range(self.options.rounds))
        return {"one_run": statistics.median(together), "five_runs": statistics.median(apart), "one_read": read}

    def read_source(self):
        return measured.run(["cat", *map(str, self.options.checkpoint.glob("*.safetensors"))])[0]

    def program(self):
        stripped = self.scratch / "stripped"
        subprocess.run(["strip", "-o", str(stripped), self.options.program], check=True)
        starts = [measured.run([str(stripped), "--help"])[0] for _ in range(50)]
        return {"stripped_bytes": stripped.stat().st_size, "help_ms": 1e3 * statistics.median(starts)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--checkpoint", type=Path, default=CACHE / "gemma-3-270m-bf16")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="a real disk with 5 GB free")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="convert-") as scratch:
        bench, rows = Bench(options, Path(scratch)), []
        print("| precision | threads | bytes | seconds (fastest; processor) | cp: seconds (fastest; processor) | × cp (lowest … highest) | peak RSS MiB |\n" + "| --- " * 7 + "|")
        for what, threads in [((p,), None) for p in PRECISIONS] + [(("q4",), 1), (PRECISIONS, None)]:
            r = bench.beside_copy(what, threads)
            rows.append(r)
            print(f"| {r['what']} | {r['threads']} | {r['bytes']:,} | {r['seconds']:.2f} ({r['fastest']:.2f}; {r['cpu_seconds']:.2f}) | "
                  f"{r['cp_seconds']:.2f} ({r['cp_fastest']:.2f}; {r['cp_cpu_seconds']:.2f}) | "
                  f"{r['ratio']:.2f} ({r['ratio_low']:.2f} … {r['ratio_high']:.2f}) | {r['peak_mib']:.0f} |", flush=True)
        five, program = bench.one_run_or_five(), bench.program()
        print(f"\nq4 ÷ fp32: {rows[2]['seconds'] / rows[0]['seconds']:.2f} by medians, {rows[2]['fastest'] / rows[0]['fastest']:.2f} by the fastest")
        print(f"all five in one run: {five['one_run']:.2f} s; five single runs: {five['five_runs']:.2f} s, less four reads of the source: "
              f"{five['five_runs'] - 4 * five['one_read']:.2f} s")
        print(f"--help: {program['help_ms']:.1f} ms; stripped: {program['stripped_bytes']:,} bytes")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "five": five, "program": program}, indent=2) + "\n")


if __name__ == "__main__":
    main()

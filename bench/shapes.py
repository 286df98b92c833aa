#!/usr/bin/env python3
"""What a conversion of large shapes costs beside a plain copy: shapes.py --program gemma-onnx [--rounds 5] [--precision fp16]

True widths and vocabularies of large models with few layers, in files of zeros that take no room; otherwise as convert.py measures.
"""
import argparse
import sys
import tempfile
from pathlib import Path

from convert import Bench

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import make_models_page  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="a real disk with 10 GB free")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", nargs="+", default=["fp16"])
    options = parser.parse_args()
    print("| shape | precision | bytes | seconds | cp: seconds | × cp (lowest … highest) | peak RSS MiB |\n" + "| --- " * 7 + "|")
    for name in make_models_page.SHORTENED:
        with tempfile.TemporaryDirectory(dir=options.scratch, prefix="shapes-") as scratch:
            options.checkpoint = make_models_page.write_shortened(Path(scratch) / "model", options.program, name)
            bench = Bench(options, Path(scratch))
            for precision in options.precision:
                r = bench.beside_copy((precision,))
                print(f"| {name.removeprefix('google/')} | {precision} | {r['bytes']:,} | {r['seconds']:.2f} | {r['cp_seconds']:.2f} | "
                      f"{r['ratio']:.2f} ({r['ratio_low']:.2f} … {r['ratio_high']:.2f}) | {r['peak_mib']:.0f} |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a download costs beside curl: fetch.py --program gemma-onnx [--bytes 2000000000] [--rounds 5] [--json FILE]

A Hub on the loopback interface (tests/hub/server.py) serves a checkpoint of random numbers, one file of --bytes. In every round, one after the other, in the same folder:
`gemma-onnx fetch` into an empty cache (with the SHA-256 that it checks), and `curl URL | sha256sum`, and `curl URL | tee FILE | sha256sum`, which keeps the bytes, too.
Figures are medians; the ratio is the median of the rounds' ratios. Peak resident memory of one more run, by getrusage, beside that of `gemma-onnx --version`.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import measured

HUB = Path(__file__).resolve().parent.parent / "tests" / "hub"
sys.path.insert(0, str(HUB))

import large_model  # noqa: E402

PORT = 8347


class Bench:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.cache = scratch / "cache"
        self.model = large_model.write(scratch / "model", options.bytes)
        self.file = self.model / "model.safetensors"
        self.url = f"http://127.0.0.1:{PORT}"
        self.server = subprocess.Popen([sys.executable, HUB / "server.py", "--port", str(PORT), "--quiet", f"bench/model={self.model}"])
        self.wait_for_server()

    def wait_for_server(self):
        """Its first answer has the hashes, which take a while."""
        for _ in range(100):
            try:
                return urllib.request.urlopen(f"{self.url}/api/models/bench/model/revision/main?blobs=true").read()
            except OSError:
                time.sleep(0.1)
        sys.exit("the server does not answer")

    def fetch(self):
        shutil.rmtree(self.cache, ignore_errors=True)
        seconds, cpu, _ = measured.run(self.command())
        shutil.rmtree(self.cache)
        return seconds, cpu

    def command(self):
        return [self.options.program, "fetch", "bench/model", "-q", "--endpoint", self.url, "--cache-dir", str(self.cache)]

    def peak_mib(self, command):
        """Started by a small interpreter: a process begins with the peak of the one that it was forked from."""
        done = subprocess.run([sys.executable, "-S", measured.__file__, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        shutil.rmtree(self.cache, ignore_errors=True)
        return int(done.stderr.split()[-1]) / 1024

    def curl(self, keep):
        kept = self.scratch / "kept"
        middle = f"| tee {kept}" if keep else ""
        seconds, cpu, _ = measured.run(["sh", "-c", f"curl -sSfL {self.url}/bench/model/resolve/main/model.safetensors {middle} | sha256sum"])
        kept.unlink(missing_ok=True)
        return seconds, cpu

    def rounds(self):
        rows = []
        for n in range(self.options.rounds + 1):
            row = (*self.fetch(), *self.curl(False), *self.curl(True))
            rows += [row] if n else []  # the first one warms the page cache
        return rows

    def close(self):
        self.server.terminate()
        self.server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="a real disk with room for the file twice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="fetch-") as scratch:
        bench = Bench(options, Path(scratch))
        try:
            rows = bench.rounds()
            peak, idle = bench.peak_mib(bench.command()), bench.peak_mib([options.program, "--version"])
        finally:
            bench.close()
    fetch, cpu, curl, curl_cpu, kept, _ = zip(*rows)
    result = {"bytes": options.bytes, "fetch_seconds": statistics.median(fetch), "fetch_cpu_seconds": statistics.median(cpu), "curl_seconds": statistics.median(curl),
              "curl_cpu_seconds": statistics.median(curl_cpu), "curl_tee_seconds": statistics.median(kept), "throughput": statistics.median(c / f for c, f in zip(curl, fetch)),
              "throughput_kept": statistics.median(c / f for c, f in zip(kept, fetch)), "peak_mib": peak, "idle_mib": idle}
    print("| bytes | fetch: seconds (processor) | curl, sha256sum: seconds (processor) | with tee: seconds | throughput × curl | … with tee | peak RSS MiB | idle MiB |\n" + "| --- " * 8 + "|")
    print(f"| {options.bytes:,} | {result['fetch_seconds']:.2f} ({result['fetch_cpu_seconds']:.2f}) | {result['curl_seconds']:.2f} ({result['curl_cpu_seconds']:.2f}) | "
          f"{result['curl_tee_seconds']:.2f} | {result['throughput']:.2f} | {result['throughput_kept']:.2f} | {result['peak_mib']:.1f} | {result['idle_mib']:.1f} |")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""tools/every_checkpoint.py, as a careful user runs it."""
import subprocess
import sys

from harness import ROOT, TINY, check, checkpoint_names, encoder_names


def green(environment, names):
    command = [sys.executable, ROOT / "tools" / "every_checkpoint.py", environment.program.path, *(TINY / n for n in names)]
    done = subprocess.run(command, capture_output=True, text=True)
    check(done.returncode == 0 and done.stdout.count(" green ") == len(names), done.stdout + done.stderr[-1000:])


def tests(environment):
    names = [*checkpoint_names(), *encoder_names()]
    for name in names if environment.full else ("gemma-mqa", "gemma3-scaled.gguf", "gemma4-experts-sharded", "embeddinggemma-published"):
        yield f"green[{name}]", lambda e, n=name: green(e, (n,))

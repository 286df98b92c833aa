"""A runtime's own virtual environment or npm folder, in .deps/runtimes, with exactly the packages that the registry names."""
import fcntl
import json
import os
import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".deps" / "runtimes"


class CannotInstall(Exception):
    """With the last line of what pip or npm said."""


@contextmanager
def locked(folder):
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        shutil.rmtree(folder)
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise CannotInstall(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")


def made(name, packages, make):
    """The folder, made anew when the list of packages is another."""
    folder = FOLDER / name
    stamp = folder / ".packages"
    with locked(folder):
        if not stamp.exists() or json.loads(stamp.read_text()) != packages:
            shutil.rmtree(folder, ignore_errors=True)
            print(f"installing {name}", file=sys.stderr, flush=True)
            make(folder, packages)
            stamp.write_text(json.dumps(packages))
    return folder


def make_venv(folder, packages):
    venv.create(folder, with_pip=False, symlinks=True)
    # The list is whole: what pip would add by itself is not what was measured.
    install([sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "--python", folder / "bin" / "python", "install", "--no-deps", *packages], folder)


def make_npm_folder(folder, packages):
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n')
    # No install scripts: onnxruntime-node's would fetch GPU libraries.
    install(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", *packages], folder)


def python_of(name, packages):
    return made(name, packages, make_venv) / "bin" / "python"


def npm_folder(name, packages):
    return made(name, packages, make_npm_folder)


def environment():
    """Of the child: nothing of this process' own Python."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}

"""Ids in every command: revisions, settings, terminals, memory, from nothing to a model. The Hub is tests/hub/server.py, on this machine."""
import json
import os
import pty
import re
import subprocess
import sys

import synthetic
from group_hub import FILES, IN_FLIGHT, PIECE, PLAIN, SHARDED, wait_for
from group_memory import MIB, peak_of
from harness import ARGUMENT, MISMATCH, NETWORK, REAL, ROOT, TINY, Problems, Skip, check

sys.path.insert(0, str(ROOT / "tests" / "hub"))

import large_model  # noqa: E402
from faults import Fault  # noqa: E402
from repository import Repository  # noqa: E402
from server import Hub  # noqa: E402
from user import User, check_files, same_tree, tree_of  # noqa: E402


# ---- revisions


def revisions(environment):
    """Branches, tags, commits, pull requests, written with the id or as an option; each leads to its commit."""
    repository = Repository(TINY / SHARDED)
    names = {"v1.0": 1, "feature/x-y": 2, "refs/pr/3": 3}
    for name, n in names.items():
        repository.commit(TINY / SHARDED, {"generation_config.json": b'{"top_k": %d}' % n}, name)
    with Hub({"org/model": repository}) as hub:
        user = User(environment, hub)
        for name, commit in repository.refs.items():
            for folder in (user.fetch(f"org/model@{name}"), user.fetch("org/model", "--revision", name), user.fetch(f"org/model@{commit}"),
                           user.fetch(f"org/model@{name}", "--revision", name), user.fetch(f"org/model@{name}", "--offline")):
                check(folder.name == commit, f"{name}: {folder}, expected {commit}")
            check_files(folder, repository, name)
            check((user.folder("org/model") / "refs" / name).read_text() == commit, f"refs/{name}")
        short = repository.refs["v1.0"][:10]
        check(user.fetch(f"org/model@{short}").name == repository.refs["v1.0"], "a commit's beginning")
        check("main" in user.refuse(ARGUMENT, "fetch", "org/model@main", "--revision", "v1.0"), "two revisions")
        for bad in ("..", "../../x", "/x", "a//b", "a b", "-x", "a\n", ""):
            user.refuse(ARGUMENT, "fetch", "org/model", "--revision", bad) if bad != "-x" else None
        user.check_cache()


def one_commit(environment):
    """The branch moves while a model comes: all of it is of the commit that was there at first."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE, shards=3)
    other = large_model.write(environment.scratch / "other", 2 * PIECE, shards=3, seed=7)
    repository = Repository(model)
    first = repository.refs["main"]
    with Hub({"org/model": repository}) as hub:
        hub.add(Fault(before=lambda hub: repository.commit(other)), "/resolve/", times=1)
        user = User(environment, hub)
        folder = user.fetch("org/model")
        check(folder.name == first, f"{folder}")
        check_files(folder, repository, first)
        check(all(f"/resolve/{first}/" in r.path for r in hub.asked("/resolve/")), f"{list(map(str, hub.asked('/resolve/')))}")
        check(len(hub.asked("/api/models/")) == 1, "asked for more than one listing")
        folder = user.fetch("org/model")
        check(folder.name == repository.refs["main"] != first, "the new commit is not seen")
        check_files(folder, repository)
        check((user.folder("org/model") / "refs" / "main").read_text() == repository.refs["main"], "refs/main is not the new commit")


def renamed(environment):
    """The Hub redirects the old id of a repository to the new one."""
    with Hub({"new/name": TINY / PLAIN}) as hub:
        hub.renamed["old/name"] = "new/name"
        check_files(User(environment, hub).fetch("old/name"), hub.repositories["new/name"])


# ---- settings


def places(environment):
    """Each setting has an option, and its place in the environment; the option wins."""
    with Hub({"org/model": TINY / PLAIN}) as hub:
        at = environment.scratch
        nowhere = "http://127.0.0.1:9"
        cases = [  # options, environment, the cache: below the user's home; None: fails
            ([], {}, "hf/hub"), ([], {"HF_HUB_CACHE": at / "a"}, at / "a"), ([], {"HUGGINGFACE_HUB_CACHE": at / "b"}, at / "b"),
                 ([], {"HF_HOME": None}, ".cache/huggingface/hub"),
            ([], {"HF_HOME": None, "XDG_CACHE_HOME": at / "c"}, at / "c/huggingface/hub"), (["--cache-dir", at / "d"], {"HF_HUB_CACHE": at / "no"}, at / "d"),
            (["--cache_dir", "relative"], {}, "relative"), ([], {"HF_HUB_CACHE": "~/e"}, "e"),
                 (["--endpoint", hub.endpoint + "/"], {"HF_ENDPOINT": nowhere}, "hf/hub"),
            ([], {"HF_ENDPOINT": hub.endpoint + "//"}, "hf/hub"), ([], {"HF_HUB_OFFLINE": "0"}, "hf/hub"), ([], {"HF_HUB_OFFLINE": "1"}, None),
                 ([], {"TRANSFORMERS_OFFLINE": "1"}, None),
            (["--hf_token", "x"], {}, None), (["--connections", "1"], {}, "hf/hub"), (["--connections", "64"], {}, "hf/hub"),
                 (["--connections", "65"], {}, None), (["--connections", "-1"], {}, None)]
        problems = Problems()
        for n, (options, variables, cache) in enumerate(cases):
            user = User(environment, hub, str(n), **variables)
            result = user.run("fetch", "org/model", *options)
            if cache is None:
                problems.check(result.status in (NETWORK, ARGUMENT), f"{options} {variables}: {result}")
                continue
            problems.check(result.status == 0 and not (at / "no").exists(), f"{options} {variables}: {result}")
            problems.check((user.home / cache / "models--org--model" / "refs" / "main").is_file(),
                           f"{options} {variables}: nothing in {cache}; printed {result.out}")
        problems.report()


def paths_first(environment):
    """What exists is a path, also when it looks like an id; what is neither is refused without asking anybody."""
    with Hub({"org/model": TINY / PLAIN}) as hub:
        user = User(environment, hub)
        synthetic.write(user.home / "org" / "model")
        result = user.run("inspect", "org/model")
        check(result.status == 0 and not hub.requests, f"{result}")
        problems = Problems()
        for bad in ("gemma", "a/b/c", "./org/none", "/org/none", "../x", "org/na me", "org/..", "-/x", "org/name@", "org/name:", "org/name:../x.gguf",
                    "org/name:/x.gguf", "org/name@a:b/../c.gguf",
                    "https://huggingface.co/org/model", "org/" + "x" * 97, "org/a--b", "org/x\n"):
            result = user.run("fetch", bad, "-q")
            problems.check(result.status == ARGUMENT and result.err.count("\n") <= 2, f"{bad!r}: {result}")
        problems.check(not hub.requests, f"asked: {list(map(str, hub.requests))}")
        problems.report()


# ---- from nothing to a model


def build_equals(environment):
    """Byte for byte the files of a build from the folder; the manifest holds no token and nothing of this machine."""
    with Hub({"org/model": TINY / PLAIN}) as hub:
        user, token = User(environment, hub), "hf_thisIsSecret"
        hub.tokens[token] = set()
        out, local = user.home / "out", environment.program.build(TINY / PLAIN, environment.scratch / "local", precisions=("q4",))
        result = user.run("build", "org/model", "-o", out, "-p", "q4", HF_TOKEN=token)
        check(result.status == 0, f"{result}")
        same_tree(tree_of(local / "onnx"), tree_of(out / "onnx"), "onnx/")
        same_tree(tree_of(local, ["json$"]), tree_of(out, ["json$"]), "the rest")
        manifest = (out / "gemma-onnx.json").read_text()
        for word in (token, str(user.home), "snapshots", "blobs"):
            check(word not in manifest, f"'{word}' is in the manifest")
        hub.stop()
        again = user.run("build", "org/model", "-o", user.home / "again", "-p", "q4")
        check(again.status == 0, f"with the Hub gone: {again}")
        same_tree(tree_of(out), tree_of(user.home / "again"), "with the Hub gone")
        result = user.run("verify", out, "--windows", "1", "-q")
        check(result.status in (0, MISMATCH) and (out / "verify.json").is_file(), f"verify without the Hub: {result}")


def every_command(environment):
    """build --dry-run, convert as in the scripts of old, verify --against, inspect."""
    with Hub({"org/model": TINY / PLAIN, "org/other": TINY / "gemma3-pattern"}) as hub:
        user = User(environment, hub)
        hub.tokens["hf_x"] = {"org/model"}
        result = user.run("build", "org/model", "-o", "none", "-p", "q4", "--dry-run")
        check(result.status == 0 and not (user.home / "none").exists() and not hub.asked("model.safetensors.*blobs"), f"{result}")
        result = user.run("convert", "--model_name", "org/model", "--hf_token", "hf_x", "--output_dir", "pair", "--batch_size", "1", "--seq_length", "8",
                          "--max_length", "32")
        check(result.status == 0 and (user.home / "pair" / "gemma_decode.onnx").is_file(), f"{result}")
        local = environment.program.run("convert", "--model_name", TINY / PLAIN, "--output_dir", environment.scratch / "local", "--batch_size", "1",
                                        "--seq_length", "8", "--max_length", "32")
        check(local.status == 0, f"{local}")
        same_tree(tree_of(environment.scratch / "local", ["json$"]), tree_of(user.home / "pair", ["json$"]), "convert")
        result = user.run("inspect", "org/other", "--json")
        check(result.status == 0 and json.loads(result.out), f"{result}")
        large = large_model.write(user.home / "large", PIECE)
        hub.repositories["org/large"] = Repository(large)
        result, expected = (user.run("inspect", model, "--tensors") for model in ("org/large", large))
        check(result.status == 0 and result.out.splitlines()[1:] == expected.out.splitlines()[1:] and "up_proj" in result.out,
              f"{result}\n{result.out[:300]}\n{expected.out[:300]}")
        check(hub.sent("repos.*", "cdn") - sum(r.sent for r in hub.asked() if r.sent <= 1 << 20) <= 0, "inspect asked for more than the headers")
        result = user.run("verify", "pair", "--against", "org/model", "--windows", "1")
        check(result.status == 0, f"{result}")


def terminal(environment):
    """A line that is written over and over, and gone at the end: how much, how fast, how long yet."""
    model = large_model.write(environment.scratch / "model", 3 * PIECE)
    with Hub({"org/model": model}, rate=4 << 20) as hub:
        user = User(environment, hub)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([user.program.path, "fetch", "org/model", "--connections", "4"], env=user.environ, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 1 << 16):
                shown += block
        except OSError:  # how the end of a terminal looks like
            pass
        os.close(ours)
        check(process.wait() == 0 and process.stdout.read().decode().strip().endswith(hub.repositories["org/model"].refs["main"]), "it failed")
        lines = re.findall(rb"\r(fetch +\d+ %.*?left)", shown)
        check(len(lines) >= 3 and all(b"GB" in line or b"MB" in line for line in lines), f"{shown!r}")
        percents = [int(re.search(rb"(\d+) %", line).group(1)) for line in lines]
        check(percents == sorted(percents) and percents[-1] > percents[0] and max(percents) <= 100, f"{percents}")
        check(b"\x1b[K" in shown.rsplit(b"left", 1)[1], f"the line stays: {shown[-300:]!r}")


def memory(environment):
    """At most 32 MiB more than the program that does nothing, whatever the file's size."""
    if b"__asan_init" in environment.program.path.read_bytes():
        raise Skip("a sanitizer's shadow is not the program's own")
    idle = peak_of(environment.program.path, "--version")
    for nbytes in (40_000_000, 1_000_000_000) if environment.full else (100_000_000,):
        model = large_model.write(environment.scratch / f"{nbytes}", nbytes)
        with Hub({"org/model": model}) as hub:
            user = User(environment, hub, f"user{nbytes}")
            peak = peak_of("env", *(f"{k}={v}" for k, v in user.environ.items()), environment.program.path, "fetch", "org/model", "-q", "--connections", "8")
            print(f"peak of fetching {nbytes / 1e6:.0f} MB: {peak / MIB:.1f} MiB, idle {idle / MIB:.1f}", flush=True)
            check(peak - idle <= 32 * MIB, f"{peak / MIB:.1f} MiB resident, idle {idle / MIB:.1f}")


def real(environment):
    """The real 270M, from nothing to a q4 model, interrupted once."""
    model = REAL / "gemma-3-270m-bf16"
    if not model.is_dir():
        raise Skip(f"{model} is not there")
    size = (model / "model.safetensors").stat().st_size
    with Hub({"google/gemma-3-270m": model}, rate=40 << 20) as hub:
        user = User(environment, hub)
        process = user.start("build", "google/gemma-3-270m", "-o", "out", "-p", "q4")
        wait_for(lambda: hub.sent(FILES) > size // 2, process)
        process.kill()
        user.end(process, -9)
        sent, hub.rate = hub.sent(FILES), None
        hub.forget()
        result = user.run("build", "google/gemma-3-270m", "-o", "out", "-p", "q4")
        check(result.status == 0, f"{result}")
        check(hub.sent(FILES) < size - sent + 8 * IN_FLIGHT + (64 << 20), f"{sent} of {size} bytes had been sent, then {hub.sent(FILES)} more")
        local = environment.program.build(model, environment.scratch / "local", precisions=("q4",))
        same_tree(tree_of(local / "onnx"), tree_of(user.home / "out" / "onnx"), "onnx/")
        user.check_cache()


def tests(environment):
    for test in (revisions, one_commit, renamed, places, paths_first, build_equals, every_command, terminal, memory):
        yield test.__name__, test
    if environment.full:
        yield "real", real

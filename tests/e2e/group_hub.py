"""Models from a Hub: what is brought, where it lies, what is not brought again. The Hub is tests/hub/server.py, on this machine."""
import json
import re
import sys
import time

from harness import ARGUMENT, CANCELLED, FORMAT, ROOT, TINY, UNSUPPORTED, Failure, Problems, check, files_under

sys.path.insert(0, str(ROOT / "tests" / "hub"))

import large_model  # noqa: E402
from faults import Fault  # noqa: E402
from repository import Repository  # noqa: E402
from server import Hub  # noqa: E402
from user import User, check_files, same_tree, tree_of  # noqa: E402

PLAIN, SHARDED, GGUF, SPLIT = "gemma3-untied-f16", "gemma-gqa-sharded", "gemma3-scaled.gguf", "gemma-split-0000{}-of-00003.gguf"
FILES = r"resolve|repos"  # requests for files, not for listings
PIECE = 8 << 20  # what is asked for at a time, of a large file
IN_FLIGHT = 1 << 20  # of each connection: sent, and lost with it


def gguf_repository():
    repository = Repository()
    repository.commit(changes={GGUF: TINY / GGUF, "README.md": b"# GGUF\n"})
    return repository


def wait_for(condition, process):
    """Until it holds, or the process ends."""
    while not condition() and process.poll() is None:
        time.sleep(0.002)
    if process.poll() is not None:
        raise Failure(f"ended with {process.returncode} too early: {process.stderr.read()}")


# ---- what is brought


def prints_the_path(environment):
    """On stdout the path alone; talk is on stderr, and -q ends it."""
    with Hub({"org/plain": TINY / PLAIN, "org/gguf": gguf_repository()}) as hub:
        user, plain = User(environment, hub), hub.repositories["org/plain"]
        folder = user.fetch("org/plain")
        check(folder == user.folder("org/plain") / "snapshots" / plain.refs["main"], f"{folder} is not where the cache has a snapshot")
        check_files(folder, plain, names=["config.json", "generation_config.json", "model.safetensors"])
        check(user.fetch("org/gguf:" + GGUF).name == GGUF and user.fetch("org/gguf").read_bytes() == (TINY / GGUF).read_bytes(),
              "a GGUF's path is that of its file")
        user.check_cache()
        quiet, loud = User(environment, hub, "quiet").run("fetch", "org/plain", "-q"), User(environment, hub, "loud").run("fetch", "org/plain")
        check(quiet.status == 0 and quiet.err == "", f"-q talks: {quiet}")
        check("model.safetensors" in loud.err and re.search(r"\d+(\.\d+)? [kM]?B", loud.err), f"no plan with sizes: {loud}")
        check("\r" not in loud.err and "\x1b" not in loud.err, f"terminal codes without a terminal: {loud.err!r}")


def events_as_json(environment):
    with Hub({"org/plain": TINY / PLAIN}) as hub:
        user, sizes = User(environment, hub), {p.name: p.stat().st_size for p in (TINY / PLAIN).iterdir()}
        found = user.events("org/plain")
        plan = found["plan"][0]
        check(len(found["plan"]) == 1 and plan["id"] == "org/plain" and plan["commit"] == hub.repositories["org/plain"].refs["main"], f"{plan}")
        check(plan["bytes"] == plan["missing_bytes"] == sum(sizes.values()), f"{plan}")
        check({f["name"]: f["bytes"] for f in plan["files"]} == sizes and all(f["missing_bytes"] == f["bytes"] for f in plan["files"]), f"{plan}")
        check({f["name"]: f["bytes"] for f in found["file"]} == sizes, f"{found['file']}")
        check(found["done"] == [{"path": str(user.fetch("org/plain")), "received_bytes": sum(sizes.values())}], f"{found['done']}")
        again = user.events("org/plain")
        check(again["plan"][0]["missing_bytes"] == 0 and again["done"][0]["received_bytes"] == 0 and "file" not in again, f"{again}")


def dry_run(environment):
    """The plan with its sizes; no file is asked for, nothing is written."""
    with Hub({"org/plain": TINY / PLAIN}) as hub:
        user = User(environment, hub)
        result = user.run("fetch", "org/plain", "-n")
        check(result.status == 0 and "model.safetensors" in result.out + result.err, f"no plan: {result}\n{result.out}")
        plan = user.events("org/plain", "--dry-run")
        check(plan.keys() == {"plan"} and plan["plan"][0]["missing_bytes"] == sum(p.stat().st_size for p in (TINY / PLAIN).iterdir()), f"{plan}")
        check(not hub.asked(FILES), f"asked for {list(map(str, hub.asked(FILES)))}")
        check(not list(user.home.rglob("*.*")), f"left behind: {list(user.home.rglob('*.*'))}")


def only_what_is_needed(environment):
    """Never another format's weights, another copy of them, pictures or talk."""
    needed = {name: name.encode() for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")}
    needless = ["README.md", ".gitattributes", "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack", "rust_model.ot",
                "original/consolidated.00.pth",
                "original/params.json", "onnx/model.onnx", "onnx/model.onnx_data", "model.gguf", "image.png", "runs/events.out.tfevents", "training_args.bin",
                "optimizer.pt",
                "checkpoint-500/model.safetensors", "checkpoint-500/config.json"]
    repository = Repository(TINY / SHARDED)
    repository.commit(changes=needed | {name: name.encode() * 1000 for name in needless})
    with Hub({"org/model": repository}) as hub:
        folder = User(environment, hub).fetch("org/model")
        names = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}
        expected = {p.name for p in (TINY / SHARDED).iterdir()}
        check(expected <= names <= expected | needed.keys(), f"brought {sorted(names)}")
        asked = {r.path.split("/resolve/")[1].split("/", 1)[1] for r in hub.asked("/resolve/")}
        check(asked == names, f"asked for {sorted(asked)}")


def every_kind(environment):
    """Shards, modules in folders, one GGUF, a split one: what is brought builds to the same bytes as the folder it came from."""
    split = Repository()
    split.commit(changes={SPLIT.format(n): TINY / SPLIT.format(n) for n in (1, 2, 3)})
    models = {SHARDED: TINY / SHARDED, "embeddinggemma-published": TINY / "embeddinggemma-published", "gguf": gguf_repository(), "split": split}
    local = {"gguf": TINY / GGUF, "split": TINY / SPLIT.format(1)}
    problems = Problems()
    with Hub({f"org/{name}": source for name, source in models.items()}) as hub:
        user = User(environment, hub)
        for name in models:
            out = environment.scratch / "out"
            result = user.run("build", f"org/{name}", "-o", out / name, "-p", "q4", "-q")
            problems.check(result.status == 0, f"{name}: {result}")
            if result.status == 0:
                expected = environment.program.build(local.get(name, TINY / name), out / f"{name}-local", precisions=("q4",))
                problems.check(files_under(out / name / "onnx") == files_under(expected / "onnx"), f"{name}: the files differ")
        user.check_cache()
    problems.report()


def one_of_several_ggufs(environment):
    """Without a name the user is told the names; a name may need escaping in a URL."""
    names = ["model-Q4_K_M.gguf", "model-Q8_0.gguf", "sub folder/Q4 #1%20?&ü.gguf"]
    repository = Repository()
    repository.commit(changes={name: TINY / GGUF for name in names})
    with Hub({"org/ggufs": repository}) as hub:
        user = User(environment, hub)
        line = user.refuse(ARGUMENT, "fetch", "org/ggufs")
        check(all(name in line for name in names[:2]) and "org/ggufs:" in line, line)
        check(not hub.asked(FILES), "asked for a file")
        for name in names:
            path = user.fetch(f"org/ggufs:{name}")
            check(str(path).endswith(f"/{name}") and path.read_bytes() == (TINY / GGUF).read_bytes(), f"{path}")
        line = user.refuse(ARGUMENT, "fetch", "org/ggufs:missing.gguf")
        check("missing.gguf" in line, line)
        user.check_cache()


def unconvertible(environment):
    """What the headers tell is found out before the payload comes."""
    good = large_model.write(environment.scratch / "good", 3 * PIECE, shards=1)
    config = json.loads((good / "config.json").read_text())
    cases = {
        "architecture": ({"config.json": config | {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}}, "llama"),
        "wrong shape": ({"config.json": config | {"hidden_size": 648}}, "model.embed_tokens.weight"),
        "missing tensors": ({"config.json": config | {"num_hidden_layers": config["num_hidden_layers"] + 1}}, "missing"),
        "no config": ({"config.json": None}, "config.json"),
        "no JSON": ({"config.json": "{"}, "config.json"),
    }
    problems = Problems()
    for name, (changes, word) in cases.items():
        repository = Repository(good)
        repository.commit(changes={k: v if v is None else (v if isinstance(v, str) else json.dumps(v)).encode() for k, v in changes.items()})
        with Hub({"org/bad": repository}) as hub:
            user = User(environment, hub, name)
            line = user.refuse((UNSUPPORTED, FORMAT), "build", "org/bad", "-o", user.home / "out")
            problems.check(word.lower() in line.lower() and str(user.home) not in line, f"{name}: {line}")
            problems.check(hub.sent(FILES) < PIECE + (256 << 10), f"{name}: {hub.sent(FILES)} bytes came before it was refused")
            problems.check(not list(user.home.glob("tmp/*")), f"{name}: left in TMPDIR: {list(user.home.glob('tmp/*'))}")
            problems.check(not (user.home / "out").exists(), f"{name}: left an output folder")
    repository = Repository()
    repository.commit(changes={"pytorch_model.bin": b"x" * 1000, "config.json": (TINY / PLAIN / "config.json").read_bytes()})
    with Hub({"org/bin": repository}) as hub:
        line = User(environment, hub).refuse(UNSUPPORTED, "fetch", "org/bin")
        problems.check("safetensors" in line and not hub.asked(FILES), line)
    problems.report()


# ---- what is not brought again


def second_run(environment):
    with Hub({"org/model": TINY / SHARDED, "org/gguf": gguf_repository()}) as hub:
        user = User(environment, hub)
        for model in ("org/model", "org/gguf"):
            first = user.fetch(model)
            before = tree_of(user.home)
            hub.forget()
            check(user.fetch(model) == first, "another path")
            check(len(hub.requests) == 1 and not hub.asked(FILES), f"asked: {list(map(str, hub.requests))}")
            same_tree(before, tree_of(user.home), "the second run changed something")


def goes_on(environment, number):
    """Killed or interrupted in the middle: the next run brings the rest, and says beforehand how much that is."""
    model = large_model.write(environment.scratch / "model", 5 * PIECE)
    size = (model / "model.safetensors").stat().st_size
    with Hub({"org/model": model}, rate=12 << 20) as hub:
        user = User(environment, hub)
        process = user.start("fetch", "org/model", "--connections", "4")
        wait_for(lambda: hub.sent(FILES) > size // 2, process)
        process.send_signal(number)
        user.end(process, CANCELLED if number == 2 else -number)
        user.check_cache()
        check(user.partials(), "nothing was kept")
        sent, hub.rate = hub.sent(FILES), None
        hub.forget()
        plan = user.events("org/model", "-n")["plan"][0]
        received = user.events("org/model")["done"][0]["received_bytes"]
        check(hub.sent(FILES) < size - sent + 4 * IN_FLIGHT, f"{sent} of {size} bytes had been sent, then {hub.sent(FILES)} more")
        check(abs(plan["missing_bytes"] - received) <= 64 << 10, f"the plan said that {plan['missing_bytes']} bytes were missing; {received} came")
        check(not user.partials(), f"left behind: {user.partials()}")
        user.check_cache()


def broken_line(environment):
    """Within one run, too, only what is missing is asked for again, and the ranges of several connections fit together."""
    model = large_model.write(environment.scratch / "model", 3 * PIECE)
    size = (model / "model.safetensors").stat().st_size
    with Hub({"org/model": model}) as hub:
        hub.add(Fault(drop_after=3_000_000), origin="cdn", times=6)
        user = User(environment, hub)
        check_files(user.fetch("org/model"), hub.repositories["org/model"])
        check(hub.sent("repos") < size + 6 * IN_FLIGHT, f"{hub.sent('repos')} bytes were sent for {size}")
        check(len(hub.asked("repos")) >= 8, f"{len(hub.asked('repos'))} requests")


def several_at_once(environment):
    """Processes that want the same wait for each other: all succeed, no byte comes twice."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE, shards=2)
    size = sum(p.stat().st_size for p in model.iterdir())
    with Hub({"org/model": model}, rate=16 << 20) as hub:
        user = User(environment, hub)
        processes = [user.start("fetch", "org/model") for _ in range(4)]
        results = [user.end(process) for process in processes]
        check(len({result.out for result in results}) == 1, "different paths")
        check(hub.sent(FILES) == size, f"{hub.sent(FILES)} bytes were sent for {size}")
        check(sum("another process" in result.err for result in results) == 3, f"whoever waits says so: {[r.err for r in results]}")
        check(not user.partials(), f"left behind: {user.partials()}")
        user.check_cache()


def takes_over(environment):
    """Whoever waits for a process that is killed goes on where that one was."""
    model = large_model.write(environment.scratch / "model", 3 * PIECE)
    size = sum(p.stat().st_size for p in model.iterdir())
    with Hub({"org/model": model}, rate=8 << 20) as hub:
        user = User(environment, hub)
        first = user.start("fetch", "org/model", "--connections", "2")
        wait_for(lambda: hub.sent("repos") > PIECE, first)
        second = user.start("fetch", "org/model")
        wait_for(lambda: len(hub.asked("/api/")) > 1, second)
        time.sleep(0.3)  # from its answer to the lock is no way at all
        first.kill()
        user.end(first, -9)
        hub.rate = None
        check("another process" in user.end(second).err, "the second did not wait")
        check(hub.sent(FILES) < size + 2 * IN_FLIGHT, f"{hub.sent(FILES)} bytes were sent for {size}")
        check(not user.partials(), f"left behind: {user.partials()}")
        user.check_cache()


def shared_files(environment):
    """A new commit brings what changed, and no more; two names of the same bytes come once."""
    repository = Repository(TINY / SHARDED)
    first = repository.refs["main"]
    with Hub({"org/model": repository}) as hub:
        user = User(environment, hub)
        user.fetch("org/model")
        repository.commit(changes={"generation_config.json": b'{"top_k": 7}', "tokenizer_config.json": b'{"a": 1}', "special_tokens_map.json": b'{"a": 1}'})
        hub.forget()
        check_files(user.fetch("org/model"), repository)
        asked = [r.path for r in hub.asked("/resolve/")]
        check(len(asked) == 2 and any("generation_config" in path for path in asked), f"asked for {asked}")
        check_files(user.fetch(f"org/model@{first}"), repository, first)
        user.check_cache()


def tests(environment):
    for test in (prints_the_path, events_as_json, dry_run, only_what_is_needed, every_kind, one_of_several_ggufs, unconvertible, second_run, broken_line,
                 several_at_once, takes_over,
                 shared_files):
        yield test.__name__, test
    yield "goes_on[SIGKILL]", lambda e: goes_on(e, 9)
    yield "goes_on[SIGINT]", lambda e: goes_on(e, 2)

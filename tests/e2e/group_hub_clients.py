"""The cache is the Hub's own: what Python's huggingface_hub brought is found here, and the reverse; neither trips over what the other left unfinished."""
import os
import signal
import subprocess
import sys
import time

from group_hub import FILES, IN_FLIGHT, PIECE, SHARDED, wait_for
from harness import IO, NETWORK, ROOT, TINY, Skip, check, files_under

sys.path.insert(0, str(ROOT / "tests" / "hub"))

import large_model  # noqa: E402
from faults import Fault  # noqa: E402
from repository import Repository  # noqa: E402
from server import Hub  # noqa: E402
from user import THEIRS, User, check_files, same_tree, tree_of  # noqa: E402

THEIR_OWN = [r"/trees(/|$)"]  # huggingface_hub's cached listings, which need not be there
TAG = "CACHEDIR.TAG"  # its first line counts, the rest is anybody's
SNAPSHOT = "print(snapshot_download(sys.argv[1], revision=sys.argv[2] if len(sys.argv) > 2 else None))"
LOCAL = "print(snapshot_download(sys.argv[1], local_dir=sys.argv[2]))"


def same_layout(environment):
    """The same paths, links, references and locks, down to the bytes."""
    repository = Repository(TINY / "embeddinggemma-published")
    repository.commit(TINY / "embeddinggemma-published", {"generation_config.json": b"{}"}, "refs/pr/1")
    with Hub({"org/model": repository}) as hub:
        ours, theirs = User(environment, hub, "ours"), User(environment, hub, "theirs")
        for revision in ("main", "refs/pr/1"):
            path = ours.fetch(f"org/model@{revision}")
            other = theirs.python(SNAPSHOT, "org/model", revision)
            check(str(path).removeprefix(str(ours.home)) == other.removeprefix(str(theirs.home)), f"{path}, {other}")
        trees = [tree_of(user.cache, THEIR_OWN) for user in (ours, theirs)]
        for tree in trees:
            tree[TAG] = tree[TAG].splitlines()[0]
        same_tree(*trees, "our cache and theirs")
        modes = [{str(p.relative_to(user.cache)): oct(p.stat().st_mode) for p in user.cache.rglob("*") if "trees" not in p.parts} for user in (ours, theirs)]
        check(modes[0] == modes[1], f"different rights: {[(k, v, modes[1][k]) for k, v in modes[0].items() if v != modes[1][k]]}")


def they_read_ours(environment):
    """Offline: the snapshot and each file of it. Online: no byte of a file comes."""
    with Hub({"org/model": TINY / SHARDED}) as hub:
        user = User(environment, hub)
        folder = user.fetch("org/model")
        hub.forget()
        check(user.python(SNAPSHOT, "org/model", HF_HUB_OFFLINE="1") == str(folder), "snapshot_download, offline")
        check(not hub.requests, "asked though offline")
        code = "for f in sys.argv[2:]: print(hf_hub_download(sys.argv[1], f, local_files_only=True))"
        names = sorted(p.name for p in folder.iterdir())
        check(user.python(code, "org/model", *names).splitlines() == [str(folder / name) for name in names], "hf_hub_download, local files only")
        before = tree_of(user.cache, THEIR_OWN)
        check(user.python(SNAPSHOT, "org/model") == str(folder), "snapshot_download, online")
        check(not hub.asked("GET .*(resolve-cache|repos)"), f"brought {list(map(str, hub.asked('GET')))}")
        same_tree(before, tree_of(user.cache, THEIR_OWN), "huggingface_hub changed the cache")
        code = "from huggingface_hub import scan_cache_dir\nx = scan_cache_dir()\nprint(len(x.warnings), [(r.repo_id, sorted(r.refs)) for r in x.repos])"
        check(user.python(code) == "0 [('org/model', ['main'])]", "scan_cache_dir warns")


def we_read_theirs(environment):
    """Offline and online, at each revision; and it builds."""
    repository = Repository(TINY / SHARDED)
    repository.commit(changes={"pytorch_model.bin": b"x" * 1000, "README.md": b"x"})
    with Hub({"org/model": repository}) as hub:
        user = User(environment, hub)
        folder = user.python(SNAPSHOT, "org/model")
        before = tree_of(user.cache)
        hub.forget()
        check(str(user.fetch("org/model", "--offline")) == folder and str(user.fetch("org/model", HF_HUB_OFFLINE="1")) == folder, "another path")
        check(not hub.requests, "asked though offline")
        events = user.events("org/model")
        check(events["done"] == [{"path": folder, "received_bytes": 0}] and not hub.asked(FILES), f"{events}")
        same_tree(before, tree_of(user.cache), "our reading changed the cache")
        result = user.run("build", "org/model", "-o", "out", "-p", "q4", "--offline", "-q")
        check(result.status == 0, f"{result}")
        local = environment.program.build(TINY / SHARDED, environment.scratch / "local", precisions=("q4",))
        check(files_under(user.home / "out" / "onnx") == files_under(local / "onnx"), "the files differ")


def part_of_theirs(environment):
    """They brought some files alone: offline that is said, online the rest comes."""
    with Hub({"org/model": TINY / SHARDED}) as hub:
        user = User(environment, hub)
        user.python("hf_hub_download(sys.argv[1], sys.argv[2])", "org/model", "config.json")
        line = user.refuse(NETWORK, "build", "org/model", "-o", "out", "--offline")
        check("part" in line and str(user.cache) in line, f"it is the cache that has no weights: {line}")
        user.python("for f in sys.argv[2:]: hf_hub_download(sys.argv[1], f)", "org/model", "config.json", "model-00002-of-00003.safetensors",
                    "model.safetensors.index.json")
        line = user.refuse(NETWORK, "build", "org/model", "-o", "out", "--offline")
        check("org/model" in line and not (user.home / "out").exists(), line)
        hub.forget()
        check_files(user.fetch("org/model"), hub.repositories["org/model"], names=[p.name for p in (TINY / SHARDED).iterdir()])
        check(not hub.asked("00002-of-00003|/config.json"), "what was there came again")
        user.check_cache()


def without_links(environment):
    """Where links cannot be made, huggingface_hub leaves the files themselves in the snapshot."""
    with Hub({"org/model": TINY / SHARDED}) as hub:
        user = User(environment, hub, HF_HUB_DISABLE_SYMLINKS="1")
        folder = user.python(SNAPSHOT, "org/model")
        check(not any(p.is_symlink() for p in user.cache.rglob("*")), "there are links")
        hub.forget()
        check(str(user.fetch("org/model")) == folder and str(user.fetch("org/model", "--offline")) == folder, "another path")
        check(not hub.asked(FILES), f"asked: {list(map(str, hub.asked(FILES)))}")


def read_only(environment):
    """A cache that nobody may write into is read, online and offline."""
    mount = environment.scratch / "mount"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", mount], capture_output=True).returncode:
        raise Skip("no right to mount a file system: a read-only cache was not checked")
    try:
        with Hub({"org/model": TINY / SHARDED}) as hub:
            user = User(environment, hub, HF_HUB_CACHE=mount / "hub")
            folder = user.fetch("org/model")
            subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
            check(user.fetch("org/model") == folder and user.fetch("org/model", "--offline") == folder, "another path")
            result = user.run("build", "org/model", "-o", user.home / "out", "-p", "q4")
            check(result.status == 0, f"{result}")
            hub.repositories["org/model"].commit(changes={"generation_config.json": b"{}"})
            check(str(mount) in user.refuse(IO, "fetch", "org/model"), "it does not say where it may not write")
    finally:
        subprocess.run(["umount", mount], check=True)


def their_partial(environment):
    """They were killed in the middle: what they left stays as it is, and the model comes whole."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE)
    with Hub({"org/model": model}) as hub:
        hub.add(Fault(stall_after=12_000_000), origin="cdn", times=1)
        user = User(environment, hub, HF_HUB_DOWNLOAD_TIMEOUT="100")
        process = user.start_python("hf_hub_download(sys.argv[1], sys.argv[2])", "org/model", "model.safetensors")
        # It writes 10 MB at a time.
        left = lambda: [p for p in user.cache.rglob("*") if THEIRS.search(p.name) and p.stat().st_size > 1_000_000]  # noqa: E731
        wait_for(left, process)
        process.kill()
        process.communicate()
        older = left()[0].with_name(left()[0].name.split(".")[0] + ".incomplete")  # as older ones name it
        older.write_bytes(b"x" * 2_000_000)
        foreign = {p: p.read_bytes() for p in [*left(), older]}
        check_files(user.fetch("org/model"), hub.repositories["org/model"])
        check({p: p.read_bytes() for p in [*left(), older]} == foreign, "what huggingface_hub left is not as it was")
        user.check_cache()


def our_partial(environment):
    """We were killed in the middle: they bring the model whole; then we find it, and clear away what is of no use any more."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE)
    with Hub({"org/model": model}, rate=8 << 20) as hub:
        user = User(environment, hub)
        process = user.start("fetch", "org/model")
        wait_for(lambda: hub.sent("repos") > PIECE, process)
        process.kill()
        user.end(process, -signal.SIGKILL)
        hub.rate = None
        check(user.partials(), "nothing was kept")
        folder = user.python(SNAPSHOT, "org/model")
        user.check_cache()
        hub.forget()
        check(str(user.fetch("org/model")) == folder and not hub.asked(FILES), "what huggingface_hub brought is not found")
        check(not user.partials(), f"of no use any more: {user.partials()}")
        user.check_cache()


def both_at_once(environment):
    """Each waits for the other's locks: every blob comes once."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE, shards=2)
    size = sum(p.stat().st_size for p in model.iterdir())
    for first in ("ours", "theirs"):
        with Hub({"org/model": model}, rate=8 << 20) as hub:
            user = User(environment, hub, first, HF_HUB_DOWNLOAD_TIMEOUT="10")
            start = {"ours": lambda: user.start("fetch", "org/model"), "theirs": lambda: user.start_python(SNAPSHOT, "org/model")}
            one = start.pop(first)()
            wait_for(lambda: hub.sent("repos") > 1 << 20, one)
            two = next(iter(start.values()))()
            outs = [process.communicate(timeout=120) for process in (one, two)]
            check(one.returncode == two.returncode == 0, f"{one.returncode}: {outs[0][1][-500:]}; {two.returncode}: {outs[1][1][-500:]}")
            check(outs[0][0] == outs[1][0], f"{outs[0][0]}, {outs[1][0]}")
            check(hub.sent(FILES) == size, f"{first} first: {hub.sent(FILES)} bytes were sent for {size}")
            user.check_cache()


# ---- folders of plain files (--local-dir, local_dir)


def local_layout(environment):
    """The same files, and the same that is known of them but for the time."""
    with Hub({"org/model": TINY / "embeddinggemma-published"}) as hub:
        ours, theirs = User(environment, hub, "ours"), User(environment, hub, "theirs")
        check(ours.fetch("org/model", "--local-dir", "here") == ours.home / "here" or ours.fetch("org/model", "--local-dir", "here").name == "here",
              "another path")
        theirs.python(LOCAL, "org/model", "here")
        trees = [tree_of(user.home / "here", [r"huggingface/trees(/|$)"]) for user in (ours, theirs)]
        for tree in trees:
            tree.pop(f".cache/huggingface/{TAG}", None)
            for name, value in tree.items():
                if name.endswith(".metadata"):
                    commit, etag, when = value.decode().splitlines()
                    check(abs(float(when) - time.time()) < 60, f"{name}: {when} is not now")
                    tree[name] = (commit, etag)
        same_tree(*trees, "our folder and theirs")
        check(not ours.cache.exists(), "the cache was touched")


def local_both_ways(environment):
    """Nothing comes again, whoever brought it; what was changed by hand comes again."""
    with Hub({"org/model": TINY / SHARDED}) as hub:
        names = [p.name for p in (TINY / SHARDED).iterdir()]
        ours, theirs = User(environment, hub, "ours"), User(environment, hub, "theirs")
        ours.fetch("org/model", "--local-dir", "here")
        hub.forget()
        ours.python(LOCAL, "org/model", "here")
        check(not hub.asked("GET .*(resolve-cache|repos)"), f"they brought {list(map(str, hub.asked('GET')))}")
        theirs.python(LOCAL, "org/model", "here")
        hub.forget()
        theirs.fetch("org/model", "--local-dir", "here")
        check(not hub.asked(FILES), f"we brought {list(map(str, hub.asked(FILES)))}")
        theirs.fetch("org/model", "--local-dir", "here", "--offline")
        damaged = theirs.home / "here" / "model-00002-of-00003.safetensors"
        damaged.write_bytes(bytes(len(damaged.read_bytes())))
        os.utime(damaged, (time.time() + 10, time.time() + 10))
        theirs.fetch("org/model", "--local-dir", "here")
        check_files(theirs.home / "here", hub.repositories["org/model"], names=names)
        check(len(hub.asked("repos")) == 1, f"{list(map(str, hub.asked('repos')))}")


def local_without_notes(environment):
    """Files that were put there by other means are hashed, not brought."""
    with Hub({"org/model": TINY / SHARDED}) as hub:
        user = User(environment, hub)
        (user.home / "here").mkdir()
        for path in (TINY / SHARDED).iterdir():
            (user.home / "here" / path.name).write_bytes(path.read_bytes())
        (user.home / "here" / "config.json").write_text("{}")
        (user.home / "here" / "mine.txt").write_text("mine")
        user.fetch("org/model", "--local-dir", "here")
        check({r.path.rsplit("/", 1)[1] for r in hub.asked("/resolve/")} == {"config.json"}, f"{list(map(str, hub.asked('/resolve/')))}")
        check((user.home / "here" / "mine.txt").read_text() == "mine", "a file of the user's own is gone")
        hub.forget()
        user.fetch("org/model", "--local-dir", "here")
        check(not hub.asked(FILES), "the second run asked for files")


def local_links(environment):
    """A link in the folder is replaced, never written through."""
    with Hub({"org/model": TINY / SHARDED}) as hub:
        user = User(environment, hub)
        (user.home / "here").mkdir()
        for name in ("config.json", "model-00001-of-00003.safetensors"):
            (user.home / name).write_text("mine")
            (user.home / "here" / name).symlink_to(user.home / name)
        user.fetch("org/model", "--local-dir", "here")
        check_files(user.home / "here", hub.repositories["org/model"], names=[p.name for p in (TINY / SHARDED).iterdir()])
        check((user.home / "config.json").read_text() == (user.home / "model-00001-of-00003.safetensors").read_text() == "mine", "written through a link")


def local_goes_on(environment):
    """Killed in the middle of a folder: the rest comes, and what is of no use is cleared away."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE)
    size = (model / "model.safetensors").stat().st_size
    with Hub({"org/model": model}, rate=8 << 20) as hub:
        user = User(environment, hub)
        process = user.start("fetch", "org/model", "--local-dir", "here")
        wait_for(lambda: hub.sent("repos") > PIECE, process)
        process.kill()
        user.end(process, -signal.SIGKILL)
        check(not (user.home / "here" / "model.safetensors").exists(), "a file that is not whole has its name")
        line = user.refuse(NETWORK, "build", "org/model", "-o", "out", "--local-dir", "here", "--offline")
        check("org/model" in line, line)
        sent, hub.rate = hub.sent("repos"), None
        hub.forget()
        user.fetch("org/model", "--local-dir", "here")
        check(hub.sent("repos") < size - sent + 8 * IN_FLIGHT, f"{sent} of {size} bytes had been sent, then {hub.sent('repos')} more")
        check_files(user.home / "here", hub.repositories["org/model"], names=["config.json", "model.safetensors"])
        check(not user.partials(), f"left behind: {user.partials()}")


def tests(environment):
    for test in (same_layout, they_read_ours, we_read_theirs, part_of_theirs, without_links, read_only, their_partial, our_partial, both_at_once, local_layout,
                 local_both_ways, local_without_notes, local_links, local_goes_on):
        yield test.__name__, test

"""A Hub that is broken or hostile: names that lead out of the cache, answers of nonsense, answers without an end."""
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from group_hub import PLAIN, SHARDED
from group_memory import MIB, peak_of
from harness import FORMAT, IO, NETWORK, ROOT, TINY, UNSUPPORTED, Failure, Problems

sys.path.insert(0, str(ROOT / "tests" / "hub"))

from faults import Fault  # noqa: E402
from repository import Repository  # noqa: E402
from server import Hub  # noqa: E402
from user import User, check_files, tree_of  # noqa: E402

ABSOLUTE = Path("/tmp/gemma-onnx-test-of-evil-names")


def evil_names():
    return ["../x", "../../../../../x", str(ABSOLUTE), f"/{ABSOLUTE}", "a/../../x", "./x", "a/./x", "a//x", "x/", "", ".", "..", "x\0y", "x\ny", "x\x7f",
            "\x1b[31mx", "x\\..\\y", "..\\x", "C:\\x", "a" * 4096, "a/" * 600 + "x",
            "a" * 300, "\ud800", "%2e%2e/x", "~/x", "-rf", "$(touch x)", "model.safetensors/x", ".locks/x", "x" * 4096 + "/../../x"]


def listing_lies():
    """Name → a function from the true listing to what is sent."""
    def with_file(**change):
        return lambda listing: listing | {"siblings": [s | change if s["rfilename"] == "model.safetensors" else s for s in listing["siblings"]]}

    def lfs(**change):
        return lambda listing: listing | {"siblings": [s | {"lfs": s["lfs"] | change} if "lfs" in s else s for s in listing["siblings"]]}

    def also(*entries):
        return lambda listing: listing | {"siblings": listing["siblings"] + list(entries)}

    plain = {"size": 1, "blobId": "0" * 40}
    cases = {f"a name {name[:24]!r}": also(plain | {"rfilename": name}) for name in evil_names()}
    cases |= {f"a module {name[:24]!r}": also(plain | {"rfilename": "modules.json"}, plain | {"rfilename": f"1_{name}/config.json"}) for name in evil_names()}
    cases |= {f"sha {sha[:24]!r}": lambda listing, sha=sha: listing | {"sha": sha}
              for sha in ("", "main", "../../../x", "/" * 40, "A" * 40, "0" * 39, "0" * 41, "0" * 39 + "\n", "0" * 39 + "\0", "../" * 13 + "x")}
    cases |= {f"sha {sha!r}": lambda listing, sha=sha: listing | {"sha": sha} for sha in (None, 7, [], {})}
    cases |= {f"sha256 {value[:24]!r}": lfs(sha256=value) for value in ("", "../x", "0" * 63, "F" * 64, "/" * 64, "0" * 63 + "\0")}
    cases |= {f"size {value!r}": lfs(size=value) for value in (-1, 1.5, "5", 1e30, 2**63, 2**64 - 1, 2**44 - 1, 2**40, None, True, [])}
    cases |= {f"blobId {value!r}": lambda listing,
              value=value: listing | {"siblings": [s if "lfs" in s else s | {"blobId": value} for s in listing["siblings"]]}
              for value in ("", None, 7, "../../x", "0" * 64, "0" * 39 + "/")}
    cases |= {f"siblings {str(value)[:24]}": lambda listing,
              value=value: listing | {"siblings": value} for value in (None, {}, "x", [], [None], [[]], [{}], [{"rfilename": 7}], [{"rfilename": None}])}
    cases |= {f"JSON {value[:24]!r}": lambda listing, value=value: value for value in (
        b"", b"{", b"null", b"[]", b"7", b"\0" * 100, b"<html><body>Log in to the network</body></html>", b"[" * 1_000_000, b'{"a":' * 500_000, b"\xff\xfe{}",
        b'{"sha": "' + b"\xff" * 40 + b'"}',
        b'{"siblings": [' + b'{"rfilename": "x"},' * 200_000 + b"{}]}")}
    cases |= {"twice": lambda listing: listing | {"siblings": listing["siblings"] * 2},
              "no siblings": lambda listing: {k: v for k, v in listing.items() if k != "siblings"},
              "one hash, two sizes": lambda listing: listing | {"siblings": listing["siblings"] + [{"rfilename": "tokenizer.json", "size": 5,
                                                                                                    "lfs": next(s["lfs"] for s in listing["siblings"]
                                                                                                                if "lfs" in s) | {"size": 5}}]},
              "a file and a folder": also(plain | {"rfilename": "config.json/config.json"}),
              "many files": lambda listing: listing | {"siblings": [plain | {"rfilename": f"x{n}"} for n in range(100_001)]}}
    return cases


def around(user):
    """What is outside the user's cache."""
    return {name: value for name, value in tree_of(user.home.parent).items() if not name.startswith(f"{user.home.name}/hf")}


def lying_listings(environment):
    """No file leaves the cache, nothing of a listing is believed; what remains of a good one is brought."""
    problems, lies = Problems(), listing_lies()

    def one(number):
        name, lie = list(lies.items())[number]
        repository = Repository(TINY / PLAIN)
        repository.edit_listing = lie
        with Hub({"org/model": repository}) as hub:
            user = User(environment, hub, f"{number}/user")
            expected = around(user)
            try:
                result = user.run("fetch", "org/model", "-q")
                problems.check(result.status in (0, NETWORK, UNSUPPORTED, FORMAT, IO), f"{name}: {result}")
                problems.check(result.status == 0 or result.err.count("\n") == 1, f"{name}: expected one line: {result}")
                problems.check("\x1b" not in result.err, f"{name}: terminal codes of the Hub's are shown: {result.err!r}")
                if name.startswith("a name"):
                    problems.check(result.status == 0 or "ud800" in name, f"{name}: a name that is not wanted is in the way: {result}")
                if result.status == 0:  # of what was made up, nothing is there
                    check_files(result.out.strip(), repository)
                user.check_cache()
            except Failure as failure:
                problems.check(False, f"{name}: {failure}")
            problems.check(around(user) == expected, f"{name}: outside the cache: {around(user).keys() ^ expected.keys()}")
            shutil.rmtree(user.home)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(len(lies))))
    problems.check(not ABSOLUTE.exists(), f"{ABSOLUTE} was made")
    problems.report()


def evil_weights(environment):
    """Weights under a name that no file should have are not there; what is only odd is brought."""
    problems = Problems()
    for n, name in enumerate(name for name in evil_names() if "/" not in name and name != "\ud800"):
        repository = Repository(TINY / PLAIN)
        repository.commit(changes={"model.safetensors": None, f"{name}.safetensors": TINY / PLAIN / "model.safetensors"})
        with Hub({"org/model": repository}) as hub:
            user = User(environment, hub, f"{n}")
            result = user.run("fetch", "org/model", "-q")
            unsafe = len(name) > 240 or any(c < " " or c in "\x7f\\" for c in name)
            problems.check(result.status == (UNSUPPORTED if unsafe else 0), f"{name[:24]!r}: {result}")
            problems.check(not unsafe or not hub.asked("/resolve/"), f"{name[:24]!r} was asked for")
            user.check_cache()
    problems.report()


def lying_index(environment):
    """The index of the shards, too, only names files of its own folder."""
    shutil.copytree(TINY / SHARDED, environment.scratch / "outside")
    problems = Problems()
    for prefix in ("../" * 6 + "outside/", str(environment.scratch / "outside") + "/", "./", "x/../"):
        repository = Repository(TINY / SHARDED)
        index = json.loads((TINY / SHARDED / "model.safetensors.index.json").read_text())
        index["weight_map"] = {tensor: prefix + name for tensor, name in index["weight_map"].items()}
        repository.commit(changes={"model.safetensors.index.json": json.dumps(index).encode()})
        with Hub({"org/model": repository}) as hub:
            user = User(environment, hub, f"user{len(prefix)}")
            result = user.run("build", "org/model", "-o", "out", "-p", "q4", "-q")
            problems.check(result.status in (FORMAT, UNSUPPORTED, IO) and "index.json" in result.err, f"'{prefix}': {result}")
    problems.report()


def endless_answers(environment):
    """1 GB of JSON, of a refusal's body, of a redirect's: not read to the end, not kept."""
    def gigabyte():
        return (b" " * MIB for _ in range(1024))

    # In chunks, so that nothing is said of the length; or with one that is.
    chunked, lengthy = {"chunked": True}, {"headers": {"Content-Length": str(1 << 30)}}
    cases = {"listing": (Fault(body=gigabyte, **chunked), "/api/models", None, NETWORK, "16 MiB"),
             "listing with a length": (Fault(body=gigabyte, **lengthy), "/api/models", None, NETWORK, "16 MiB"),
             "404": (Fault(status=404, body=gigabyte, chunked=True), "/api/models", None, NETWORK, "404"),
             "redirect": (Fault(status=307, body=gigabyte, headers={"Location": "{path}", "Transfer-Encoding": "chunked", "Content-Length": None},
                                chunked=True), "/api/models", None, NETWORK, "redirect"),
             "small file": (Fault(body=gigabyte, **chunked), "cache.*config.json", None, NETWORK, "config.json"),
             "large file": (Fault(body=gigabyte, **chunked), "repos", None, NETWORK, "model.safetensors")}
    problems = Problems()
    for name, (fault, pattern, times, status, word) in cases.items():
        with Hub({"org/model": TINY / PLAIN}) as hub:
            hub.add(fault, pattern, times=times)
            user = User(environment, hub, name)
            result = user.run("fetch", "org/model", "-q")
            problems.check(result.status == status and word in result.err, f"{name}: {result}")
            problems.check(hub.sent() < 64 * MIB, f"{name}: {hub.sent() / MIB:.0f} MiB were read")
            user.check_cache()
    if b"__asan_init" not in environment.program.path.read_bytes():
        with Hub({"org/model": TINY / PLAIN}) as hub:
            hub.add(Fault(body=gigabyte, chunked=True), "/api/models")
            user = User(environment, hub, "peak")
            peak = subprocess.run([sys.executable, "-I", "-S", ROOT / "tests/e2e/peak.py", environment.program.path, "fetch", "org/model"], env=user.environ,
                                  capture_output=True, text=True).stdout.split()
            problems.check(peak[0] == str(NETWORK) and int(peak[1]) < peak_of(environment.program.path, "--version") + 48 * MIB,
                           f"exit status and peak: {peak}")
    problems.report()


def tests(environment):
    for test in (lying_listings, evil_weights, lying_index, endless_answers):
        yield test.__name__, test

"""Lines that break, servers that stumble, processes that are killed: never a wrong byte in the cache, and the next run completes."""
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from group_hub import FILES, GGUF, PIECE, PLAIN, SHARDED, wait_for
from group_hub_safety import make_certificate
from harness import CANCELLED, FORMAT, IO, NETWORK, ROOT, TINY, Failure, Problems, Skip, check

sys.path.insert(0, str(ROOT / "tests" / "hub"))

import large_model  # noqa: E402
from faults import Fault  # noqa: E402
from repository import Repository  # noqa: E402
from server import Hub  # noqa: E402
from user import User, check_files  # noqa: E402

TINY_NAMES, LARGE_NAMES = ["config.json", "generation_config.json", "model.safetensors"], ["config.json", "model.safetensors"]
LISTING, SMALL, LARGE = "/api/models", "resolve-cache.*/config.json", "/repos/"
NETWORK_CALLS = ("connect", "recvfrom")  # that fail are made again
AT_ONCE = 24  # cases: they wait more than they work


def answers():
    """Name → fault, request, how often (None: always), what the program says ("": it completes; None: either; ".": it fails, perhaps as if the model
    were malformed), of which model, how many are let through. Here, answers that are none."""
    cases = {}
    for status in (408, 429, 500, 502, 503, 504):
        for where, pattern in (("listing", LISTING), ("small file", SMALL), ("large file", LARGE)):
            cases[f"{status} once, {where}"] = (Fault(status=status), pattern, 1, "", PLAIN)
    for where, pattern in (("listing", LISTING), ("small file", SMALL), ("large file", LARGE), ("resolve", "/resolve/.*safetensors")):
        cases |= {
            f"closed at once, {where}": (Fault(raw=b""), pattern, 1, "", PLAIN), f"reset at once, {where}": (Fault(raw=b"", reset=True), pattern, 1, "", PLAIN),
            f"half a head, {where}": (Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), pattern, 1, "", PLAIN),
            f"no HTTP, {where}": (Fault(raw=b"SSH-2.0-OpenSSH_9.2\r\n" * 9), pattern, 1, "", PLAIN),
            f"another version, {where}": (Fault(raw=b"HTTP/7.3 200 OK\r\n\r\nx"), pattern, 1, "", PLAIN),
            f"a stall in the head, {where}": (Fault(before=lambda hub: time.sleep(2.5)), pattern, 1, "", PLAIN),
            f"no content, {where}": (Fault(status=204, headers={"Content-Length": None}, body=b""), pattern, 1, None, PLAIN),
            f"endless heads, {where}": (Fault(raw=b"HTTP/1.1 200 OK\r\n" + b"X-Y: %s\r\n" % (b"z" * 900) * 20_000), pattern, 1, None, PLAIN),
            f"continue, continue, {where}": (Fault(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000), pattern, 1, None, PLAIN),
            f"a long line, {where}": (Fault(raw=b"HTTP/1.1 200 OK\r\nX: " + b"z" * 10_000_000), pattern, 1, None, PLAIN),
            f"redirect loop, {where}": (Fault(status=302, headers={"Location": "{path}"}), pattern, None, "redirect", PLAIN),
            f"redirect to nowhere, {where}": (Fault(status=302), pattern, None, "redirect", PLAIN),
            f"redirect to nothing, {where}": (Fault(status=302, headers={"Location": ""}), pattern, None, None, PLAIN),
            f"redirect to a file, {where}": (Fault(status=302, headers={"Location": "file:///etc/passwd"}), pattern, None, "URL|https", PLAIN),
            f"redirect to http, {where}": (Fault(status=301, headers={"Location": "http://example.com/x"}), pattern, None, "https", PLAIN),
            f"redirect to ftp, {where}": (Fault(status=307, headers={"Location": "ftp://127.0.0.1/x"}), pattern, None, "https", PLAIN),
            f"redirect in disguise, {where}": (Fault(status=307, headers={"Location": "http://127.0.0.1@example.com/"}), pattern, None, "URL|https", PLAIN),
            f"a long redirect, {where}": (Fault(status=302, headers={"Location": "{hub}/" + "x" * 60_000}), pattern, None, None, PLAIN)}
    return cases


def bodies():
    """Answers whose bodies are not what was asked for, or not what was promised."""
    both = {}
    for name, model, middle in (("one piece", PLAIN, 70_000), ("pieces", "large", 5_000_000)):
        both |= {
            f"drop, {name}": (Fault(drop_after=middle), LARGE, 1, "", model), f"drop before the first byte, {name}": (Fault(drop_after=0), LARGE, 1, "", model),
            f"reset, {name}": (Fault(drop_after=60_000, reset=True), LARGE, 3, "", model), f"stall, {name}": (Fault(stall_after=60_000), LARGE, 1, "", model),
            f"stall at once, {name}": (Fault(stall_after=0), LARGE, 2, "", model), f"slow loris, {name}": (Fault(trickle=0.2), LARGE, 2, "", model),
            f"wrong byte once, {name}": (Fault(corrupt=(1000,)), LARGE, 1, "", model),
            f"wrong bytes, {name}": (Fault(corrupt=(1000, 60_000)), LARGE, None, ".", model),
            f"the last byte is wrong, {name}": (Fault(corrupt=(140_727, PIECE + 1000)), LARGE, None, "hash|other bytes", model),
            f"in chunks, {name}": (Fault(chunked=True), LARGE, None, "", model),
            f"in chunks that end early, {name}": (Fault(chunked=True, drop_after=middle), LARGE, 1, "", model),
            f"no length, {name}": (Fault(headers={"Content-Length": None}), LARGE, None, "", model),
            f"no length, and a drop, {name}": (Fault(headers={"Content-Length": None}, drop_after=middle), LARGE, 1, "", model),
            f"promises more, {name}": (Fault(headers={"Content-Length": "999999999"}), LARGE, 1, "", model),
            f"promises less, {name}": (Fault(headers={"Content-Length": "1000", "Connection": "close"}), LARGE, 1, "", model),
            f"promises nonsense, {name}": (Fault(headers={"Content-Length": "-5"}), LARGE, 1, "", model),
            f"promises too much for a number, {name}": (Fault(headers={"Content-Length": "9" * 30}), LARGE, 1, "", model),
            f"sends more, {name}": (Fault(extra=b"x" * 1000), LARGE, None, "more|listing says|other bytes", model),
            f"sends more in chunks, {name}": (Fault(extra=b"x" * 1000, chunked=True), LARGE, None, "more", model),
            f"no ranges, {name}": (Fault(ignore_range=True), LARGE, None, "", model),
            f"no ranges, and a drop, {name}": (Fault(ignore_range=True, drop_after=middle), LARGE, 2, "", model),
            f"no entity tag, {name}": (Fault(headers={"ETag": None}, drop_after=60_000), LARGE, 3, "", model),
            f"a weak one, {name}": (Fault(headers={"ETag": 'W/"x"'}, drop_after=60_000), LARGE, 3, "", model),
            f"another one, {name}": (Fault(headers={"ETag": '"x"'}, drop_after=60_000), LARGE, 3, "", model),
            f"403 once, {name}": (Fault(status=403), LARGE, 1, None, model),
            f"416 once, {name}": (Fault(status=416), LARGE, 1, None, model),
            f"compressed, {name}": (Fault(headers={"Content-Encoding": "gzip"}), LARGE, None, None, model),
            f"another file, {name}": (Fault(body=b"x" * 5000), LARGE, None, ".", model)}
    return both | {
        "403 of an address that has expired": (Fault(status=403), LARGE, 1, "", "large", 2),
        "416 of an address that has expired": (Fault(status=416), LARGE, 1, "", "large", 2),
        "a stale header": (Fault(corrupt=(0, 9, 60)), LARGE, 1, "", "large"), "wrong range once": (Fault(shift=1000), LARGE, 1, None, "large", 1),
        "wrong range": (Fault(shift=1000), LARGE, None, "other bytes", "large"),
        "a range that lies": (Fault(headers={"Content-Range": "bytes 0-99/100"}), LARGE, None, "other bytes", "large"),
        "a range without a name": (Fault(headers={"Content-Range": None}), LARGE, None, "other bytes", "large"),
        "a range of nonsense": (Fault(headers={"Content-Range": "bytes x-y/z"}), LARGE, None, "other bytes", "large"),
        "a small file with a wrong byte once": (Fault(corrupt=(10,)), SMALL, 1, "", PLAIN),
        "a small file with a wrong byte": (Fault(corrupt=(10,)), SMALL, None, "hash|other bytes", PLAIN),
        "a small file that is cut": (Fault(drop_after=100), SMALL, 1, "", PLAIN),
        "a small file of another length": (Fault(body=b"{}"), SMALL, None, "2 bytes|ends after", PLAIN),
        "listing cut": (Fault(drop_after=100), LISTING, 1, "", PLAIN), "listing stalls": (Fault(stall_after=100), LISTING, 1, "", PLAIN),
        "listing in chunks": (Fault(chunked=True), LISTING, None, "", PLAIN),
        "listing in chunks, cut": (Fault(chunked=True, drop_after=100), LISTING, 1, "", PLAIN),
        "listing without a length": (Fault(headers={"Content-Length": None}), LISTING, None, "", PLAIN),
        "listing, slow loris": (Fault(trickle=0.2), LISTING, 1, "", PLAIN)}


def permanent():
    """Half a minute each, of waiting."""
    faults = {"429": Fault(status=429), "500": Fault(status=500), "503": Fault(status=503), "closed": Fault(raw=b""), "stall": Fault(stall_after=0),
              "no HTTP": Fault(raw=b"\0" * 500)}
    return {f"{name}, {where}": (fault, pattern, None, name if fault.status else "server|127.0.0.1", PLAIN)
            for where, pattern in (("listing", LISTING), ("large file", LARGE)) for name, fault in faults.items()}


def run_case(environment, models, name, case):
    fault, pattern, times, word, model, *skip = case
    with Hub({"org/model": models[model]}) as hub:
        hub.add(fault, pattern, times=times, skip=skip[0] if skip else 0)
        user = User(environment, hub, "".join(c if c.isalnum() else "_" for c in name), HF_TOKEN="hf_secret")
        hub.tokens["hf_secret"] = set()
        result = user.run("fetch", "org/model", "-q")
        check(hub.rules[0].struck > 0, "the fault did not happen")
        check(not any("authorization" in r.headers for r in hub.asked(origin="cdn")), "the token went astray")
        allowed = {"": (0,), ".": (NETWORK, FORMAT), None: (0, NETWORK)}.get(word, (NETWORK,))
        words = "" if word in (None, ".") else word
        check(result.status in allowed and any(w in result.err for w in words.split("|")),
              f"expected exit status {allowed} and '{word}': {result}")
        check(result.err.count("\n") == (result.status != 0) and "secret" not in result.err, f"expected one line if it fails: {result}")
        user.check_cache()
        hub.rules.clear()
        folder = user.fetch("org/model", "-q")
        check_files(folder, hub.repositories["org/model"], names=TINY_NAMES if model == PLAIN else LARGE_NAMES)
        user.check_cache()
        check(not user.partials(), f"left behind: {user.partials()}")
    shutil.rmtree(user.home)


def matrix(environment, cases):
    """All at once, AT_ONCE of them, and all failures are told."""
    models = {PLAIN: TINY / PLAIN}
    if any(case[4] == "large" for case in cases.values()):
        models["large"] = large_model.write(environment.scratch / "large", PIECE + 2_000_000)
    problems = Problems()

    def one(name):
        try:
            run_case(environment, models, name, cases[name])
        except Failure as failure:
            problems.check(False, f"{name}: {failure}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, cases))
    problems.report()


# ---- waits


def retry_after(environment):
    """The server says how long; what is too long is refused at once."""
    with Hub({"org/model": TINY / PLAIN}) as hub:
        for name, pattern, asks in (("listing", LISTING, LISTING), ("large file", LARGE, f"{LARGE}|[.]safetensors")):
            hub.forget()
            hub.add(Fault(status=503, headers={"Retry-After": "1"}), pattern, times=1)
            User(environment, hub, name).fetch("org/model")
            refused = next(n for n, r in enumerate(hub.requests) if r.status == 503)
            again = next(r for r in hub.requests[refused + 1:] if re.search(asks, r.path))  # others are under way meanwhile
            after = again.at - hub.requests[refused].at
            check(after >= 1, f"{name}: asked again after {after:.2f} seconds")
        for value in ("100000", "inf", "1e300"):
            hub.forget()
            hub.add(Fault(status=429, headers={"Retry-After": value}), LISTING)
            line = User(environment, hub, value).refuse(NETWORK, "fetch", "org/model")
            check("often" in line or "wait" in line, line)
            check(len(hub.requests) == 1, f"{value}: {len(hub.requests)} requests")
        hub.forget()
        for value in ("soon", "-5", "nan", "Wed, 21 Oct 2015 07:28:00 GMT", "")[:5 if environment.full else 2]:
            hub.add(Fault(status=503, headers={"Retry-After": value}), LISTING, times=1)
        result = User(environment, hub, "nonsense").run("fetch", "org/model")
        check(result.status in (0, NETWORK), f"{result}")


def http2(environment):
    """Offered by a proxy in front of the server, it is taken, and broken streams are taken up as broken lines are."""
    if not shutil.which("nghttpx"):
        raise Skip("nghttpx is not installed: HTTP/2 was not checked")
    certificate, key = make_certificate(environment.scratch / "certificate", "127.0.0.1")
    model = large_model.write(environment.scratch / "model", 4 * PIECE)
    with Hub({"org/model": model}) as hub:
        fronts, addresses = [], []
        for server in hub.servers:
            log, ours = environment.scratch / f"{server.origin}.log", socket.create_server(("127.0.0.1", 0))
            port = ours.getsockname()[1]
            ours.close()
            fronts.append(subprocess.Popen(["nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{port}", f"--backend=127.0.0.1,{server.server_address[1]}",
                                            "--no-location-rewrite",
                                            "--no-ocsp", "--workers=1", f"--accesslog-file={log}", key, certificate], stderr=subprocess.DEVNULL))
            addresses.append(f"https://127.0.0.1:{port}")
        try:
            hub.tokens["hf_secret"], hub.cdn = set(), addresses[1]
            for name, fault in (("whole", None), ("drop", Fault(drop_after=3_000_000)), ("503", Fault(status=503)), ("stall", Fault(stall_after=100_000)),
                                ("wrong byte", Fault(corrupt=(9_000_000,)))):
                hub.forget()
                if fault:
                    hub.add(fault, LARGE, times=2 if name == "drop" else 1, skip=1 if name == "wrong byte" else 0)
                user = User(environment, addresses[0], name, SSL_CERT_FILE=certificate, HF_TOKEN="hf_secret")
                check_files(user.fetch("org/model", "-q"), hub.repositories["org/model"], names=LARGE_NAMES)
                user.check_cache()
                check(not any("authorization" in r.headers for r in hub.asked(origin="cdn")), f"{name}: the token went astray")
        finally:
            for front in fronts:
                front.terminate()
                front.wait()
        logs = [(environment.scratch / f"{server.origin}.log").read_text() for server in hub.servers]
        check(all(log and all("HTTP/2" in line for line in log.splitlines()) for log in logs), f"{logs[0][:500]}")


# ---- every byte


def drop_sizes(environment, size):
    generator = random.Random(7)
    return range(0, size, 131) if environment.full else sorted({0, 1, 7, 8, 9, size - 1, size, *generator.sample(range(size), 25)})


def dropped_at(environment, model, drop):
    """The line breaks after so many bytes of a file, once; no byte of the file comes twice but for what was on the way."""
    source = TINY / model
    repository = Repository(source) if source.is_dir() else Repository()
    if not source.is_dir():
        repository.commit(changes={GGUF: source})
    with Hub({"org/model": repository}) as hub:
        hub.add(Fault(drop_after=drop), LARGE, times=1)
        user = User(environment, hub, f"{model}{drop}")
        result = user.run("fetch", "org/model", "-q")
        check(result.status == 0, f"after {drop} bytes: {result}")
        user.check_cache()
        sent, size = hub.sent(LARGE), sum(f.size for f in repository.commits[repository.refs["main"]].values() if f.lfs)
        check(sent <= size + 8, f"after {drop} bytes: {sent} were sent for {size}")
        shutil.rmtree(user.home)


def every_byte(environment, model):
    """Of the file of weights."""
    source = TINY / model
    size = (source / "model.safetensors" if source.is_dir() else source).stat().st_size
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda drop: dropped_at(environment, model, drop), drop_sizes(environment, size)))


def short_lines(environment):
    """No answer ever brings more than so many bytes."""
    for size, files in ((97, "cache"), (997, LARGE), (4999, LARGE), (65_537, LARGE)) if environment.full else ((300, "cache"), (9999, LARGE)):
        with Hub({"org/model": TINY / SHARDED}) as hub:
            hub.add(Fault(drop_after=size), files)
            user = User(environment, hub, f"{size}")
            check_files(user.fetch("org/model", "-q"), hub.repositories["org/model"])
            user.check_cache()


# ---- killed


def killed(environment, count):
    """At random moments, up to three times in a row: after each, what has its final name is right; then it completes, and nothing is left."""
    model = large_model.write(environment.scratch / "model", 2 * PIECE + 3_000_000, shards=2)
    generator, problems, kills = random.Random(11), Problems(), 0
    with Hub({"org/model": model}, rate=24 << 20) as hub:
        while kills < count:
            user = User(environment, hub, f"user{kills}")
            for _ in range(generator.randint(1, 3)):
                process = user.start("fetch", "org/model", "-q", "--connections", str(generator.randint(1, 8)))
                try:
                    process.wait(generator.random() * 0.7)
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
                user.end(process, None)
                user.check_cache()
            result = user.run("fetch", "org/model", "-q")
            problems.check(result.status == 0, f"after {kills} kills: {result}")
            check_files(result.out.strip(), hub.repositories["org/model"], names=[p.name for p in model.iterdir()])
            user.check_cache()
            problems.check(not user.partials(), f"left behind: {user.partials()}")
            problems.check(not list((user.home / "tmp").iterdir()), f"after a kill, folders stay in TMPDIR: {list((user.home / 'tmp').iterdir())}")
            shutil.rmtree(user.home)
    problems.report()


def damaged_partials(environment):
    """What lies in the cache under the names of our unfinished files may be anything: the model comes whole all the same."""
    model = large_model.write(environment.scratch / "model", PIECE + 2_000_000)
    size = (model / "model.safetensors").stat().st_size
    with Hub({"org/model": model}, rate=16 << 20) as hub:
        first = User(environment, hub, "first")
        process = first.start("fetch", "org/model", "-q")
        wait_for(lambda: hub.sent(FILES) > size // 2, process)
        process.kill()
        first.end(process, None)
        hub.rate = None
        generator, problems = random.Random(5), Problems()
        partial, journal = ([p for p in first.partials() if p.name.endswith(f"{end}") and p.stat().st_size > n] for end,
                            n in ((".partial", PIECE), (".journal", 0)))
        partial, journal = partial[0], next(p for p in journal if p.stem == partial[0].stem)
        true, notes = partial.read_bytes(), journal.read_bytes()
        cases = {"other bytes": (bytes(len(true)), notes), "longer": (true + b"x" * 1000, notes), "shorter": (true[:1_000_000], notes), "empty": (b"", notes),
                 "no notes": (true, None),
                 "empty notes": (true, b""), "cut notes": (true, notes[:-3]), "notes of much": (true, notes[:24] + b"\xff" * (len(notes) - 24)),
                 "notes alone": (None, notes)}
        cases |= {f"random notes {n}": (true, bytes(generator.choices((b, b ^ 1 << generator.randrange(8)), (20, 1))[0] for b in notes))
                  for n in range(40 if environment.full else 4)}
        for name, (bytes_, notes_) in cases.items():
            user = User(environment, hub, name)
            shutil.copytree(first.home, user.home, symlinks=True, dirs_exist_ok=True)
            for path, content in ((partial, bytes_), (journal, notes_)):
                path = user.home / path.relative_to(first.home)
                path.unlink()
                if content is not None:
                    path.write_bytes(content)
            result = user.run("fetch", "org/model", "-q")
            problems.check(result.status == 0, f"{name}: {result}")
            user.check_cache()
            problems.check(result.status or not user.partials(), f"{name}: left behind {user.partials()}")
            shutil.rmtree(user.home)
        problems.report()


def interrupted(environment):
    """By SIGINT and SIGTERM, while it asks, waits, and brings: exit status 9 and one line."""
    for number in (2, 15):
        for name, fault, pattern in (("listing", Fault(stall_after=0), LISTING), ("pause", Fault(status=503, headers={"Retry-After": "60"}), LISTING),
                                     ("file", Fault(stall_after=50_000), LARGE),
                                     ("file's pause", Fault(status=503, headers={"Retry-After": "60"}), LARGE)):
            with Hub({"org/model": TINY / PLAIN}) as hub:
                hub.add(fault, pattern)
                user = User(environment, hub, f"{name}{number}", HF_HUB_DOWNLOAD_TIMEOUT="100")
                process = user.start("fetch", "org/model", "-q")
                wait_for(lambda: hub.rules[0].struck, process)
                time.sleep(0.05)
                process.send_signal(number)
                result = user.end(process, CANCELLED)
                check(result.err.count("\n") == 1 and result.out == "", f"{name}: {result}")
                user.check_cache()
                hub.rules.clear()
                check_files(user.fetch("org/model"), hub.repositories["org/model"])
                check(name != "file" or hub.sent(LARGE) < (TINY / PLAIN / "model.safetensors").stat().st_size + 60_000, "what had come was not kept")


def failing_calls(environment, call, error, count):
    """The n-th call of its kind fails, for every n: a failure is said, and does no harm."""
    if not shutil.which("strace") or subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True).returncode:
        raise Skip(f"strace may not trace here: failing {call} calls were not checked")
    failures, problems = 0, Problems()
    with Hub({"org/model": TINY / SHARDED}) as hub:
        for n in range(1, count + 1):
            user = User(environment, hub, f"{call}{n}")
            strace = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={n}"]
            completed = subprocess.run([*strace, environment.program.path, "fetch", "org/model", "-q"], env=user.environ | {"ASAN_OPTIONS": "detect_leaks=0"},
                                       capture_output=True, text=True, timeout=60)
            if "while loading shared libraries" in completed.stderr:
                continue
            failures += completed.returncode != 0
            problems.check(completed.returncode in (0, IO, NETWORK), f"{call} number {n}: exit status {completed.returncode}: {completed.stderr[-500:]}")
            problems.check(completed.stderr.count("\n") == (completed.returncode != 0),
                           f"{call} number {n}: expected one line if it fails: {completed.stderr[-500:]}")
            user.check_cache()
            hub.forget()
            check_files(user.fetch("org/model"), hub.repositories["org/model"])
            shutil.rmtree(user.home)
    problems.check(failures > 0 or call in NETWORK_CALLS, f"no {call} was made to fail")
    problems.report()


def tests(environment):
    full = environment.full
    yield "answers", lambda e: matrix(e, answers())
    yield "bodies", lambda e: matrix(e, bodies())
    if full:
        yield "permanent", lambda e: matrix(e, permanent())
        yield "http2", http2
    yield "every_byte[safetensors]", lambda e: every_byte(e, PLAIN)
    yield "every_byte[gguf]", lambda e: every_byte(e, GGUF)
    yield f"killed[{200 if full else 8}]", lambda e: killed(e, 200 if full else 8)
    for test in (retry_after, short_lines, damaged_partials, interrupted):
        yield test.__name__, test
    for call, error, most in (("pwrite64", "ENOSPC", 60), ("rename", "EIO", 12), ("symlink", "EPERM", 8), ("fallocate", "ENOSPC", 8), ("ftruncate", "EIO", 24),
                              ("mkdir", "EACCES", 24), ("flock", "ENOLCK", 10),
                              ("connect", "ENETUNREACH", 6), ("recvfrom", "ECONNRESET", 24)):
        yield f"failing[{call}]", lambda e, c=call, r=error, m=most: failing_calls(e, c, r, m if full else 8 if c == "mkdir" else 3)

"""Who hears the token, which servers are trusted, and what the user is told when something is refused."""
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from group_hub import FILES, PIECE, PLAIN, SHARDED, wait_for
from harness import ARGUMENT, IO, NETWORK, ROOT, TINY, UNSUPPORTED, Problems, Skip, check, default_signals

sys.path.insert(0, str(ROOT / "tests" / "hub"))

import large_model  # noqa: E402
from faults import Fault  # noqa: E402
from proxy import Proxy  # noqa: E402
from repository import Repository  # noqa: E402
from server import Hub  # noqa: E402
from user import User, check_files  # noqa: E402

TOKEN = "hf_aVerySecretTokenOfTheTests"
CLOSED = "http://127.0.0.1:9"  # nobody listens there


# ---- the token


def who_hears_it(environment):
    """Wherever it comes from, the endpoint alone hears it: no other port, no other host, no other name of the same host."""
    sources = {"option": (["--hf-token", TOKEN], {}), "underscores": ([f"--hf_token={TOKEN}"], {}), "HF_TOKEN": ([], {"HF_TOKEN": TOKEN}),
               "old name": ([], {"HUGGING_FACE_HUB_TOKEN": TOKEN}),
               "path": ([], {"HF_TOKEN_PATH": "token file"}), "login": ([], {}), "option wins": (["--hf-token", TOKEN], {"HF_TOKEN": "hf_other"}),
               "white space": ([], {"HF_TOKEN": f" {TOKEN}\n"})}
    problems = Problems()
    for name, (options, variables) in sources.items():
        with Hub({"org/gated": Repository(TINY / SHARDED, gated=True)}, cdn_host="127.0.0.2" if name == "option" else "127.0.0.1") as hub:
            hub.tokens[TOKEN] = {"org/gated"}
            user = User(environment, hub, name, **variables)
            (user.home / "hf").mkdir()
            path = {"path": user.home / "token file", "login": user.home / "hf" / "token"}.get(name)
            if path:
                path.write_text(TOKEN + "\n")
            result = user.run("fetch", "org/gated", *options)
            problems.check(result.status == 0, f"{name}: {result}")
            problems.check(all(r.headers.get("authorization") == f"Bearer {TOKEN}" for r in hub.asked(origin="hub")),
                           f"{name}: the endpoint did not hear it each time")
            problems.check(hub.asked(origin="cdn") and not any("authorization" in r.headers for r in hub.asked(origin="cdn")), f"{name}: another port heard it")
            problems.check(not any(TOKEN in r.path or "cookie" in r.headers for r in hub.requests), f"{name}: it stands in an address")
    problems.report()


def redirected_elsewhere(environment):
    """Listings and files that another name of this host, or another port, is asked for: they come, and it hears nothing."""
    problems = Problems()
    for what, pattern in (("listing", "/api/models"), ("small file", "/resolve/.*config.json"), ("large file", "/resolve/.*safetensors")):
        for place in ("localhost", "cdn"):
            with Hub({"org/model": TINY / PLAIN}) as hub:
                hub.tokens[TOKEN] = {"org/model"}
                target = hub.endpoint.replace("127.0.0.1", "localhost") + "{path}" if place == "localhost" else "{cdn}{path}"
                hub.add(Fault(status=302, headers={"Location": target}), pattern, origin="hub", times=1)
                user = User(environment, hub, f"{what} {place}", HF_TOKEN=TOKEN)
                result = user.run("fetch", "org/model", "-q")
                problems.check(result.status == (0 if place == "localhost" else NETWORK), f"{what}, {place}: {result}")
                elsewhere = [r for r in hub.requests if r.origin == "cdn" or not r.headers["host"].startswith("127.0.0.1")]
                problems.check(elsewhere and not any("authorization" in r.headers for r in elsewhere), f"{what}, {place}: {list(map(str, elsewhere))}")
    problems.report()


def who_does_not(environment):
    """HF_HUB_DISABLE_IMPLICIT_TOKEN keeps it at home; what no token looks like is refused, and not shown."""
    with Hub({"org/model": TINY / PLAIN}) as hub:
        user = User(environment, hub, HF_TOKEN=TOKEN)
        user.fetch("org/model", HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
        check(not any("authorization" in r.headers for r in hub.requests), "it was sent")
        hub.forget()
        for bad in (f"{TOKEN}\r\nX-Evil: 1", f"{TOKEN} {TOKEN}", f"{TOKEN}\x7f", f"{TOKEN}é"):
            line = user.refuse(ARGUMENT, "fetch", "org/model", HF_TOKEN=bad)
            check("HF_TOKEN" in line and TOKEN not in line, line)
        line = user.refuse(ARGUMENT, "fetch", "org/model", "--hf-token", "x" * 5000)
        check("xxxx" not in line and not hub.requests, line)


def where_it_stays(environment):
    """In no output, no file, no message, nor for long in the process's arguments."""
    problems = Problems()
    repositories = {"org/model": TINY / PLAIN, "org/gated": Repository(TINY / PLAIN, gated=True)}
    with Hub(repositories) as hub:
        hub.tokens[TOKEN] = {"org/model"}
        for n, (command,
                status) in enumerate(((["fetch", "org/model"], 0), (["fetch", "org/model", "--json"], 0), (["fetch", "org/gated"], NETWORK),
                                      (["fetch", "org/none"], NETWORK),
                                               (["build", "org/model", "-o", "out", "-p", "q4"], 0), (["build", "org/model", "-o", "plan", "-n", "--json"], 0),
                                               (["fetch", "org/model", "--no-such-option"], ARGUMENT),
                                      (["fetch", "org/model", "--endpoint", "http://example.com"], NETWORK))):
            for option in (["--hf-token", TOKEN], [f"--token={TOKEN}"]):
                user = User(environment, hub, f"{n}{len(option)}")
                result = user.run(command[0], *option, *command[1:])
                problems.check(result.status == status, f"expected {status}: {result}")
                problems.check(TOKEN not in result.out + result.err, f"{command} shows it")
                problems.check(not [p for p in user.home.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()], f"{command}: it is in a file")
        hub.add(Fault(before=lambda hub: time.sleep(0.4)), "/api/", times=2)
        for option in (["--hf_token", TOKEN], [f"--hf-token={TOKEN}"]):
            hub.requests.clear()
            user = User(environment, hub, f"args{len(option)}")
            process = user.start("fetch", *option, "org/model")
            wait_for(lambda: hub.requests, process)
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            problems.check(TOKEN.encode() not in arguments and b"org/model" in arguments, f"{arguments}")
            result = user.end(process)
            problems.check("HF_TOKEN" in result.err, f"no hint that the environment is safer: {result}")
    problems.report()


# ---- what is said


def refusals(environment):
    """One line that says what is wrong and what to do."""
    cases = {  # id, token, exit status, words
        "no such model": ("org/none", None, ("org/none", "401", "HF_TOKEN")),
             "no such model, with a token": ("org/none", TOKEN, ("org/none", "404", "no such model")),
        "private": ("org/private", None, ("401", "HF_TOKEN")), "gated": ("org/gated", None, ("401", "gated", "licence", "{hub}/org/gated", "HF_TOKEN")),
        "gated, no access": ("org/gated", TOKEN, ("403", "gated", "licence", "{hub}/org/gated")),
             "wrong token": ("org/model", "hf_old", ("401", "token", "expired")),
        "no such revision": ("org/model@v9", None, ("org/model@v9", "404", "revision")), "no such commit": ("org/model@" + "0" * 40, None, ("404", "revision"))}
    problems = Problems()
    with Hub({"org/model": TINY / PLAIN, "org/private": Repository(TINY / PLAIN, private=True), "org/gated": Repository(TINY / PLAIN, gated=True)}) as hub:
        hub.tokens[TOKEN] = {"org/model"}
        for name, (model, token, words) in cases.items():
            user = User(environment, hub, name, HF_TOKEN=token)
            line = user.refuse(NETWORK, "fetch", model)
            for word in words:
                problems.check(word.replace("{hub}", hub.endpoint) in line, f"{name}: '{word}' is not in: {line}")
            problems.check(not list(user.cache.rglob("refs/*")) and not user.partials(), f"{name}: nothing came, and yet there is {user.partials()}")
        for status, code, word in ((401, "GatedRepo", "gated"), (403, "GatedRepo", "licence"), (404, "EntryNotFound", "404"), (416, None, "416"),
                                   (451, None, "451"), (400, None, "400"), (301, None, "redirect")):
            user = User(environment, hub, f"file {status}")
            hub.rules.clear()
            hub.add(Fault(status=status, headers={"X-Error-Code": code}), "/resolve/.*safetensors")
            line = user.refuse(NETWORK, "fetch", "org/model")
            problems.check(word in line and "org/model" in line, f"{status} {code} of a file: '{word}' is not in: {line}")
    problems.report()


def strange_endpoints(environment):
    """Anything but https, or this machine, is refused before anything is asked."""
    user, problems = User(environment, CLOSED), Problems()
    for endpoint in ("http://example.com", "http://192.168.1.1:80", "ftp://127.0.0.1", "file:///etc", "huggingface.co", "http://", "https://",
                     "http://127.0.0.1.example.com", "http://127.0.0.1@example.com",
                     "http://localhost.example.com", "http://[::2]:80", "gopher://127.0.0.1", "http://127.0.0.1:99999", "http://a b", "\x01"):
        line = user.refuse((NETWORK, ARGUMENT), "fetch", "org/model", "--endpoint", endpoint)
        problems.check("endpoint" in line, f"{endpoint!r}: {line}")
    problems.report()


def without_a_network(environment):
    """What is cached is used, and said so; what is not is refused in words; nothing is half used."""
    user, commands = User(environment, CLOSED), (["fetch", "org/model"], ["build", "org/model", "-o", "out"], ["inspect", "org/model"])
    with ThreadPoolExecutor() as pool:  # each tries again, and waits
        for line in pool.map(lambda arguments: user.refuse(NETWORK, *arguments), commands):
            check("org/model" in line and "network" in line and not (user.home / "out").exists(), line)
    line = user.refuse(NETWORK, "fetch", "org/model", "--offline")
    check("offline" in line and str(user.cache) in line, line)
    with Hub({"org/model": TINY / SHARDED, "org/gated": Repository(TINY / PLAIN, gated=True)}) as hub:
        hub.tokens[TOKEN] = {"org/gated"}
        user = User(environment, hub, "cached")
        folder, gated = user.fetch("org/model"), user.fetch("org/gated", HF_TOKEN=TOKEN)
        hub.tokens.clear()
        result = user.run("fetch", "org/gated", HF_TOKEN=TOKEN)
        check(result.status == 0 and result.out.strip() == str(gated) and "401" in result.err, f"a token that expired: {result}")
        user.fetch("org/gated")
        endpoint = hub.endpoint
    result = user.run("fetch", "org/model", HF_ENDPOINT=endpoint)
    check(result.status == 0 and result.out.strip() == str(folder) and "cache" in result.err, f"with the network gone: {result}")
    check(user.fetch(f"org/model@{folder.name}", "--offline") == folder, "a commit, offline")
    check("v2" in user.refuse(NETWORK, "fetch", "org/model@v2", "--offline"), "a revision that was never asked for")
    shutil.copytree(user.home, environment.scratch / "copy", symlinks=True)
    for damage in ("model-00002-of-00003.safetensors", "config.json", "model.safetensors.index.json"):
        (folder / damage).unlink()
        line = user.refuse((NETWORK, UNSUPPORTED), "fetch", "org/model", "--offline")
        check("org/model" in line, f"{damage}: {line}")
        shutil.rmtree(user.home)
        shutil.copytree(environment.scratch / "copy", user.home, symlinks=True)
    (folder / "model-00002-of-00003.safetensors").resolve().unlink()  # the link leads nowhere
    user.refuse((NETWORK, UNSUPPORTED), "build", "org/model", "-o", "out", "--offline")


def small_disk(environment):
    """Known before anything comes."""
    mount = environment.scratch / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", mount], capture_output=True).returncode:
        raise Skip("no right to mount a small file system: a full disk was not checked this way")
    try:
        model = large_model.write(environment.scratch / "model", 5 * PIECE)
        with Hub({"org/model": model, "org/small": TINY / PLAIN}) as hub:
            user = User(environment, hub)
            for place in (["--cache-dir", mount / "cache"], ["--local-dir", mount / "local"]):
                line = user.refuse(IO, "fetch", "org/model", *place)
                check("free" in line and str(mount) in line and "41.9 MB" in line, line)
                check(not hub.asked(FILES) and not hub.sent(FILES), f"asked for {list(map(str, hub.asked(FILES)))}")
            check(not [p for p in mount.rglob("*") if p.is_file()], f"left behind {list(mount.rglob('*'))}")
            user.fetch("org/small", "--cache-dir", mount / "cache")
    finally:
        subprocess.run(["umount", mount], check=True)


def file_too_large(environment):
    """A limit on the size of files stands for any write that fails in the middle."""
    for limit in (0, 100, 4096, 65536):
        def limited(limit=limit):
            default_signals()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        with Hub({"org/model": TINY / PLAIN}) as hub:
            user = User(environment, hub, f"{limit}")
            environment.program.refuse(IO, "fetch", "org/model", "-q", preexec_fn=limited, env=user.environ)
            user.check_cache()
            check_files(user.fetch("org/model"), hub.repositories["org/model"])


# ---- certificates, proxies


def make_certificate(folder, address):
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed: certificates were not checked")
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key", "-out",
                    folder / "certificate", "-days", "2", "-subj",
                    "/CN=test", "-addext", f"subjectAltName=IP:{address}"], check=True, capture_output=True)
    return folder / "certificate", folder / "key"


def certificates(environment):
    """One that nobody vouches for is refused at once; one whose file is named is taken, if the host is its own."""
    right, wrong = make_certificate(environment.scratch / "right", "127.0.0.1"), make_certificate(environment.scratch / "wrong", "127.0.0.5")
    with Hub({"org/model": TINY / PLAIN}, certificate=right) as hub, Hub({"org/model": TINY / PLAIN}, certificate=wrong) as other:
        for name, server, variables in (("untrusted", hub, {}), ("another's", hub, {"SSL_CERT_FILE": wrong[0]}),
                                        ("another host's", other, {"SSL_CERT_FILE": wrong[0]}),
                                        ("no such file", hub, {"SSL_CERT_FILE": "/nowhere.pem"})):
            line = User(environment, server, name, HF_TOKEN=TOKEN, **variables).refuse(NETWORK, "fetch", "org/model")
            check("certificate" in line and "SSL_CERT_FILE" in line, f"{name}: {line}")
            check(not server.requests, f"{name}: it was asked, or tried again and again")
        for variable in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            check_files(User(environment, hub, variable, **{variable: right[0]}).fetch("org/model"), hub.repositories["org/model"])


def proxies(environment):
    """Of the environment. A proxy sees where https goes to, never a token; what stays on this machine it does not see."""
    certificate = make_certificate(environment.scratch / "certificate", "127.0.0.1")
    with Proxy() as proxy, Hub({"org/model": TINY / PLAIN}) as plain, Hub({"org/model": TINY / PLAIN}, certificate=certificate) as secure:
        plain.tokens[TOKEN] = secure.tokens[TOKEN] = set()
        User(environment, plain, "http", http_proxy=proxy.url, all_proxy=proxy.url, HF_TOKEN=TOKEN).fetch("org/model")
        check(not proxy.heads, "a proxy was told what stays on this machine")
        user = User(environment, secure, "https", HTTPS_PROXY=proxy.url, SSL_CERT_FILE=certificate[0], HF_TOKEN=TOKEN)
        check_files(user.fetch("org/model"), secure.repositories["org/model"])
        check(proxy.heads and all(head.startswith("CONNECT ") for head in proxy.heads)
              and not any(TOKEN in head or "uthorization" in head for head in proxy.heads), f"{proxy.heads}")
        proxy.heads.clear()
        for name, variable in (("none", "NO_PROXY"), ("lower case", "no_proxy")):
            User(environment, secure, name, https_proxy=proxy.url, SSL_CERT_FILE=certificate[0], **{variable: "127.0.0.1"}).fetch("org/model")
            check(not proxy.heads, f"{variable} is not obeyed")
        line = User(environment, secure, "closed", HTTPS_PROXY=CLOSED, SSL_CERT_FILE=certificate[0]).refuse(NETWORK, "fetch", "org/model")
        check("org/model" in line, line)


def tests(environment):
    for test in (who_hears_it, redirected_elsewhere, who_does_not, where_it_stays, refusals, strange_endpoints, without_a_network, small_disk, file_too_large,
                 certificates, proxies):
        yield test.__name__, test

#!/usr/bin/env python3
"""A Hub on this machine: serves folders as the Hugging Face Hub serves repositories, to gemma-onnx, huggingface_hub, curl. Standard library only.

  tests/hub/server.py google/gemma-3-270m=/path/to/gemma-3-270m
  HF_ENDPOINT=http://127.0.0.1:8321 gemma-onnx build google/gemma-3-270m -o out

  --port N        where it listens on 127.0.0.1 (default 8321); large files come from another port, as the Hub's come from other hosts
  --token T       a token that may read all; without any, nobody needs one
  --gated ID      files of this model need the token
  --rate BYTES    so many bytes a second, of each connection
  --quiet         no line for each request

It knows /api/models/ID, /api/models/ID/revision/REVISION, /api/models/ID/tree/REVISION, and HEAD and GET of /ID/resolve/REVISION/FILE with ranges,
entity tags and redirects. Nothing of a folder is read before it is asked for. As a module it is the Hub of the tests: it remembers every request, and
misbehaves as it is told (faults.py).
"""
import argparse
import hmac
import http.server
import json
import os
import re
import select
import signal
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

sys.path.insert(0, str(Path(__file__).resolve().parent))

from faults import Fault, Rule  # noqa: E402
from repository import Repository  # noqa: E402

SEND_BLOCK = 64 << 10
STALL_LIMIT = 300  # seconds; a safety net
NO_FAULT = Fault()


@dataclass
class Request:
    """One line of the log."""

    origin: str
    method: str
    path: str
    headers: dict  # names in lower case
    at: float
    status: int = 0
    sent: int = 0  # bytes of the body

    def __str__(self):
        return f"{self.origin} {self.method} {self.path} → {self.status}, {self.sent} bytes"


@dataclass
class Answer:
    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    file: object = None  # instead of a body: a File, from `begin` to `end`
    begin: int = 0
    end: int = 0


class Hub:
    """with Hub({"org/name": folder or Repository}) as hub: …hub.endpoint…"""

    def __init__(self, repositories, port=0, host="127.0.0.1", cdn_host="127.0.0.1", certificate=None, rate=None, log=None):
        self.repositories = {name: r if isinstance(r, Repository) else Repository(r) for name, r in repositories.items()}
        self.tokens = {}  # token → ids of the private and gated models it may read
        self.renamed = {}  # old id → new id
        self.rules, self.requests = [], []
        self.rate, self.log = rate, log
        self.lock, self.stopping, self.connections = threading.Lock(), threading.Event(), set()
        self.secret = os.urandom(16)
        self.servers = [_Server(self, "hub", host, port, certificate), _Server(self, "cdn", cdn_host, 0, certificate)]
        self.endpoint, self.cdn = (server.url for server in self.servers)

    def __enter__(self):
        self.threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in self.servers]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Nobody answers any more, and all lines are broken."""
        self.stopping.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()
        with self.lock:
            for connection in self.connections:
                _break(connection)

    def add(self, fault, request="", **rule):
        self.rules.append(Rule(fault, request, **rule))

    def fault_for(self, origin, request):
        with self.lock:
            return next((rule.fault for rule in self.rules if rule.strikes(origin, request)), NO_FAULT)

    # ---- what tests ask

    def asked(self, pattern="", origin=None):
        """The requests so far that match."""
        with self.lock:
            return [r for r in self.requests if re.search(pattern, f"{r.method} {r.path}") and origin in (None, r.origin)]

    def sent(self, pattern="", origin=None):
        return sum(r.sent for r in self.asked(pattern, origin))

    def forget(self):
        with self.lock:
            self.requests, self.rules = [], []

    # ---- who may read what

    def refusal(self, name, token, of_files):
        """None, or status, code and message as the Hub has them: it tells strangers neither what is there nor what is not."""
        repository, allowed = self.repositories.get(name), self.tokens.get(token, ())
        if token is not None and token not in self.tokens:
            return 401, None, "Invalid credentials in Authorization header"
        if repository is None or (repository.private and name not in allowed):
            return (401, "RepoNotFound", "Invalid username or password.") if token is None else (404, "RepoNotFound", "Repository not found")
        if of_files and repository.gated and name not in allowed:
            if token is None:
                return 401, "GatedRepo", f"Access to model {name} is restricted. You must have access to it and be authenticated to access it. Please log in."
            return 403, "GatedRepo", (f"Access to model {name} is restricted and you are not in the authorized list. "
                                      f"Visit {self.endpoint}/{name} to ask for access.")
        return None

    # ---- addresses of large files: signed, and good for an hour

    def signature(self, etag, expires):
        return hmac.new(self.secret, f"{etag} {expires}".encode(), "sha256").hexdigest()

    def signed(self, file):
        expires = int(time.time()) + 3600
        return f"{self.cdn}/repos/{file.etag}?X-Amz-Expires={expires}&X-Amz-Signature={self.signature(file.etag, expires)}"

    def find_blob(self, etag):
        return next((f for r in self.repositories.values() for files in r.commits.values() for f in files.values() if f.lfs and f.etag == etag), None)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, hub, origin, host, port, certificate):
        self.hub, self.origin = hub, origin
        super().__init__((host, port), _Handler)
        if certificate:  # (file of the certificate, file of its key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.server_address[1]}"

    def server_bind(self):  # without the name server's help
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a line that breaks is none of our failures
            super().handle_error(request, client_address)


def _break(connection, reset=False):
    try:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        else:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _parse_range(value, size):
    """First and last + 1 of "bytes=a-b"; None: no such range; "": nothing that is understood, so all of it."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", value or "")
    if not match or match.group(1) + match.group(2) == "":
        return ""
    first, last = match.groups()
    begin = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    return (begin, end) if begin < size and begin < end else None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    server_version, sys_version = "test-hub", ""

    def setup(self):
        super().setup()
        with self.server.hub.lock:
            self.server.hub.connections.add(self.connection)

    def finish(self):
        with self.server.hub.lock:
            self.server.hub.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub, origin = self.server.hub, self.server.origin
        self.entry = Request(origin, self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, time.monotonic())
        with hub.lock:
            hub.requests.append(self.entry)
        self.fault = hub.fault_for(origin, f"{self.command} {self.path}")
        try:
            if self.fault.before:
                self.fault.before(hub)
            self.send(self.answer())
        except OSError:
            self.close_connection = True
        if hub.log:
            hub.log(str(self.entry))

    do_HEAD = do_GET

    # ---- what the answer would be

    def answer(self):
        path, _, query = self.path.partition("?")
        if self.server.origin == "cdn":
            return self.from_cdn(path, parse_qs(query))
        authorization = self.headers.get("Authorization")
        self.token = authorization.removeprefix("Bearer ") if authorization else None
        for pattern, method in ((r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", self.info), (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self.tree),
                                (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve),
                                (r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", self.resolve_cache)):
            match = re.fullmatch(pattern, path)
            if match:
                name, *rest = (part and unquote(part) for part in match.groups())
                if name in self.server.hub.renamed:
                    return Answer(307, {"Location": self.path.replace(name, self.server.hub.renamed[name], 1)})
                return method(name, query, *rest)
        return self.refuse(404, None, "Not found")

    def refuse(self, status, code, message):
        headers = {"X-Error-Message": message, "Content-Type": "application/json; charset=utf-8"}
        return Answer(status, headers | ({"X-Error-Code": code} if code else {}), json.dumps({"error": message}).encode())

    def find(self, name, revision, of_files):
        """The repository and commit, or a refusal."""
        refusal = self.server.hub.refusal(name, self.token, of_files)
        if refusal:
            return None, None, self.refuse(*refusal)
        repository = self.server.hub.repositories[name]
        commit = repository.resolve(revision or "main")
        if commit is None:
            return None, None, self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, commit, None

    def in_json(self, value):
        return Answer(200, {"Content-Type": "application/json; charset=utf-8"}, value if isinstance(value, bytes) else json.dumps(value).encode())

    def info(self, name, query, revision):
        repository, commit, refusal = self.find(name, revision, False)
        if refusal:
            return refusal
        value = repository.info(name, commit, parse_qs(query).get("blobs") in (["true"], ["True"], ["1"]))
        return self.in_json(repository.edit_listing(value) if repository.edit_listing else value)

    def tree(self, name, query, revision):
        repository, commit, refusal = self.find(name, revision, False)
        return refusal or self.in_json(repository.tree(commit))

    def resolve(self, name, query, revision, path):
        repository, commit, refusal = self.find(name, revision, True)
        if refusal:
            return refusal
        file = repository.commits[commit].get(path)
        if file is None:
            refusal = self.refuse(404, "EntryNotFound", "Entry not found")
            refusal.headers["X-Repo-Commit"] = commit
            return refusal
        headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        if file.lfs:
            return Answer(302, headers | {"Location": self.server.hub.signed(file)})
        return Answer(307, headers | {"Location": f"/api/resolve-cache/models/{name}/{commit}/{quote(path)}?etag=%22{file.etag}%22"})

    def resolve_cache(self, name, query, commit, path):
        repository, commit, refusal = self.find(name, commit, True)
        file = refusal or repository.commits[commit].get(path)
        if refusal or not file:
            return refusal or self.refuse(404, "EntryNotFound", "Entry not found")
        return self.part_of(file, {"X-Repo-Commit": commit})

    def from_cdn(self, path, query):
        etag, expires = path.removeprefix("/repos/"), query.get("X-Amz-Expires", ["0"])[0]
        if "Authorization" in self.headers:  # as S3 has it: one way to say who one is, not two
            return Answer(400, {"Content-Type": "application/xml"}, b"<Error><Code>InvalidArgument</Code></Error>")
        right = hmac.compare_digest(query.get("X-Amz-Signature", [""])[0], self.server.hub.signature(etag, expires))
        file = self.server.hub.find_blob(etag) if right and int(expires) >= time.time() else None
        return self.part_of(file, {}) if file else Answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")

    def part_of(self, file, headers):
        """As much of it as a range asks for."""
        etag = f'"{file.etag}"'
        headers |= {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        asked = "" if self.fault.ignore_range or self.headers.get("If-Range", etag) != etag else _parse_range(self.headers.get("Range"), file.size)
        if asked is None:
            return Answer(416, headers | {"Content-Range": f"bytes */{file.size}"})
        if asked == "":
            return Answer(200, headers, file=file, begin=0, end=file.size)
        begin, end = min(asked[0] + self.fault.shift, file.size), asked[1]
        return Answer(206, headers | {"Content-Range": f"bytes {begin}-{end - 1}/{file.size}"}, file=file, begin=begin, end=max(begin, end))

    # ---- how it is sent

    def spoil(self, answer):
        """The answer as the fault has it."""
        fault = self.fault
        if fault.status:
            answer = Answer(fault.status, {"Content-Type": "text/plain"}, b"no luck\n")
        if isinstance(fault.body, bytes):
            answer = Answer(answer.status, answer.headers, fault.body)
        places = {"hub": self.server.hub.endpoint, "cdn": self.server.hub.cdn, "path": self.path}
        length = len(answer.body) if answer.file is None else answer.end - answer.begin
        headers = answer.headers | ({"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": str(length + len(fault.extra))})
        headers |= {name: re.sub(r"\{(hub|cdn|path)\}", lambda match: places[match.group(1)], value) if value else value for name,
                    value in fault.headers.items()}
        answer.headers = {name: value for name, value in headers.items() if value is not None}
        return answer

    def send(self, answer):
        fault = self.fault
        if fault.raw is not None:
            self.connection.sendall(fault.raw)
            return self.end(reset=fault.reset)
        answer = self.spoil(answer)
        self.entry.status = answer.status
        if not {"Content-Length", "Transfer-Encoding"} & answer.headers.keys():
            answer.headers["Connection"] = "close"
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.file and fault in (NO_FAULT, Fault(ignore_range=True)) and not self.server.hub.rate and not isinstance(self.connection, ssl.SSLSocket):
            self.send_fast(answer)
        else:
            self.send_slowly(self.blocks(answer))

    def end(self, reset=False):
        self.close_connection = True
        _break(self.connection, reset)

    def send_fast(self, answer):
        source = answer.file.source
        if isinstance(source, bytes):
            self.connection.sendall(memoryview(source)[answer.begin:answer.end])
            self.entry.sent += answer.end - answer.begin
            return
        with open(source, "rb") as file:
            at = answer.begin
            while at < answer.end:
                n = os.sendfile(self.connection.fileno(), file.fileno(), at, min(answer.end - at, 1 << 30))
                if n == 0:
                    return self.end()
                at += n
                self.entry.sent += n

    def blocks(self, answer):
        """The body, piece by piece, with what the fault does to its bytes."""
        if self.fault.body is not None and not isinstance(self.fault.body, bytes):
            yield from self.fault.body()
        elif answer.file is None:
            yield answer.body
        else:
            yield from self.file_blocks(answer)
        if self.fault.extra:
            yield self.fault.extra

    def file_blocks(self, answer):
        source = answer.file.source
        file = None if isinstance(source, bytes) else open(source, "rb")
        try:
            for at in range(answer.begin, answer.end, SEND_BLOCK):
                end = min(at + SEND_BLOCK, answer.end)
                block = bytearray(source[at:end] if file is None else os.pread(file.fileno(), end - at, at))
                for offset in self.fault.corrupt:
                    if at <= offset < end:
                        block[offset - at] ^= 0xff
                yield bytes(block)
        finally:
            if file:
                file.close()

    def cut(self, blocks):
        """Up to where the line breaks, or stalls; a byte at a time where they trickle."""
        limits = [n for n in (self.fault.drop_after, self.fault.stall_after) if n is not None]
        left = min(limits) if limits else None
        for block in blocks:
            if left is not None:
                block = block[:left]
                left -= len(block)
            step = 1 if self.fault.trickle else max(len(block), 1)
            yield from (block[n:n + step] for n in range(0, len(block), step))
            if left == 0:
                return

    def send_slowly(self, blocks):
        fault, rate = self.fault, self.fault.rate or self.server.hub.rate
        for block in self.cut(blocks):
            self.connection.sendall(b"%x\r\n%s\r\n" % (len(block), block) if fault.chunked and block else block)
            self.entry.sent += len(block)
            pause = fault.trickle or (len(block) / rate if rate else 0)
            if pause and self.wait(pause):
                return self.end()
        if fault.stall_after is not None:
            self.wait(STALL_LIMIT)
            return self.end()
        if fault.drop_after is not None:
            return self.end(fault.reset)
        if fault.chunked:
            self.connection.sendall(b"0\r\n\r\n")

    def wait(self, seconds):
        """True when the other side is gone, or all ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.server.hub.stopping.is_set():
                return True
            if select.select([self.connection], [], [], min(left, 0.05))[0] and not self.connection.recv(1, socket.MSG_PEEK):
                return True
        return self.server.hub.stopping.is_set()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s [options] ORG/NAME=FOLDER …")
    parser.add_argument("repositories", nargs="+", metavar="ORG/NAME=FOLDER")
    parser.add_argument("--port", type=int, default=8321)
    parser.add_argument("--token")
    parser.add_argument("--gated", action="append", default=[])
    parser.add_argument("--rate", type=int)
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    folders = dict(text.split("=", 1) for text in options.repositories if re.fullmatch(r"[^/=]+/[^/=]+=.+", text))
    if len(folders) != len(options.repositories) or not all(Path(folder).is_dir() for folder in folders.values()):
        parser.error("expected ORG/NAME=FOLDER, of folders that exist")
    hub = Hub({name: Repository(folder, gated=name in options.gated) for name, folder in folders.items()}, options.port, rate=options.rate,
              log=None if options.quiet else lambda line: print(line, file=sys.stderr, flush=True))
    if options.token:
        hub.tokens[options.token] = set(folders)
    with hub:
        print(f"HF_ENDPOINT={hub.endpoint}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()

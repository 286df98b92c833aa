"""What the Hub of the tests serves: folders as repositories with commits, branches and tags. Every file has the hash that the Hub names it by; of a
file on the disk it is computed when somebody first asks, and remembered until the file changes."""
import hashlib
import re
import threading
from pathlib import Path

LFS_SUFFIXES = (".safetensors", ".gguf", ".bin", ".h5", ".pth", ".pt", ".msgpack", ".onnx", ".onnx_data", ".model")
LFS_NAMES = ("tokenizer.json",)
LFS_NBYTES = 1 << 20
BLOCK = 1 << 20

_hashes = {}
_hashes_lock = threading.Lock()


def _computed(source, head, algorithm):
    """The hex digest of `head` and the file's bytes."""
    hasher = hashlib.new(algorithm, head)
    if isinstance(source, bytes):
        hasher.update(source)
    else:
        with open(source, "rb") as file:
            while block := file.read(BLOCK):
                hasher.update(block)
    return hasher.hexdigest()


class File:
    """One file of one commit: a path, or bytes."""

    def __init__(self, name, source):
        self.name, self.source = name, source
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size
        self.lfs = name.endswith(LFS_SUFFIXES) or Path(name).name in LFS_NAMES or self.size >= LFS_NBYTES
        self.fixed = {}  # hashes of bytes, which do not change

    def identity(self):
        """Says whether it changed, without reading it."""
        if isinstance(self.source, bytes):
            return hashlib.sha1(self.source).hexdigest()
        status = self.source.stat()
        return f"{self.source} {status.st_size} {status.st_mtime_ns}"

    def _hash(self, head, algorithm):
        known, key = (self.fixed, algorithm) if isinstance(self.source, bytes) else (_hashes, (self.identity(), algorithm))
        with _hashes_lock:  # whoever else asks meanwhile waits, and need not compute it again
            if key not in known:
                known[key] = _computed(self.source, head, algorithm)
            return known[key]

    @property
    def etag(self):
        """SHA-256 of what stands in LFS, git's own name of a blob of the others."""
        return self._hash(b"", "sha256") if self.lfs else self._hash(b"blob %d\0" % self.size, "sha1")

    @property
    def pointer(self):
        """What git has in place of an LFS file."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.etag}\nsize {self.size}\n".encode()

    @property
    def blob_id(self):
        return hashlib.sha1(b"blob %d\0" % len(self.pointer) + self.pointer).hexdigest() if self.lfs else self.etag


class Repository:
    """`folder`, if given, is the first commit, and "main". Commits are dictionaries from names to files."""

    def __init__(self, folder=None, gated=False, private=False):
        self.gated, self.private = gated, private
        self.commits, self.refs = {}, {}
        self.edit_listing = None  # a function from the answer's JSON to what is sent instead: a list, a dictionary, or bytes
        if folder is not None:
            self.commit(folder)

    def commit(self, folder=None, changes=None, revision="main"):
        """What `folder` holds, or else what the revision holds, with changes (name → bytes, path, or None to leave it out). Moves the revision
        there; returns the commit's name."""
        files = {} if folder else dict(self.commits.get(self.refs.get(revision), {}))
        if folder:
            files = {name: File(name, path) for path in Path(folder).rglob("*") if path.is_file() for name in [str(path.relative_to(folder))]}
        for name, source in (changes or {}).items():
            files.pop(name, None)
            if source is not None:
                files[name] = File(name, source)
        text = "".join(f"{name} {files[name].identity()}\n" for name in sorted(files))
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = files
        self.refs[revision] = commit
        return commit

    def resolve(self, revision):
        """A branch, a tag, a commit or the beginning of one → the commit; None: there is none."""
        if revision in self.refs:
            return self.refs[revision]
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            return next((commit for commit in self.commits if commit.startswith(revision)), None)
        return None

    def info(self, name, commit, blobs):
        """The answer to /api/models/NAME."""
        siblings = []
        for file in sorted(self.commits[commit].values(), key=lambda file: file.name):
            sibling = {"rfilename": file.name}
            if blobs:
                sibling |= {"size": file.size, "blobId": file.blob_id}
                if file.lfs:
                    sibling["lfs"] = {"sha256": file.etag, "size": file.size, "pointerSize": len(file.pointer)}
            siblings.append(sibling)
        return {"_id": commit[:24], "id": name, "modelId": name, "author": name.split("/")[0], "sha": commit, "private": self.private, "disabled": False,
                "gated": "manual" if self.gated else False, "lastModified": "2025-03-12T09:20:11.000Z", "createdAt": "2025-03-12T09:20:11.000Z", "downloads": 1,
                "likes": 0,
                "tags": ["safetensors"], "siblings": siblings}

    def tree(self, commit):
        """The answer to /api/models/NAME/tree/COMMIT?recursive=true."""
        entries, folders = [], set()
        for file in sorted(self.commits[commit].values(), key=lambda file: file.name):
            folders |= {str(parent) for parent in Path(file.name).parents} - {"."}
            entry = {"type": "file", "oid": file.blob_id, "size": file.size, "path": file.name}
            if file.lfs:
                entry["lfs"] = {"oid": file.etag, "size": file.size, "pointerSize": len(file.pointer)}
            entries.append(entry)
        return [{"type": "directory", "oid": hashlib.sha1(f.encode()).hexdigest(), "size": 0, "path": f} for f in sorted(folders)] + entries

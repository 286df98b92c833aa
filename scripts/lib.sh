# shellcheck shell=bash
# What the scripts share. Sourced, never run. Talk goes to stderr: stdout is for results.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$root/.deps
# Downloads and checkpoints live outside the clone, so that a second clone does not fetch them again.
# shellcheck disable=SC2034 # used by those that source this
cache=${GEMMA_ONNX_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set and neither is GEMMA_ONNX_CACHE}/.cache}/gemma-onnx}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is missing; ${2:-run scripts/deps, or install it}"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
can_be_root() { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }; }

sha256_of() { sha256sum -- "$1" | cut -d' ' -f1; }

# check_sha256 FILE HASH
check_sha256() {
    local got
    got=$(sha256_of "$1")
    [ "$got" = "$2" ] || die "${1##*/}: SHA-256 is $got, expected $2 (damaged or changed at the source; remove it and try again)"
}

# Two scripts at once (make -j, two terminals) must not write into the same folder.
lock() {
    mkdir -p "$(dirname "$1")"
    exec 9>"$1"
    flock -n 9 || {
        say "waiting for another run to end ($1)"
        flock 9
    }
}

# scratch_in FOLDER: sets $scratch, a folder that is gone when the script ends, on the same file system (so that mv is a rename).
scratch_in() {
    mkdir -p "$1"
    scratch=$(mktemp -d "$1/.tmp.XXXXXX")
    trap 'rm -rf -- "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# The first Python that is new enough. PYTHON overrides.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer found; install python3, or set PYTHON=/path/to/python3"
}

# pip_run ARGUMENTS…: pip, without asking more of the system than a Python. Debian's python3 has no pip of its own.
pip_run() {
    local python=$deps/python/bin/python
    [ -x "$python" ] || python=$deps/pip/bin/python
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        local base
        base=$(find_python)
        if "$base" -m pip --version >/dev/null 2>&1; then
            python=$base
        else
            make_venv "$base" "$deps/pip"
            python=$deps/pip/bin/python
        fi
    fi
    # -qq drops pip's warnings (about its own version, say) and keeps its errors.
    "$python" -m pip -qq --disable-pip-version-check --no-input "$@" >&2
}

# make_venv PYTHON FOLDER
make_venv() {
    "$1" -m venv "$2" >&2 || {
        rm -rf -- "$2"
        die "$1 cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv (scripts/deps does)"
    }
}

# unpack_wheel FILE FOLDER: a wheel is a zip file; Python reads it, so that unzip need not be there.
unpack_wheel() { "$(find_python)" -m zipfile -e "$1" "$2" >&2 || die "${1##*/} cannot be unpacked"; }

# pinned PACKAGE: its version in tools/requirements.txt
pinned() {
    local version
    version=$(sed -n "s/^$1==//p" "$root/tools/requirements.txt")
    [ -n "$version" ] || die "tools/requirements.txt pins no $1"
    printf '%s\n' "$version"
}

# onnxruntime_library VERSION FOLDER: the shared library of that release, from its Python wheel, as FOLDER/libonnxruntime.so.VERSION.
# Sets $scratch.
onnxruntime_library() {
    local name=libonnxruntime.so.$1 source
    [ ! -f "$2/$name" ] || return 0
    scratch_in "$2"
    source=$(echo "$deps"/python/lib/python3*/site-packages/onnxruntime/capi/"$name")
    if [ ! -f "$source" ]; then
        say "fetching ONNX Runtime $1"
        pip_run download --no-deps -d "$scratch" "onnxruntime==$1" || die "pip could not download onnxruntime $1"
        unpack_wheel "$scratch"/onnxruntime-*.whl "$scratch"
        source=$scratch/onnxruntime/capi/$name
    fi
    # A copy, not a link: the Python environment may be remade while a program runs.
    cp "$source" "$scratch/$name"
    mv "$scratch/$name" "$2/$name"
    rm -rf "$scratch"
}

# Whether there is a Node that Transformers.js runs in, with npm.
has_node() {
    command -v npm >/dev/null 2>&1 &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 9) ? 0 : 1)' 2>/dev/null
}

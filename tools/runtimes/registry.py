"""What is tried: every runtime, its versions, and the packages of its environment."""
from dataclasses import dataclass, field

from rows import FORMS, PRECISIONS, PROFILES

NUMPY, OLD_NUMPY, SAFETENSORS = "numpy==2.4.6", "numpy==1.26.4", "safetensors==0.8.0"

# The last of every minor version. What gemma-onnx promises begins with the first 1.24 that was published; those before show where it stops.
ONNX_RUNTIME = ("1.15.1", "1.16.3", "1.17.3", "1.18.1", "1.19.2", "1.20.1", "1.21.1", "1.22.1", "1.23.2",
                "1.24.1", "1.24.4", "1.25.1", "1.26.0", "1.27.0", "1.28.0", "1.29.0", "1.30.0", "1.31.1", "1.32.0")
NODE, WEB = ("1.24.3", "1.27.0", "1.30.0"), ("1.24.3", "1.27.0", "1.30.0")
GENAI, TRANSFORMERS_JS = "0.18.0", "4.3.1"


@dataclass
class Runtime:
    name: str  # in rows
    version: str
    host: str
    engine: str  # engines/<name>.py; "onnxruntime" and "genai" are the driver's own, "node", "web" and "transformers" driver.mjs's, "chromium" is chromium.mjs
    packages: list
    profiles: tuple = PROFILES
    forms: tuple = FORMS
    precisions: tuple = PRECISIONS
    real: bool = True  # whether it is tried with the real model; else with tiny ones alone
    tiny: bool = True
    settings: dict = field(default_factory=dict)  # what a job says besides
    most: tuple = ()  # prompts, ids of the longest, new tokens: all that is asked of it

    @property
    def label(self):
        return f"{self.engine}@{self.version}"

    @property
    def rounds(self):
        """Its kernels of blocks round activations to 8 bits, as accuracy level 4 allows; those of WebAssembly and WebGPU do not, and are slow."""
        return self.engine not in ("web", "chromium")

    @property
    def is_python(self):
        return self.host == "Python"


def number(version):
    return tuple(int(part) for part in version.split("-")[0].split("."))


def onnx_runtimes():
    for version in ONNX_RUNTIME:
        packages = [f"onnxruntime=={version}", NUMPY if number(version) >= (1, 20) else OLD_NUMPY, SAFETENSORS]
        yield Runtime("ONNX Runtime", version, "Python", "onnxruntime", packages)
    for version in NODE:
        yield Runtime("onnxruntime-node", version, "Node", "node", [f"onnxruntime-node@{version}"], forms=("dynamic",), tiny=False)
    for version in WEB:
        yield Runtime("onnxruntime-web", version, "Node, wasm", "web", [f"onnxruntime-web@{version}"], forms=("dynamic",), tiny=False)


def hosts():
    """Libraries that people use, in their own way, with the folder as build wrote it: their caches, their sampling, their WebAssembly."""
    own = {"profiles": ("ort",), "forms": ("dynamic",), "tiny": False}
    yield Runtime("ONNX Runtime GenAI", GENAI, "Python", "genai", [f"onnxruntime-genai=={GENAI}", f"onnxruntime=={ONNX_RUNTIME[-1]}", NUMPY, SAFETENSORS], **own)
    library = f"@huggingface/transformers@{TRANSFORMERS_JS}"
    yield Runtime("Transformers.js", TRANSFORMERS_JS, "Node", "transformers", [library], **own)
    for host, settings, limits in (("wasm", {"device": "wasm", "threads": 1}, {}), ("wasm, 2 threads", {"device": "wasm", "threads": 2}, {}),
                                   ("WebGPU in software", {"device": "webgpu", "threads": 1}, {"precisions": ("fp32", "q4", "int8"), "most": (1, 31, 4)})):
        yield Runtime("Transformers.js", TRANSFORMERS_JS, f"Chromium, {host}", "chromium", [library, "playwright-core@1.65.1"], settings=settings, **own, **limits)


BASE = (NUMPY, SAFETENSORS)
ONNX = ("onnx==1.23.2", "ml-dtypes==0.6.0", "protobuf==7.36.2", "typing-extensions==4.16.0", *BASE)
SYMPY = ("sympy==1.14.0", "mpmath==1.3.0")
TORCH = ("torch==2.13.0", "filelock==4.3.1", "fsspec==2026.9.0", "jinja2==3.1.6", "markupsafe==3.0.4", "networkx==3.6.1", "setuptools==84.2.1", *SYMPY)


def engines():
    """What else loads ONNX. Those that compile every graph, or work through it in NumPy, are tried with tiny checkpoints alone."""
    def engine(name, version, module, *packages, real=False):
        return Runtime(name, version, "Python", module, list(packages), profiles=PROFILES if module == "nxrt" else ("standard", "primitive"), real=real)

    for version in ("2025.4.1", "2026.4.1"):
        yield engine("OpenVINO", version, "openvino", f"openvino=={version}", "openvino-telemetry==2025.2.0", "packaging==26.3", *BASE, real=True)
    yield engine("onnx ReferenceEvaluator", "1.23.2", "reference", *ONNX)
    yield engine("tract", "0.23.9", "tract", "tract==0.23.9", *BASE, real=True)
    yield engine("MNN", "3.6.1", "mnn", "MNN==3.6.1", *BASE, real=True)
    yield engine("OpenCV", "5.0.0.93", "opencv", "opencv-python-headless==5.0.0.93", *BASE, real=True)
    yield engine("nxrt", "0.1.0.dev6", "nxrt", "nxrt==0.1.0.dev6", *BASE, real=True)
    yield engine("onnx2pytorch", "0.6.0", "onnx2pytorch", "onnx2pytorch==0.6.0", *TORCH, *ONNX, real=True)
    yield engine("tinygrad", "0.14.0", "tinygrad", "tinygrad==0.14.0", *BASE)
    yield engine("IREE", "3.13.0", "iree", "iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0", *SYMPY, *ONNX)
    yield engine("TVM", "0.27.0", "tvm", "apache-tvm==0.27.0.post1", "apache-tvm-ffi==0.1.15.post2", *ONNX)
    yield engine("emx-onnx-cgen", "1.4.0", "emx", "emx-onnx-cgen==1.4.0", "emx-regex-cgen==0.2.0", "jinja2==3.1.6", "markupsafe==3.0.4", *SYMPY, *ONNX)


def all_runtimes():
    return [*onnx_runtimes(), *hosts(), *engines()]


def chosen(words):
    """Those named, as "onnxruntime", "onnxruntime@1.32.0", "OpenVINO" or "Chromium, wasm"; all without a name."""
    def names(r):
        return [n.lower() for n in (r.engine, r.label, r.name, r.host)]
    found = [r for r in all_runtimes() if not words or any(w.lower() in names(r) for w in words)]
    for word in words:
        if not any(word.lower() in names(r) for r in found):
            raise SystemExit(f"{word}: no such runtime; there are {', '.join(sorted({r.engine for r in all_runtimes()}))}, each also with @version")
    return found


NEWEST = next(r for r in onnx_runtimes() if r.label == f"onnxruntime@{ONNX_RUNTIME[-1]}")

#!/usr/bin/env python3
"""One measurement, in the environment of the runtime that is tried: driver.py JOB.json. The answer is a line of JSON on stdout.

The job names the engine (a file of engines/), the graph, and what to do: "text", greedy text of prompts, with the time of every step;
"logits", a tiny checkpoint's golden calls, with the largest difference from what Transformers gave. An engine has a function
open(path, threads, description) that gives an object with `run(feeds) -> {name: array}`; description has the graph's inputs and outputs. What it raises
is the answer's "error", with the stage at which it happened.
"""
import importlib
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "e2e")]

import numpy as np  # noqa: E402
from sessions import Decoder  # noqa: E402
from static_pair import StaticPair  # noqa: E402

KEPT = 32  # choices of every step that are reported where the job asks for them


class Named:
    """What ONNX Runtime calls a node argument."""

    def __init__(self, name, shape, kind):
        self.name, self.shape, self.type = name, shape, kind


class Session:
    """An engine's model with the face of an ONNX Runtime session."""

    def __init__(self, engine, path, threads, description):
        self.model, self.description = engine.open(str(path), threads, description), description

    def get_inputs(self):
        return [Named(**i) for i in self.description["inputs"]]

    def get_outputs(self):
        return [Named(**o) for o in self.description["outputs"]]

    def get_modelmeta(self):
        return self

    @property
    def custom_metadata_map(self):
        return self.description["metadata"]

    def run(self, names, feeds):
        results = self.model.run(feeds)
        return [np.asarray(results[n]) for n in names or [o["name"] for o in self.description["outputs"]]]


class AnyDecoder(Decoder):
    def __init__(self, engine, job):
        self.engine, self.job = engine, job
        super().__init__(job["path"], job["threads"])

    def open(self, path, threads):
        return Session(self.engine, path, threads, self.job["descriptions"][Path(path).name])


class AnyPair(StaticPair):
    """The caches are copied back after every call."""

    def __init__(self, engine, job):
        self.engine, self.job = engine, job
        super().__init__(job["path"], job["precision"], job["threads"])

    def open(self, path, threads):
        return Session(self.engine, path, threads, self.job["descriptions"][path.name])

    def run(self, session, feeds, description):
        names = ["logits", *(present for _, present, _ in self.caches)]
        logits, *presents = session.run(names, feeds | {past: cache for past, _, cache in self.caches})
        for (_, _, cache), present in zip(self.caches, presents, strict=True):
            cache[...] = present
        return logits


class Stepwise:
    """One text at a time on a model that gives logits; the next id is chosen here."""

    def __init__(self, model):
        self.model = model

    @property
    def warnings(self):
        return self.model.warnings

    def greedy(self, prompt, job):
        """Ids, the seconds of every decoding step, and every step's best choices as ids and logits."""
        self.restart()
        logits, ids, seconds, choices = self.feed(prompt), [], [], []
        for n in range(job["tokens"]):
            order = np.argsort(-logits[: job["vocabulary"]], kind="stable")[:KEPT]
            choices.append([[int(i) for i in order], [float(logits[i]) for i in order]])
            ids.append(choices[-1][0][0])
            if n + 1 < job["tokens"]:
                begun = time.perf_counter()
                logits = self.feed(ids[-1:])
                seconds.append(time.perf_counter() - begun)
        return ids, seconds, choices


class Growing(Stepwise):
    """On a decoder whose caches grow."""

    def restart(self):
        self.cache = None

    def feed(self, ids):
        logits, self.cache, *_ = self.model.step(np.asarray([ids]), cache=self.cache)
        return logits[0, -1]


class Fixed(Stepwise):
    """On a static pair."""

    def restart(self):
        self.model.reset()

    def feed(self, ids):
        return self.model.feed([ids])[0]


class GenAi:
    """ONNX Runtime GenAI in its own way: its caches, its choice of the next id."""

    warnings = ""

    def __init__(self, job):
        import onnxruntime_genai
        self.genai, path = onnxruntime_genai, Path(job["path"])
        config = onnxruntime_genai.Config(str(path.parent.parent))
        options = {"intra_op_num_threads": job["threads"]}
        config.overlay(json.dumps({"model": {"decoder": {"filename": f"{path.parent.name}/{path.name}", "session_options": options}}}))
        self.model = onnxruntime_genai.Model(config)

    def greedy(self, prompt, job):
        parameters = self.genai.GeneratorParams(self.model)
        parameters.set_search_options(max_length=len(prompt) + job["tokens"])
        generator, seconds = self.genai.Generator(self.model, parameters), []
        generator.append_tokens(np.asarray(prompt, np.int32))
        generator.generate_next_token()
        while not generator.is_done():
            begun = time.perf_counter()
            generator.generate_next_token()
            seconds.append(time.perf_counter() - begun)
        return list(map(int, generator.get_sequence(0)[len(prompt):])), seconds, None


def opened(job):
    if job["engine"] == "genai":
        return GenAi(job)
    if job["engine"] == "onnxruntime":
        return Growing(Decoder(Path(job["path"]), job["threads"])) if job["form"] == "dynamic" else Fixed(StaticPair(job["path"], job["precision"], job["threads"]))
    engine = importlib.import_module(f"engines.{job['engine']}")
    return Growing(AnyDecoder(engine, job)) if job["form"] == "dynamic" else Fixed(AnyPair(engine, job))


def texts(host, job):
    """Of all prompts, with the choices where they are asked for."""
    ids, seconds, choices = zip(*(host.greedy(prompt, job) for prompt in job["prompts"]), strict=True)
    return {"ids": ids, "seconds": sum(seconds, [])} | ({"choices": choices} if job.get("choices") else {})


def encoder_differences(encoder, job):
    """Of hidden states and embeddings, in standard deviations; what stands at padding is nobody's."""
    from golden import distance, golden
    expected, out = golden(job["checkpoint"]), {}
    for case in ("prompt", "one", "leftpad", "rightpad"):
        ids = expected[f"{case}.input_ids"]
        mask = expected.get(f"{case}.attention_mask", np.ones_like(ids))
        hidden, embedding = encoder.session.run(["last_hidden_state", "sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
        out[case] = max(distance(found, expected[f"{case}.{kind}"]) / float(expected[f"{kind}.std"][0])
                        for kind, found in (("last_hidden_state", hidden * mask[..., None]), ("sentence_embedding", embedding)))
    return out


def golden_differences(host, job):
    """In standard deviations."""
    from golden import differences, golden, std
    name = job["checkpoint"]
    if name.startswith("embeddinggemma"):
        return encoder_differences(host.model, job)
    if job["form"] == "dynamic":
        return {case: difference / std(name) for case, difference in differences(host.model, golden(name), False)}
    ids, logits = golden(name)["prompt.input_ids"][0].tolist(), golden(name)["prompt.logits"][0]
    worst, cut = 0.0, len(ids) - 5
    for start, end in [(0, cut), *((n, n + 1) for n in range(cut, len(ids)))]:
        worst = max(worst, float(np.abs(host.feed(ids[start:end]).astype(np.float64) - logits[end - 1]).max()))
    return {"prompt": worst / std(name)}


def answer(job):
    stage = "load"
    try:
        begun = time.perf_counter()
        host = opened(job)
        out = {"load_seconds": time.perf_counter() - begun}
        stage = "run"
        out |= {"differences": golden_differences(host, job)} if job["task"] == "logits" else texts(host, job)
        return out | {"warnings": host.warnings[:4000]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "stage": stage}


if __name__ == "__main__":
    found = answer(json.loads(Path(sys.argv[1]).read_text()))
    print("\n" + json.dumps(found), flush=True)

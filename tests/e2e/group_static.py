"""Static pairs of every tiny checkpoint in every profile: the numbers against Transformers, the shapes against ONNX Runtime."""
from functools import cache

import numpy as np

from golden import distance, golden, judge, std
from harness import TINY, Problems, check, checkpoint_names
from static_pair import StaticPair

FP32_BOUND = 2e-4  # of the standard deviation of the logits
PROFILES, CACHES = ("ort", "standard", "primitive"), ("full", "bounded")
ROOM, LENGTHS = 45, (8, 3)


@cache
def expected(name):
    """Three sequences that fill the caches, and their logits in Transformers."""
    import torch
    vocabulary = golden(name)["prompt.logits"].shape[-1]
    ids = np.random.default_rng(5).integers(3, vocabulary, (3, ROOM))
    ids[:, 0] = golden(name)["prompt.input_ids"][0, 0]
    with torch.no_grad():
        return ids, judge(name)(torch.from_numpy(ids), use_cache=False).logits.float().numpy()


def convert(environment, name, *arguments, precisions=("fp32",)):
    out = environment.scratch / "pair"
    result = environment.program.run("convert", TINY / name, "-o", out, "-p", *precisions, "-q", "--force", *arguments)
    check(result.status == 0 and result.err == "", f"did not convert: {result}")
    return out


def worst_difference(pair, ids, logits, counts, decode):
    """Prompts of these lengths, then `decode` more ids of each row as far as there is room."""
    pair.reset()
    counts, worst = list(counts), 0.0
    rows = [ids[b, :n] for b, n in enumerate(counts)]
    while True:
        found = pair.feed(rows)
        for b, n in enumerate(counts):
            worst = max(worst, distance(found[b], logits[b, n - 1]))
        if decode == 0 or max(counts) == ROOM:
            return worst
        rows, counts, decode = [[ids[b, n]] for b, n in enumerate(counts)], [n + 1 for n in counts], decode - 1


def prompts(batch, equal):
    """One id, one short of the graph, all of it, 2.5 times it, past every window, to the last slot."""
    lengths = (1, LENGTHS[0] - 1, LENGTHS[0], LENGTHS[0] * 5 // 2, ROOM - 12, ROOM)
    if batch == 1 or equal:
        return [(n,) * batch for n in lengths]
    return [(1, 2, 3), (7, 8, 2), (20, 9, 15), (ROOM, ROOM - 3, ROOM - 1)]


def check_numbers(environment, name, profile):
    problems = Problems()
    ids, logits = expected(name)
    for cache_kind in CACHES:
        for batch in (1, 3):
            out = convert(environment, name, "--batch_size", batch, "--seq_length", *LENGTHS, "--max_length", ROOM, "--profile", profile, "--cache", cache_kind)
            pair = StaticPair(out, "fp32")
            for counts in prompts(batch, equal=not pair.rules["padding"]):
                difference = worst_difference(pair, ids, logits, counts, 12) / std(name)
                problems.check(difference <= FP32_BOUND, f"{cache_kind} cache, prompts of {counts}: {difference:.2e} std")
            problems.check(pair.warnings == "", f"ONNX Runtime warns: {pair.warnings[:300]}")
    problems.report()


def tests(environment):
    for name in checkpoint_names():
        for profile in PROFILES:
            yield f"numbers[{name}, {profile}]", lambda e, n=name, p=profile: check_numbers(e, n, p)

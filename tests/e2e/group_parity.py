"""fp32 and fp16 files of every tiny checkpoint against what Transformers computed on it."""
import onnx

from golden import differences, fp16_bound, golden, std
from harness import PRECISIONS, TINY, Problems, checkpoint_names
from sessions import Decoder

FP32_BOUND = 2e-4  # of the standard deviation of the logits


def check_folder(environment, name, every_position):
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", *(["--all-logits"] if every_position else []))
    for precision, file in PRECISIONS.items():
        path = out / "onnx" / f"{file}.onnx"
        onnx.checker.check_model(str(path), full_check=True)
        decoder = Decoder(path)
        problems.check(decoder.metadata.get("gemma_onnx.logits") == ("all" if every_position else "last"), f"{precision}: metadata {decoder.metadata}")
        if precision in ("fp32", "fp16"):
            bound = FP32_BOUND * std(name) if precision == "fp32" else fp16_bound(name)
            for case, difference in differences(decoder, golden(name), every_position):
                problems.check(difference <= bound, f"{precision}, {case}: {difference / std(name):.2e} std, bound {bound / std(name):.2e}")
        else:  # the numbers are judged in group_quantised.py
            decoder.step(golden(name)["prompt.input_ids"])
        if precision == "fp32":
            text = decoder.greedy(golden(name)["greedy.input_ids"], golden(name)["greedy.output_ids"].shape[1])
            problems.check((text == golden(name)["greedy.output_ids"]).all(), f"greedy text {text.tolist()}, expected {golden(name)['greedy.output_ids'].tolist()}")
        problems.check(decoder.warnings == "", f"{precision}: ONNX Runtime warns: {decoder.warnings[:400]}")
    problems.report()


def tests(environment):
    for name in checkpoint_names():
        for every_position in (False, True):
            yield f"{name}{'/all-logits' if every_position else ''}", lambda e, n=name, p=every_position: check_folder(e, n, p)

"""fp32 and fp16 files of every tiny checkpoint against what Transformers computed on it."""
import onnx

from golden import differences, fp16_bound, golden, std
from harness import PRECISIONS, TINY, Problems, checkpoint_names, in_every_profile
from sessions import Decoder

FP32_BOUND = 2e-4  # of the standard deviation of the logits


def check_folder(environment, name, profile, every_position):
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", "--profile", profile, *(["--all-logits"] if every_position else []))
    for precision, file in PRECISIONS.items():
        path = out / "onnx" / f"{file}.onnx"
        onnx.checker.check_model(str(path), full_check=True)
        decoder = Decoder(path)
        problems.check(decoder.metadata.get("gemma_onnx.logits") == ("all" if every_position else "last"), f"{precision}: metadata {decoder.metadata}")
        if precision in ("fp32", "fp16"):
            bound = FP32_BOUND * std(name) if precision == "fp32" else fp16_bound(name, profile)
            for case, difference in differences(decoder, golden(name), every_position):
                problems.check(difference <= bound, f"{precision}, {case}: {difference / std(name):.2e} std, bound {bound / std(name):.2e}")
        else:  # the numbers are judged in group_quantised.py
            decoder.step(golden(name)["prompt.input_ids"])
        if precision == "fp32":
            text = decoder.greedy(golden(name)["greedy.input_ids"], golden(name)["greedy.output_ids"].shape[1])
            problems.check((text == golden(name)["greedy.output_ids"]).all(), f"greedy text {text.tolist()}, expected {golden(name)['greedy.output_ids'].tolist()}")
        problems.check(decoder.warnings == "", f"{precision}: ONNX Runtime warns: {decoder.warnings[:400]}")
    problems.report()


def fp16_arithmetic(environment, name):
    """Every node rounded to fp16, which a CPU session does not do: finite, far from overflow, near fp32."""
    import fp16_evaluator
    out = environment.program.build(TINY / name, environment.scratch / "out", precisions=("fp16", "q4f16"))
    problems = Problems()
    for file in ("model_fp16", "model_q4f16"):
        path = out / "onnx" / f"{file}.onnx"
        result = fp16_evaluator.evaluate(path, fp16_evaluator.text_ids(path, 48))
        problems.check(result["finite"] and result["largest"] <= fp16_evaluator.BARS["magnitude"] and result["mean_kl"] < 1e-3, f"{file}: { {k: v for k, v in result.items() if k != 'values'} }")
    problems.report()


def tests(environment):
    for name in checkpoint_names() if environment.full else ("gemma-mha-bf16", "gemma3-untied-f16"):
        yield f"fp16_arithmetic[{name}]", lambda e, n=name: fp16_arithmetic(e, n)
    for name in checkpoint_names():
        others = (("standard", False), ("primitive", True)) if in_every_profile(name, environment.full) else ()
        for profile, every_position in (("ort", False), ("ort", True), *others):
            yield f"{name}/{profile}{'/all-logits' if every_position else ''}", lambda e, n=name, o=profile, p=every_position: check_folder(e, n, o, p)

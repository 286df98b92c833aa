"""ONNX Runtime GenAI on the folders as build writes them: its numbers and its text are those of ONNX Runtime on the same file."""
import json
import os
import shutil

import numpy as np

from golden import fp16_bound, golden, std
from group_parity import FP32_BOUND
from harness import CORE, PRECISIONS, ROOT, TINY, Problems, apart, check, checkpoint_names
from sessions import Decoder

# Its package reports what is run to its makers unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

QUICK = ("gemma3-types-bf16", "gemma2-capped.gguf", "gemma4-per-layer-bf16")


class Folder:
    """A folder in GenAI, and the file that it names in ONNX Runtime."""

    def __init__(self, out, threads=1, **model):
        import onnxruntime_genai
        self.genai = onnxruntime_genai
        self.config = json.loads((out / "genai_config.json").read_text())
        self.file = out / self.config["model"]["decoder"]["filename"]
        settings = onnxruntime_genai.Config(str(out))
        # The machine may be busy. Everything else is as it stands in the file, but for what a test asks.
        settings.overlay(json.dumps({"model": model | {"decoder": {"session_options": {"intra_op_num_threads": threads, "session.intra_op.allow_spinning": "0"}}}}))
        self.model = onnxruntime_genai.Model(settings)
        self.plain = Decoder(self.file, threads)

    def generator(self, rows, **search):
        """One that has read the rows, of equal length."""
        rows = np.asarray(rows, np.int32)
        parameters = self.genai.GeneratorParams(self.model)
        parameters.set_search_options(**{"batch_size": len(rows)} | search)
        generator = self.genai.Generator(self.model, parameters)
        generator.append_tokens(rows if len(rows) > 1 else rows[0])
        return generator

    def greedy(self, ids, count):
        """Up to `count` new ids; fewer where it stops."""
        generator = self.generator([ids], max_length=len(ids) + count)
        while not generator.is_done():
            generator.generate_next_token()
        return list(map(int, generator.get_sequence(0)[len(ids):]))

    def until_stop(self, ids):
        """Greedy ids of somebody else, as GenAI has them: without the one that ends them."""
        stops = set(self.config["model"]["eos_token_id"])
        end = next((n for n, i in enumerate(ids) if int(i) in stops), len(ids))
        return list(map(int, ids[:end]))


    def next_id(self, logits):
        """[[id]]; None where it stops."""
        ids = logits[:, -1:].argmax(-1)
        return None if int(ids[0, 0]) in self.config["model"]["eos_token_id"] else ids


def distance(generator, logits):
    """Of the next token's logits. Asked for them, GenAI reads the token that it generated last."""
    return float(np.abs(np.array(generator.get_logits()).reshape(-1) - logits[0, -1]).max())


def bound(name, precision):
    """Layers that read another one's caches sum over all of a shared buffer, hidden slots included; the others do the very same."""
    if not apart(name):
        return 0
    return fp16_bound(name) if precision in ("fp16", "q4f16") else FP32_BOUND * std(name)


def same_text(environment, name, profile):
    """Every precision: after the prompt and after each token the very logits of ONNX Runtime, and its ids; fp32 and fp16 those of Transformers."""
    problems, expected = Problems(), golden(name)
    ids, theirs = expected["greedy.input_ids"], expected["greedy.output_ids"][0]
    for precision in PRECISIONS:
        out = environment.program.build(TINY / name, environment.scratch / precision, "--profile", profile, precisions=(precision,))
        folder = Folder(out)
        generator, (logits, cache) = folder.generator(ids, max_length=ids.shape[1] + len(theirs)), folder.plain.step(ids)
        for n in range(len(theirs)):
            worst, next_id = distance(generator, logits), folder.next_id(logits)
            problems.check(worst <= bound(name, precision), f"{precision}: logits after {n} new ids differ by {worst:.2e}")
            if next_id is None:
                break
            generator.generate_next_token()
            logits, cache = folder.plain.step(next_id, cache=cache)
        text = folder.greedy(ids[0], len(theirs))
        wanted = folder.until_stop(folder.plain.greedy(ids, len(theirs))[0])
        problems.check(text == wanted, f"{precision}: text {text}, ONNX Runtime gives {wanted}")
        if precision in ("fp32", "fp16"):
            problems.check(text == folder.until_stop(theirs), f"{precision}: text {text}, Transformers gives {theirs.tolist()}")
    problems.report()


def ways(environment, name, precision):
    """A prompt in pieces, with generated ids or a stop between them, beyond the sliding window; cut back; several rows of one length."""
    problems, expected = Problems(), golden(name)
    out = environment.program.build(TINY / name, environment.scratch / "out", precisions=(precision,))
    folder = Folder(out)
    ids = expected["chunks.input_ids"][0]
    first, second = ids[:9], ids[9:]
    generator, (logits, cache) = folder.generator([first], max_length=64), folder.plain.step(first[None])
    for _ in range(4):
        next_id = folder.next_id(logits)
        if next_id is None:
            break
        generator.generate_next_token()
        logits, cache = folder.plain.step(next_id, cache=cache)
    generator.get_logits()
    generator.append_tokens(second.astype(np.int32))
    worst = distance(generator, folder.plain.step(second[None], cache=cache)[0])
    problems.check(worst <= bound(name, precision), f"a second piece after generated ids: {worst:.2e}")

    stopping = Folder(out, eos_token_id=[int(folder.plain.step(ids[None])[0][0, -1].argmax())])
    generator = stopping.generator([ids], max_length=64)
    generator.generate_next_token()
    problems.check(generator.is_done() and generator.get_sequence(0).tolist() == ids.tolist(), f"the stop id is part of the text, or does not stop it: {generator.get_sequence(0)}")
    generator.append_tokens(first.astype(np.int32))
    worst = distance(generator, folder.plain.pieces(np.concatenate([ids, first])[None], [len(ids), len(first)])[-1])
    problems.check(worst <= bound(name, precision), f"more ids after a stop: {worst:.2e}")

    generator = folder.generator([ids], max_length=64)
    generator.rewind_to(9)
    generator.append_tokens(second.astype(np.int32))
    worst = distance(generator, folder.plain.pieces(ids[None], [9, len(second)])[-1])
    problems.check(worst <= bound(name, precision), f"cut back and read again: {worst:.2e}")

    rows = np.stack([first, second[:9], first[::-1]])
    generator = folder.generator(rows, max_length=len(first) + 1)
    generator.generate_next_token()
    for n, row in enumerate(rows):
        wanted = int(folder.plain.step(row[None])[0][0, -1].argmax())
        problems.check(int(generator.get_sequence(n)[-1]) == wanted, f"row {n} of three gives {generator.get_sequence(n)[-1]}, alone {wanted}")
    problems.report()


def unequal_rows(environment):
    """GenAI pads on the right and takes the logits of each row's last token: with the logits of every position, short of the sliding window, it
    gives what each row gives alone."""
    name = "gemma3n-streams"
    folder = Folder(environment.program.build(TINY / name, environment.scratch / "out", "--all-logits", precisions=("fp32",)))
    window = json.loads((folder.file.parent.parent / "config.json").read_text())["text_config"]["sliding_window"]
    ids = golden(name)["prompt.input_ids"][0]
    rows, width = [ids[:2], ids[2:5], ids[5:6]], 3
    padded = np.stack([np.pad(row, (0, width - len(row)), constant_values=folder.config["model"]["pad_token_id"]) for row in rows])
    count = window - width
    check(count > 0, f"the window of {window} leaves no room")
    generator = folder.generator(padded, max_length=width + count, min_length=width + count)
    while not generator.is_done():
        generator.generate_next_token()
    for n, row in enumerate(rows):
        found, wanted = generator.get_sequence(n)[width:].tolist(), folder.plain.greedy(row[None], count)[0].tolist()
        check(found == wanted, f"row {n}: {found}, alone {wanted}")


def shared_cache(environment):
    """It is asked for where the graph allows it, and only there."""
    for name, arguments, precision, shared in (("gemma2-capped.gguf", (), "q4", True), ("gemma2-capped.gguf", (), "fp16", False), ("gemma3-types-bf16", (), "fp16", True),
                                               ("gemma3-types-bf16", ("--profile", "standard"), "fp32", False), ("gemma4-per-layer-bf16", (), "q8", True)):
        out = environment.program.build(TINY / name, environment.scratch / "out", "--force", *arguments, precisions=(precision,))
        config = json.loads((out / "genai_config.json").read_text())
        file = out / config["model"]["decoder"]["filename"]
        declared = Decoder(file).metadata.get("gemma_onnx.shared_cache") == "1"
        found = config["search"]["past_present_share_buffer"]
        check(found == declared == shared, f"{name}, {precision}, {arguments}: asks for {found}, the graph says {declared}, expected {shared}")
        shutil.rmtree(out)


def named_model(out):
    """The model that genai_config.json names is there, and the manifest says the same."""
    file = json.loads((out / "genai_config.json").read_text())["model"]["decoder"]["filename"]
    precision = json.loads((out / "gemma-onnx.json").read_text())["genai_precision"]
    check((out / file).is_file(), f"{file} is not there")
    check(file == f"onnx/{PRECISIONS[precision]}.onnx", f"genai_config.json names {file}, the manifest {precision}")
    return precision


def choice(environment):
    """q4, int8, q8, fp32, fp16, q4f16, of what is in the folder after the build, or what the user names."""
    source, out = TINY / "gemma3-types-bf16", environment.scratch / "out"
    for built in ("q4f16", "fp16", "fp32", "q8", "int8", "q4"):  # each one is preferred to those before it
        plan = environment.program.run("build", source, "-o", out, "-p", built, "--dry-run", "--json")
        environment.program.build(source, out, precisions=(built,))
        check(named_model(out) == built, f"{built} was built last, {named_model(out)} is named")
        check(json.loads(plan.out)["genai_model"] == f"onnx/{PRECISIONS[built]}.onnx", plan.out[:200])
    environment.program.build(source, out, "--force", precisions=("fp32",))
    check(named_model(out) == "q4", "a less preferred one is named")
    environment.program.build(source, out, "--force", "--genai-precision", "fp16", precisions=("fp32",))
    check(named_model(out) == "fp16", "--genai-precision counts for nothing")
    for gone in (out / "onnx").glob("model_q4.*"):
        gone.unlink()
    environment.program.build(source, out, "--force", precisions=("fp32",))
    check(named_model(out) == "int8", "a file that is gone is named")
    before = (out / "genai_config.json").read_bytes()
    result = environment.program.run("convert", source, "-o", out, "--seq_length", 4, "--max_length", 16, "-q")
    check(result.status == 0, str(result))
    check((out / "genai_config.json").read_bytes() == before and named_model(out) == "int8", "a static pair beside it changed what GenAI runs")
    environment.program.build(TINY / "gemma2-capped.gguf", out, "--force", precisions=("fp16",))
    check(named_model(out) == "fp16", "another model's file is named")


def refusals(environment):
    """A model that is not there; an encoder, which GenAI does not run."""
    source, out = TINY / "gemma-mqa", environment.scratch / "out"
    message = environment.program.refuse(2, "build", source, "-o", out, "-p", "fp32", "--genai-precision", "q4", "-q")
    check("q4" in message and "-p" in message and not (out / "onnx").exists(), message)
    encoder = environment.scratch / "encoder"
    message = environment.program.refuse(2, "build", TINY / "embeddinggemma-published", "-o", encoder, "-p", "q4", "--genai-precision", "q4", "-q")
    check("GenAI runs decoders" in message, message)
    environment.program.build(TINY / "embeddinggemma-published", encoder, precisions=("q4",))
    check(not (encoder / "genai_config.json").exists() and "genai" not in (encoder / "gemma-onnx.json").read_text(), "an encoder has a genai_config.json")


def settings(environment):
    """Stop ids of both files, those beyond the vocabulary left out; the model's own numbers for sampling; nothing is sampled unasked."""
    model = environment.scratch / "model"
    shutil.copytree(TINY / "gemma3-pattern", model)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, vocabulary, 1, 5, -1, "6"], "do_sample": True, "top_k": 64, "top_p": 0.95, "temperature": "hot"}))
    out = environment.program.build(model, environment.scratch / "out", precisions=("fp32",))
    config = json.loads((out / "genai_config.json").read_text())
    check(config["model"]["eos_token_id"] == [5, 1, 106], f"stop ids {config['model']['eos_token_id']}")
    search = {k: v for k, v in config["search"].items() if k not in ("max_length", "past_present_share_buffer")}
    check(search == {"do_sample": False, "top_k": 64, "top_p": 0.95}, f"{search}")
    Folder(out).greedy([2, 7, 9], 4)
    (model / "generation_config.json").write_text("[1, 2")
    message = environment.program.refuse(4, "build", model, "-o", environment.scratch / "broken", "-p", "fp32", "-q")
    check("generation_config.json" in message, message)


def as_it_stands(environment):
    """Five lines of the README on a folder made from a GGUF: text to text, with GenAI's own reading of our tokenizer."""
    import onnxruntime_genai as og
    from tokenizers import Tokenizer
    out = environment.program.build(TINY / "gemma3-scaled.gguf", environment.scratch / "out", precisions=("q4",))
    model = og.Model(str(out))
    tokenizer, ours = og.Tokenizer(model), Tokenizer.from_file(str(out / "tokenizer.json"))
    tokenizer.update_options(add_special_tokens=True)
    for text in ("the and then\u00e9\n\n\U0001f600", "  two  spaces", "", "<start_of_turn>user\nthe<end_of_turn>\n"):
        ids = list(map(int, tokenizer.encode(text)))
        check(ids == ours.encode(text).ids, f"{text!r}: {ids}, tokenizer.json says {ours.encode(text).ids}")
        check(text == "" or tokenizer.decode(np.array(ids, np.int32)) == ours.decode(ids), f"{text!r} comes back as {tokenizer.decode(np.array(ids, np.int32))!r}")
    prompt = tokenizer.apply_chat_template(messages=json.dumps([{"role": "user", "content": "the"}]), add_generation_prompt=False)
    check(prompt == "<bos><start_of_turn>user\nthe<end_of_turn>\n", repr(prompt))
    parameters = og.GeneratorParams(model)
    parameters.set_search_options(max_length=24)
    generator = og.Generator(model, parameters)
    generator.append_tokens(tokenizer.encode("the and"))
    while not generator.is_done():
        generator.generate_next_token()
    found, ids = list(map(int, generator.get_sequence(0))), ours.encode("the and").ids
    folder = Folder(out)
    check(found == ids + folder.until_stop(folder.plain.greedy(np.array([ids]), 24 - len(ids))[0]), f"{found}")


def real_text(environment, precision):
    """20 prompts, 48 ids: those of ONNX Runtime on the same file, and with whole weights those of Transformers."""
    from group_real import golden_of, source_at
    problems, expected = Problems(), golden_of("gemma-3-270m-f32")
    out = environment.program.build(source_at("gemma-3-270m-f32"), environment.scratch / "out", precisions=(precision,))
    folder, count = Folder(out, threads=2), 48
    for n in range(20):
        ids, theirs = expected[f"prompt.{n:02}.ids"], expected[f"prompt.{n:02}.greedy_ids"][:count]
        found, plain = folder.greedy(ids, count), folder.until_stop(folder.plain.greedy(ids[None], count)[0])
        problems.check(found == plain, f"prompt {n} of {len(ids)} ids: {found}, ONNX Runtime gives {plain}")
        if precision in ("fp32", "fp16"):
            problems.check(found == folder.until_stop(theirs), f"prompt {n} of {len(ids)} ids: {found}, Transformers gives {theirs.tolist()}")
    problems.report()


def real_tokenizer(environment, source):
    """Ids of texts of many kinds, from the published tokenizer.json and from the one made of a GGUF."""
    import onnxruntime_genai as og
    from tokenizers import Tokenizer
    from group_real import source_at
    out = environment.program.build(source_at(source), environment.scratch / "out", precisions=("q4",))
    tokenizer, ours = og.Tokenizer(og.Model(str(out))), Tokenizer.from_file(str(out / "tokenizer.json"))
    tokenizer.update_options(add_special_tokens=True)
    long = (ROOT / "tests" / "data" / "eval.txt").read_text()
    texts = ["", " ", "  two  spaces\tand\ta tab\r\n\r\n\n\n\n", "def f(x):\n    return x ** 2  # comment\n", "<start_of_turn>user\nhi<end_of_turn>\n<bos><eos><pad>",
             "\u00e9\u4e2d\u6587\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u0939\u093f\u0928\u094d\u0926\u0940\U0001f468\u200d\U0001f469\u200d\U0001f467", "12345678901234567890", "".join(map(chr, range(32, 1500))),
             *(long[at:at + 1000] for at in range(0, len(long), 1000))]
    for text in texts:
        ids, wanted = list(map(int, tokenizer.encode(text))), ours.encode(text).ids
        check(ids == wanted, f"{text[:60]!r}: {ids[:40]}, tokenizer.json says {wanted[:40]}")


def tests(environment):
    yield "choice", choice
    yield "refusals", refusals
    yield "settings", settings
    yield "shared_cache", shared_cache
    yield "as_it_stands", as_it_stands
    yield "unequal_rows", unequal_rows
    for name in checkpoint_names() if environment.full else QUICK:
        yield f"same_text[{name}]", lambda e, n=name: same_text(e, n, "ort")
        yield f"ways[{name}]", lambda e, n=name: ways(e, n, "fp32")
    yield "ways[gemma2-capped.gguf, fp16]", lambda e: ways(e, "gemma2-capped.gguf", "fp16")  # its caches grow
    if not environment.full:
        return
    for name in CORE:
        yield f"ways[{name}, q4]", lambda e, n=name: ways(e, n, "q4")
        for profile in ("standard", "primitive"):
            yield f"same_text[{name}, {profile}]", lambda e, n=name, p=profile: same_text(e, n, p)
    for precision in PRECISIONS:
        yield f"real_text[{precision}]", lambda e, p=precision: real_text(e, p)
    for source in ("gemma-3-270m-f32", "gemma-3-270m-q4_k_m.gguf"):
        yield f"real_tokenizer[{source}]", lambda e, s=source: real_tokenizer(e, s)

"""The files beside the models: config and tokenizer carried over, loadable, and the graphs' contract."""
import json
import re
import shutil

import onnx
from safetensors.numpy import load_file, save_file

from harness import FORMAT, PRECISIONS, REAL, TINY, Problems, Skip, check, checkpoint_names, pieces_of

HOST = "transformers.js_config"


def source_config(name):
    text = json.loads((TINY / name / "config.json").read_text())
    return text.get("text_config", text), text


def config(environment, name):
    """Loads in AutoConfig and says what the source said."""
    from transformers import AutoConfig
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", precisions=("fp32", "q8"))
    written = json.loads((out / "config.json").read_text())
    files = written.get(HOST, {}).get("use_external_data_format")
    owners = [f"{piece}.onnx" for file in ("model", "model_quantized") for piece in pieces_of(name, file)]
    problems.check(files == dict.fromkeys(owners, 1), f"{HOST}: {written.get(HOST)}")
    defaults = {"dtype": "q8", "device_config": {"webgpu": {"dtype": "fp32"}}} if not name.startswith("embeddinggemma") else {"dtype": "q8"}
    problems.check({k: v for k, v in written[HOST].items() if k != "use_external_data_format"} == defaults, f"{HOST}: {written[HOST]}")
    loaded = AutoConfig.from_pretrained(out).get_text_config()
    if not name.endswith(".gguf"):
        judged = AutoConfig.from_pretrained(TINY / name).get_text_config()
        ignored = {"transformers_version", "architectures", "dtype", "_name_or_path", HOST, "eos_token_id", "model_type"}
        for key, value in judged.to_dict().items():
            if key not in ignored and not key.startswith("_"):
                problems.check(loaded.to_dict().get(key) == value, f"{key} is {loaded.to_dict().get(key)!r}, was {value!r}")
        same = "generation_config.json"
        problems.check((out / same).read_bytes() == (TINY / name / same).read_bytes(), f"{same} was changed")
    graph = onnx.load(out / "onnx" / "model.onnx", load_external_data=False).graph
    caches = loaded.num_hidden_layers - getattr(loaded, "num_kv_shared_layers", 0)
    problems.check(caches * 2 + 3 == len(graph.input), f"{caches} layers with caches, {len(graph.input)} inputs")
    problems.report()


def dims(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def contract(environment, name):
    """Names, types and dimension names that hosts read literally."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out")
    text = json.loads((out / "config.json").read_text())
    text = text.get("text_config", text)
    for precision, file in PRECISIONS.items():
        path = out / "onnx" / f"{file}.onnx"
        model = onnx.load(path, load_external_data=False)
        half = precision in ("fp16", "q4f16")
        kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
        inputs, outputs = ({v.name: v for v in values} for values in (model.graph.input, model.graph.output))
        problems.check([v.name for v in model.graph.input][:3] == ["input_ids", "attention_mask", "position_ids"], f"{precision}: {list(inputs)[:4]}")
        problems.check(list(outputs)[0] == "logits", f"{precision}: the first output is {list(outputs)[0]}")
        for key, shape in (("input_ids", ["batch_size", "sequence_length"]), ("attention_mask", ["batch_size", "total_sequence_length"]), ("position_ids", ["batch_size", "sequence_length"])):
            problems.check(dims(inputs[key]) == shape and inputs[key].type.tensor_type.elem_type == onnx.TensorProto.INT64, f"{precision}: {key} {dims(inputs[key])}")
        problems.check(dims(outputs["logits"]) == ["batch_size", 1, text["vocab_size"]], f"{precision}: logits {dims(outputs['logits'])}")
        problems.check(outputs["logits"].type.tensor_type.elem_type == onnx.TensorProto.FLOAT, f"{precision}: logits are not fp32")
        for n in range(text["num_hidden_layers"]):
            for what in ("key", "value"):
                past, present = inputs[f"past_key_values.{n}.{what}"], outputs[f"present.{n}.{what}"]
                wanted = ["batch_size", text["num_key_value_heads"], "past_sequence_length", text["head_dim"]]
                problems.check(dims(past) == wanted and past.type.tensor_type.elem_type == kind, f"{precision}: {past.name} {dims(past)}, expected {wanted}")
                problems.check(dims(present)[:2] == wanted[:2] and dims(present)[3] == wanted[3] and present.type.tensor_type.elem_type == kind, f"{precision}: {present.name} {dims(present)}")
        problems.check(model.ir_version in (10, 11), f"{precision}: IR {model.ir_version}")
        domains = {i.domain: i.version for i in model.opset_import}
        problems.check(set(domains) <= {"", "com.microsoft"} and 21 <= domains[""] <= 23, f"{precision}: {domains}")
        ops = {n.op_type for n in model.graph.node}
        problems.check("GatherBlockQuantized" not in ops and "SimplifiedLayerNormalization" not in ops, f"{precision}: {sorted(ops)}")
        problems.check(path.stat().st_size < 4 << 20, f"{precision}: the graph alone has {path.stat().st_size} bytes")
    problems.report()


def added(environment):
    """The defaults of what is there, after a second build into the same folder; a source's own are not carried over."""
    folder, out = environment.scratch / "model", environment.scratch / "out"
    shutil.copytree(TINY / "gemma3-pattern", folder)
    given = json.loads((folder / "config.json").read_text()) | {HOST: {"dtype": "bnb4", "device_config": {"wasm": {"dtype": "q2"}}, "kept": 1}}
    (folder / "config.json").write_text(json.dumps(given))
    for precisions, expected in ((("fp16",), {"dtype": "fp16"}), (("q4",), {"dtype": "fp16", "device_config": {"cpu": {"dtype": "q4"}, "webgpu": {"dtype": "q4"}}})):
        environment.program.build(folder, out, precisions=precisions)
        written = json.loads((out / "config.json").read_text())[HOST]
        check({k: v for k, v in written.items() if k != "use_external_data_format"} == {"kept": 1} | expected, f"{precisions}: {written}")


def layer_count(environment):
    """Left to Transformers' default in the source, it is said in the output."""
    source, folder = TINY / "gemma3-pattern", environment.scratch / "model"
    folder.mkdir()
    text = json.loads((source / "config.json").read_text())
    del text["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(text | {"layer_types": None}))
    tensors, first = load_file(source / "model.safetensors"), "model.layers.0."
    tensors = {n: t for n, t in tensors.items() if ".layers." not in n or n.startswith(first)}
    tensors |= {n.replace(first, f"model.layers.{i}."): t for n, t in tensors.items() if n.startswith(first) for i in range(1, 26)}
    save_file(tensors, folder / "model.safetensors")
    out = environment.program.build(folder, environment.scratch / "out", precisions=("q4",))
    check(json.loads((out / "config.json").read_text())["num_hidden_layers"] == 26, "num_hidden_layers is not said")


def widened(environment, name):
    """Graphs in fp32 compute nothing in fp16, which some GPUs lack: what is stored in fp16 goes through a Cast that is folded."""
    problems = Problems()
    out = environment.program.build(TINY / name, environment.scratch / "out", precisions=("fp32", "q4", "q8"))
    for path in sorted((out / "onnx").glob("*.onnx")):
        graph = onnx.load(path, load_external_data=False).graph
        halves = {i.name for i in graph.initializer if i.data_type == onnx.TensorProto.FLOAT16}
        readers = [f"{n.op_type} {n.name}" for n in graph.node if n.op_type != "Cast" and halves & set(n.input)]
        problems.check(not readers, f"{path.name}: fp16 is read by {readers[:3]}")
        to = {a.i for n in graph.node if n.op_type == "Cast" for a in n.attribute if a.name == "to"}
        problems.check(onnx.TensorProto.FLOAT16 not in to, f"{path.name}: something is cast to fp16")
        problems.check(bool(halves) == ("_q4" in path.name), f"{path.name}: {len(halves)} initializers in fp16")
    problems.report()


def carried(environment):
    """Tokenizer files byte for byte, whatever is in them; a chat template of its own file is put where Transformers.js looks for it."""
    folder = environment.scratch / "model"
    shutil.copytree(TINY / "gemma3-pattern", folder)
    contents = {"tokenizer.json": b'{"version": "1.0" }\r\n', "tokenizer_config.json": b'{ "a":1.0e3 }', "chat_template.jinja": "{{ '\u00e9' }}\n".encode(), "special_tokens_map.json": b"{}", "tokenizer.model": bytes(range(256))}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    out = environment.program.build(folder, environment.scratch / "out", precisions=("q4",))
    template = b'{\n  "chat_template": "{{ \'\xc3\xa9\' }}\\n",'
    for name, data in contents.items():
        expected = template + data[1:] if name == "tokenizer_config.json" else data
        check((out / name).is_file() and (out / name).read_bytes() == expected, f"{name} was not carried over byte for byte: {(out / name).read_bytes()}")
    for given in (b'{"chat_template":"own"}', b'{"chat_template":[]}', b"[]", b"{,"):
        (folder / "tokenizer_config.json").write_bytes(given)
        environment.program.build(folder, out, "--force", precisions=("q4",))
        check((out / "tokenizer_config.json").read_bytes() == given, f"{given} became {(out / 'tokenizer_config.json').read_bytes()}")
    (folder / "tokenizer_config.json").write_bytes(b" { }\n")
    environment.program.build(folder, out, "--force", precisions=("q4",))
    check(json.loads((out / "tokenizer_config.json").read_text()) == {"chat_template": "{{ '\u00e9' }}\n"}, "an empty object")
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    check("chat_template.jinja is not valid UTF-8" in environment.program.refuse(FORMAT, "build", folder, "-o", out, "--force", "-q"), "a broken template")


def gguf_companions(environment):
    """From a GGUF the tokenizer is made; Transformers loads it, and it gives back what it was fed."""
    from transformers import AutoTokenizer
    out = environment.program.build(TINY / "gemma3-scaled.gguf", environment.scratch / "out", precisions=("q4",))
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        check((out / name).is_file(), f"{name} is missing")
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = tokenizer("the and then\u00e9\n\n\U0001f600").input_ids
    check(ids[0] == 2 and max(ids) < 265, f"ids {ids}")
    check(tokenizer.decode(ids, skip_special_tokens=True) == "the and then\u00e9\n\n\U0001f600", repr(tokenizer.decode(ids)))
    text = tokenizer.apply_chat_template([{"role": "user", "content": "the"}], tokenize=False)
    check(text == "<bos><start_of_turn>user\nthe<end_of_turn>\n", repr(text))


def real_gguf(environment):
    """The real vocabulary: the same ids as the published tokenizer.json on text of many kinds. (<image_soft_token> has an id
    beyond the model's vocabulary, and no GGUF holds it.)"""
    source, published = REAL / "gemma-3-270m-q4_k_m.gguf", REAL / "gemma-3-tokenizer"
    if not source.is_file() or not published.is_dir():
        raise Skip(f"{source} or {published} is not there")
    from transformers import AutoConfig, AutoTokenizer
    out = environment.program.build(source, environment.scratch / "out", precisions=("q4",))
    AutoConfig.from_pretrained(out)
    ours, theirs = AutoTokenizer.from_pretrained(out), AutoTokenizer.from_pretrained(published)
    texts = ["", " ", "  two  spaces\tand\ta tab\r\n\r\n\n\n\n", "def f(x):\n    return x ** 2  # comment\n", "<start_of_turn>user\nhi<end_of_turn>\n<bos><eos><pad>", "\u00e9\u4e2d\u6587\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u0939\u093f\u0928\u094d\u0926\u0940\U0001f468\u200d\U0001f469\u200d\U0001f467", "\x00\x01\x7f\u200b\ufeff\u2028", "12345678901234567890", "<unused99>[multimodal]",
             "".join(map(chr, range(32, 1500))), (TINY.parent.parent / "data" / "eval.txt").read_text()[:200000]]
    for text in texts:
        check(ours(text).input_ids == theirs(text).input_ids, f"other ids for {text[:60]!r}")


def tests(environment):
    for name in checkpoint_names():
        yield f"config[{name}]", lambda e, n=name: config(e, n)
    for name in ("gemma-gqa-sharded", "gemma3-types-bf16", "gemma3-multimodal", "gemma3-kinds.gguf"):
        yield f"contract[{name}]", lambda e, n=name: contract(e, n)
    for name in checkpoint_names():
        yield f"widened[{name}]", lambda e, n=name: widened(e, n)
    yield "added", added
    yield "layer_count", layer_count
    yield "carried", carried
    yield "gguf_companions", gguf_companions
    if environment.full:
        yield "real_gguf", real_gguf

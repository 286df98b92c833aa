#!/usr/bin/env python3
"""Small tokenizers with what Hugging Face's libraries make of them, for the unit tests.

  make_tokenizer_golden.py --template FOLDER [--check] tests/golden/tokenizer

Writes small.json (a Gemma-like tokenizer.json), small_source.json (the same vocabulary as a GGUF has it), quirks.json and
quirks_apart.json (rules of the format that Gemma's files do not need), cases.json (texts, ids, chats). FOLDER holds Gemma 3's
published tokenizer_config.json, whose chat template is the judge of chats. --check compares instead of writing.
"""
import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from transformers.tokenization_utils_base import generate_merges

ROOT = Path(__file__).resolve().parent.parent
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
SPECIAL = {"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<|im_end|>",
           "ith."}
STEPS = {
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                 {"type": "ByteFallback"}, {"type": "Fuse"}]},
}
MODEL = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
         "fuse_unk": True, "byte_fallback": True, "ignore_merges": False}


def learn(text, count):
    """Plain byte-pair learning over words that start with ▁; ties by text, so that it is the same everywhere."""
    words = Counter(tuple(word) for word in ("▁" + text.replace("\n", " ")).replace(" ", " ▁").split(" ") if word)
    pieces = []
    for _ in range(count):
        pairs = Counter()
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += times
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        joined = "".join(best)
        if joined not in pieces:
            pieces.append(joined)
        merged = Counter()
        for word, times in words.items():
            out, at = [], 0
            while at < len(word):
                both = word[at:at + 2] == best
                out.append(joined if both else word[at])
                at += 2 if both else 1
            merged[tuple(out)] += times
        words = merged
    return pieces


def small_source():
    text = (ROOT / "tests/data/eval.txt").read_text()[:8000] + " naïve café Zürich привет мир 你好 世界 " * 3
    rows = [("<pad>", CONTROL), ("<eos>", CONTROL), ("<bos>", CONTROL), ("<unk>", UNKNOWN), ("<mask>", CONTROL), ("<unused0>", CONTROL),
            ("<unused1>", CONTROL), ("<start_of_turn>", CONTROL), ("<end_of_turn>", CONTROL), ("<|im_end|>", CONTROL), ("ith.", CONTROL)]
    rows += [("\n" * n, USER) for n in range(1, 5)] + [(" " * n, USER) for n in range(2, 6)]
    rows += [(tag, USER) for tag in ("<b>", "</b>", "<h1>", "<start_of_image>", "<end_of_image>")]
    rows += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    learnt = learn(text, 260)
    known = {piece for piece, _ in rows}
    rows += [(piece, NORMAL) for piece in [*learnt, *sorted({c for c in text if c != " "} | {"▁"})] if piece not in known]
    rows.append(("[PAD600]", UNUSED))
    special = (CONTROL, UNKNOWN, USER, UNUSED)
    scores = []
    for n, (_, kind) in enumerate(rows):
        learnt_score = -float(n // 2)  # every score twice
        scores.append(-1000.0 if kind in special else 0.0 if kind == BYTE else learnt_score)
    return {"tokens": [t for t, _ in rows], "scores": scores, "types": [k for _, k in rows], "bos": 2, "eos": 1, "unknown": 3,
            "padding": 0}


def added(token_id, content, special, **more):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special} | more


def template(before, after=()):
    def side(names, type_id):
        return [{"SpecialToken": {"id": name, "type_id": type_id}} for name, _ in names]

    def text(name, type_id):
        return [*side(before, type_id), {"Sequence": {"id": name, "type_id": type_id}}, *side(after, type_id)]

    return {"type": "TemplateProcessing", "single": text("A", 0), "pair": text("A", 0) + text("B", 1),
            "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in [*before, *after]}}


def small(source):
    """As Transformers' converter of Gemma's SentencePiece models writes it."""
    tokens = [t.replace(" ", "▁") if kind == USER else t for t, kind in zip(source["tokens"], source["types"])]
    tokens = ["\t" if t == "<0x09>" else t for t in tokens]  # the vocabulary has no tab
    vocab = {t: n for n, t in enumerate(tokens)}
    scores = {t: score if kind == NORMAL else 0.0 for t, score, kind in zip(tokens, source["scores"], source["types"])}
    rows = [added(n, t, t in SPECIAL) for n, (t, kind) in enumerate(zip(tokens, source["types"])) if kind in (CONTROL, UNKNOWN, USER)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": rows, "normalizer": STEPS["normalizer"],
            "pre_tokenizer": STEPS["pre_tokenizer"], "post_processor": template([("<bos>", 2)]), "decoder": STEPS["decoder"],
            "model": MODEL | {"vocab": vocab, "merges": [list(m) for m in generate_merges(vocab, scores)]}}


def quirks(fuse):
    """Few byte tokens, unknown characters, added tokens of every kind, merges in the old spelling, ranks that compete."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", *(f"<0x{b:02X}>" for b in (*range(32), 0xC3, 0xA9, 0xE2)), "▁",
              *"abcdehlmorsuNYwkt", "\n", "ab", "bc", "abc", "▁a", "▁ab", "aa", "aaa", "aaaa", "he", "ll", "hell", "hello", "lo", "or",
              "us", "er"]
    vocab = {piece: n for n, piece in enumerate(pieces)}
    merges = ["a b", "b c", "ab c", "a bc", "▁ a", "▁ ab", "▁a b", "a a", "aaa a", "aa a", "a aa", "aa aa", "l l", "h e", "he ll", "l o",
              "hell o",
              "o r", "u s", "e r"]
    n = len(pieces)
    rows = [added(i, pieces[i], True) for i in range(6)]
    rows += [added(n, "New York", False, normalized=True), added(n + 1, "<l>", False, lstrip=True),
             added(n + 2, "<r>", True, rstrip=True), added(n + 3, "<lr>", False, lstrip=True, rstrip=True), added(n + 4, "§", False),
             added(n + 5, "<nl>", False, lstrip=True, normalized=True), added(n + 6, "Old", False), added(n + 7, "\nx", False),
             added(n + 8, "<l><l>", False), added(n + 9, "<Old>", True), added(n + 10, "¶", True)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": rows,
            "normalizer": {"type": "Sequence", "normalizers": [STEPS["normalizer"]]}, "pre_tokenizer": None,
            "post_processor": template([("<bos>", 2), ("<|turn>", 4)], [("<eos>", 1)]),
            "decoder": STEPS["decoder"],
            "model": MODEL | {"fuse_unk": fuse, "vocab": vocab, "merges": merges}}


# ---- what the judges say

TEXTS = [
    "", "a", "The quick brown fox.", "  two  three   four    five     six      ", " " * 23, "\n" * 11, "a\n\n\nb\n\n\n\n\nc",
    "\t\tx\t \ty", "x\r\ny\rz",
    "naïve café, Zürich, привет мир 你好，世界!", "😀👩🏽‍💻🇩🇪 \u00a0\u3000\u2003|\u200b", "▁▁▁ ▁ ▁a", "\0a\0\0b\x01\x1f\x7f",
    "<b>bold</b> <h1><h2></h1>",
    "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<bos><bos><eos>x<unk><pad>", "<unused0><unused1><unused2><unused",
    "<0x41><0x0A>",
    "<mask> [PAD600] <|im_end|>", "the theory thethethe of offof the", "1234567 3.14159", "int main(void)\n{\n    return 0;\n}\n",
]
QUIRK_TEXTS = [
    "", "abc", "aabcabc abab", "hello hello hellohello", "aaaaaaa", "aaaaaaaaaaaa aaaaaa", " abc ab a", "xyz", "axyzb x y", "éaéé", "€",
    "x€y", "é€é", "€é€",
    "New York", "New Yorks NewYork New  York", "in New York.", "Old <Old> <Old>Old", "a¶b ¶¶", "a <l> b", "a  \n<l>  b",
    "a <r> b <r>\n\u3000b", "a <lr> b\t<lr>\tb", "<l><l><l>", "<l> <l>  <l>",
    "<r> <l>", "<r> <r> a", "<r> \nx", "a§b §", "a <nl> b", "\u00a0<nl>\u00a0", "\u00a0<l>\u00a0<r>\u00a0<lr>\u00a0", "a\x1c<l>",
    "<bos>a<eos>", "<unk>", "\x01\x02a\x1f",
    "<lr>", " <lr> ", "  ",
]
BYTES = ["ff", "80", "c3", "c328", "e282", "e28261", "f09f98", "f09f9861", "eda080", "f5808080", "c0af", "61ff62fe", "e282ac80",
         "f4908080", "00ff00"]
CHATS = [
    [["user", "Hi"]],
    [["user", "  Hi \n"], ["assistant", "\tYes?\u00a0"], ["user", "\x1f ok\u3000 "]],
    [["system", " Be brief.\n"], ["user", " Hi"]],
    [["system", "\n\nBe brief."], ["user", "Hi"], ["assistant", "Yes"], ["user", "你好 <b>x</b>"]],
    [["user", ""]],
    [["system", ""], ["user", "a  b"]],
]


def random_texts(seed, alphabet, count):
    rng = random.Random(seed)
    return ["".join(rng.choice(alphabet) * rng.choice((1, 1, 1, 2, 5)) for _ in range(rng.randrange(1, 14))) for _ in range(count)]


def encode_cases(judge, texts):
    rows = []
    for text in texts:
        row = {"text": text, "ids": judge.encode(text, add_special_tokens=False).ids, "template": judge.encode(text).ids}
        judge.encode_special_tokens = True
        row["as_text"] = judge.encode(text, add_special_tokens=False).ids
        judge.encode_special_tokens = False
        rows.append(row)
    return rows


def decode_cases(judge, rows, size, seed):
    rng = random.Random(seed)
    lists = [row["template"] for row in rows[::3]] + [[rng.randrange(size + 3) for _ in range(rng.randrange(1, 9))] for _ in range(40)]
    return [{"ids": ids, "text": judge.decode(ids, skip_special_tokens=False), "without_special": judge.decode(ids)} for ids in lists]


def byte_cases(judge):
    return [{"hex": h, "ids": judge.encode(bytes.fromhex(h).decode(errors="replace"), add_special_tokens=False).ids} for h in BYTES]


def chat_cases(judge, render):
    rows = []
    for messages in CHATS:
        for reply in (False, True):
            prompt = render([{"role": role, "content": content} for role, content in messages], reply)
            rows.append({"messages": messages, "reply": reply, "ids": judge.encode(prompt, add_special_tokens=False).ids})
    return rows


def published_template(folder):
    source = json.loads((folder / "tokenizer_config.json").read_text())["chat_template"]
    compiled = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(source)  # as Transformers renders
    return lambda messages, reply: compiled.render(messages=messages, add_generation_prompt=reply, bos_token="<bos>")


def gemma4_turns(messages, reply):
    names = {"assistant": "model"}
    turns = "".join(f"<|turn>{names.get(m['role'], m['role'])}\n{m['content'].strip()}<turn|>\n" for m in messages)
    return "<bos>" + turns + ("<|turn>model\n" if reply else "")


def make(folder):
    source = small_source()
    files = {"small_source.json": source, "small.json": small(source), "quirks.json": quirks(True), "quirks_apart.json": quirks(False)}
    alphabet = ["th", "e", "the ", " ", "\n", "é", "你", "世界", "😀", "<b>", "<eos>", "<unused0>", "\t", "▁", "1", ".", "\0", "мир"]
    quirk_alphabet = ["a", "b", "c", " ", "é", "€", "x", "hello", "<l>", "<r>", "<lr>", "<nl>", "Old", "New York", "§", "¶", "<Old>",
                      "\n", "<bos>"]
    cases = {}
    for name in ("small", "quirks", "quirks_apart"):
        judge = Tokenizer.from_str(json.dumps(files[f"{name}.json"]))
        own, letters = (TEXTS, alphabet) if name == "small" else (QUIRK_TEXTS, quirk_alphabet)
        rows = encode_cases(judge, own + random_texts(1, letters, 60))
        cases[name] = {"encode": rows, "bytes": byte_cases(judge), "decode": decode_cases(judge, rows, judge.get_vocab_size(), 2),
                       "chat": chat_cases(judge, published_template(folder) if name == "small" else gemma4_turns)}
    return files | {"cases.json": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    different = []
    for name, content in make(args.template).items():
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
        if not args.check:
            (args.out / name).write_text(text)
        elif (args.out / name).read_text() != text:
            different.append(name)
    if different:
        sys.exit(f"make_tokenizer_golden.py: other than committed: {' '.join(different)}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Walks a set of instances through the masks of llguidance and XGrammar, as `penstock bench grammar` does with its own.

    penstock bench grammar SET.tar.xz --model MODEL --export walk.jsonl
    grammar_peers.py walk.jsonl [--peers llguidance,xgrammar] [--json]

The model must have Qwen's tokenizer. The export holds its vocabulary, and for each file the schema and the tokens of its instances. Each token is looked for in the mask,
then it is consumed, and the next mask is computed; the latter two are what is timed. A schema is served right if it compiles, every valid
instance passes and may end, and every invalid one is stopped. Times are CPU time of the one thread that works, in microseconds. Every file is
done by a process of its own, which ends after --timeout seconds of CPU time or at --memory gigabytes; such a file counts as refused.
"""
import argparse
import base64
import json
import math
import os
import resource
import sys
import tempfile
import time
import unittest.mock


class LLGuidance:
    name = "llguidance"

    def __init__(self, vocab):
        import llguidance
        import numpy
        from llguidance.numpy import fill_next_token_bitmask

        self.lib, self.fill, self.ends = llguidance, fill_next_token_bitmask, vocab.ends
        slices = llguidance.LLTokenizer.json_slices()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(vocab.tokenizer(), f)
            f.flush()
            self.tokenizer = llguidance.LLTokenizer(f.name, n_vocab=len(vocab.pieces), eos_token=vocab.ends, slices=slices)
        self.mask = numpy.zeros((1, (len(vocab.pieces) + 31) // 32), dtype=numpy.int32)

    def compile(self, schema):
        self.grammar = self.lib.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        self.start()

    def start(self):
        self.matcher = self.lib.LLMatcher(self.tokenizer, self.grammar, log_level=0)
        self.check()

    def check(self):
        if self.matcher.is_error():
            raise ValueError(self.matcher.get_error())

    def compute(self):
        self.fill(self.matcher, self.mask)

    def consume(self, token):
        return self.matcher.consume_token(token)


class XGrammar:
    name = "xgrammar"

    def __init__(self, vocab):
        import numpy
        import tvm_ffi

        # The masks need neither PyTorch nor transformers, which are large: stand-ins are imported in their places.
        assert tvm_ffi  # it must not see the stand-ins
        missing = [m for m in ["torch", "torch.utils", "torch.utils.cpp_extension", "transformers", "triton", "triton.language"] if m not in sys.modules]
        sys.modules.update({m: unittest.mock.MagicMock() for m in missing})
        import xgrammar

        for m in missing:
            del sys.modules[m]

        self.lib = xgrammar
        info = xgrammar.TokenizerInfo(vocab.pieces, vocab_type=xgrammar.VocabType.RAW, vocab_size=len(vocab.pieces), stop_token_ids=vocab.ends)
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.mask = numpy.zeros((1, (len(vocab.pieces) + 31) // 32), dtype=numpy.int32)

    def compile(self, schema):
        self.grammar = self.compiler.compile_json_schema(json.dumps(schema), strict_mode=False)
        self.start()

    def start(self):
        self.matcher = self.lib.GrammarMatcher(self.grammar)

    def check(self):
        pass

    def compute(self):
        if not self.matcher.fill_next_token_bitmask(self.mask):
            self.mask.fill(-1)  # it is left alone when everything is allowed

    def consume(self, token):
        return self.matcher.accept_token(token)


PEERS = {p.name: p for p in [LLGuidance, XGrammar]}


class Vocabulary:
    def __init__(self, line):
        self.pieces = [base64.b64decode(p or "") for p in line["pieces"]]
        self.ends = line["ends"]
        self.special = line["special"]
        for t in self.special:  # a piece of their own, which no text has
            self.pieces[t] = b"\xff<%d>" % t
        self.spelt, self.merges = line["spelt"], line["merges"]

    def tokenizer(self):
        """The tokenizer of a model of Qwen's in the form of the Python package tokenizers: llguidance tokenizes what is forced."""
        words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        return {
            "version": "1.0", "truncation": None, "padding": None, "normalizer": {"type": "NFC"}, "post_processor": None, "decoder": byte_level,
            "added_tokens": [{"id": t, "content": self.spelt[t], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                              "special": True} for t in self.special],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False}, byte_level]},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False, "merges": self.merges,
                      "vocab": {s: t for t, s in enumerate(self.spelt)}},
        }


def allowed(peer, token):
    return int(peer.mask[0, token >> 5]) >> (token & 31) & 1


def walk(peer, ends, tokens, masks):
    """Whether the instance passes and may end."""
    peer.start()
    peer.compute()
    for t in tokens:
        if not allowed(peer, t):
            return False
        start = time.thread_time_ns()
        ok = peer.consume(t)
        peer.compute()
        masks.append((time.thread_time_ns() - start) / 1000)
        peer.check()
        if not ok:
            return False
    return any(allowed(peer, t) for t in ends)


def warm(peer):
    """Touches the peer's memory, which a new process would otherwise map while it is timed."""
    peer.compile({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "number"}}}})
    peer.compute()


def measure(peer, ends, line):
    o = {"file": line["file"], "set": line["set"], "peer": peer.name, "compiled": False, "right": False, "tests": len(line["tests"]),
         "valid_rejected": 0, "invalid_accepted": 0, "masks": []}
    start = time.thread_time_ns()
    try:
        peer.compile(line["schema"])
        peer.compute()
        peer.check()
    except Exception as e:  # each library has its own
        o["refused"] = str(e).split("\n")[0][:200]
        return o
    o["compiled"] = True
    o["first_mask_us"] = (time.thread_time_ns() - start) / 1000
    for test in line["tests"]:
        try:
            passes = walk(peer, ends, test["tokens"], o["masks"])
        except ValueError as e:
            o.setdefault("problem", str(e).split("\n")[0][:200])
            passes = False
        if test["valid"] and not passes:
            o["valid_rejected"] += 1
        if not test["valid"] and passes:
            o["invalid_accepted"] += 1
    o["right"] = o["valid_rejected"] + o["invalid_accepted"] == 0
    return o


def apart(peer, ends, line, args):
    """measure in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        resource.setrlimit(resource.RLIMIT_CPU, (args.timeout, args.timeout))
        resource.setrlimit(resource.RLIMIT_AS, (args.memory << 30, args.memory << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        warm(peer)
        with os.fdopen(write, "w") as f:
            json.dump(measure(peer, ends, line), f)
            f.flush()
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as f:
        text = f.read()
    os.waitpid(child, 0)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"file": line["file"], "set": line["set"], "peer": peer.name, "compiled": False, "right": False, "tests": len(line["tests"]),
                "valid_rejected": 0, "invalid_accepted": 0, "masks": [], "refused": f"more than {args.timeout} s or {args.memory} GB"}


def quantile(values, q):
    if not values:
        return math.nan
    v = sorted(values)
    at = q * (len(v) - 1)
    i = int(at)
    return v[i] if i + 1 >= len(v) else v[i] + (at - i) * (v[i + 1] - v[i])


def table(outcomes):
    sets = {}
    for o in outcomes:
        for name in (o["set"], "all"):
            sets.setdefault(name, []).append(o)
    rows = [["set", "schemas", "compiled", "right", "%", "valid rejected", "invalid accepted", "mask µs mean", "p50", "p99", "max", "first µs p50", "p99"]]
    for name in sorted(sets, key=lambda n: (n == "all", n)):
        of = sets[name]
        masks = [m for o in of for m in o["masks"]]
        first = [o["first_mask_us"] for o in of if o["compiled"]]
        right = sum(o["right"] for o in of)
        numbers = [sum(masks) / len(masks) if masks else math.nan] + [quantile(masks, q) for q in (0.5, 0.99, 1)] + [quantile(first, q) for q in (0.5, 0.99)]
        rows.append([name, len(of), sum(o["compiled"] for o in of), right, f"{100 * right / len(of):.1f}", sum(o["valid_rejected"] for o in of),
                     sum(o["invalid_accepted"] for o in of)] + [f"{n:.1f}" for n in numbers])
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print("  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("walk")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--json", action="store_true", help="print an object for each file instead of the tables")
    parser.add_argument("--timeout", type=int, default=60)
    parser.add_argument("--memory", type=int, default=12)
    args = parser.parse_args()
    for name in args.peers.split(","):
        with open(args.walk) as f:
            vocab = Vocabulary(json.loads(f.readline()))
            peer = PEERS[name](vocab)
            outcomes = [apart(peer, vocab.ends, json.loads(line), args) for line in f]
        if args.json:
            for o in outcomes:
                o["mask_mean_us"] = sum(o["masks"]) / len(o["masks"]) if o["masks"] else None
                del o["masks"]
                print(json.dumps(o))
            continue
        print(f"\n{name}")
        table(outcomes)


if __name__ == "__main__":
    main()

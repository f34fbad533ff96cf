#!/usr/bin/env python3
"""Makes GGUF files of a real model's shape with random weights: good for measuring speed, useless for anything else.

    shapes.py --vocabulary VOCAB.gguf --quantize LLAMA_QUANTIZE --out DIR [--shape qwen3-0.6b] [--types Q8_0 Q4_0 Q4_K_M]

The tokenizer comes from VOCAB.gguf (llama.cpp's source ships models/ggml-vocab-qwen2.gguf), so prompts tokenize as they do
for the real model. The weights are the same at every run (seeded). The F16 file is removed when the quantised ones are there.
"""
import argparse
import pathlib
import subprocess
from dataclasses import dataclass

import numpy as np
from gguf import GGUFReader, GGUFWriter

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
UNUSED = 5  # token type of the padding at the end of the vocabulary


@dataclass(frozen=True)
class Shape:
    arch: str
    layers: int
    dim: int
    ff: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    rope_base: float
    context: int
    qk_norm: bool = False


SHAPES = {
    "qwen3-0.6b": Shape("qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 1e6, 40960, qk_norm=True),
    "llama-3.2-1b": Shape("llama", 16, 2048, 8192, 32, 8, 64, 128256, 5e5, 131072),
}


def write_settings(w, name, s):
    w.add_name(name + " random")
    w.add_context_length(s.context)
    w.add_embedding_length(s.dim)
    w.add_block_count(s.layers)
    w.add_feed_forward_length(s.ff)
    w.add_head_count(s.heads)
    w.add_head_count_kv(s.kv_heads)
    w.add_key_length(s.head_dim)
    w.add_value_length(s.head_dim)
    w.add_rope_dimension_count(s.head_dim)
    w.add_rope_freq_base(s.rope_base)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_vocab_size(s.vocab)


def write_vocabulary(w, path, size):
    fields = {f.name: f for f in GGUFReader(path).fields.values()}

    def value(key, default=None):
        field = fields.get("tokenizer.ggml." + key)
        return default if field is None else field.contents()

    tokens, types = list(value("tokens"))[:size], list(value("token_type"))[:size]
    for i in range(len(tokens), size):
        tokens.append(f"[PAD{i}]")
        types.append(UNUSED)
    eos = value("eos_token_id", 0)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(value("pre", "qwen2"))
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(value("merges"))
    w.add_eos_token_id(eos)
    w.add_bos_token_id(value("bos_token_id", eos))
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def write_weights(w, s):
    random = np.random.default_rng(7)

    def matrix(name, rows, cols):
        w.add_tensor(name, (random.standard_normal((rows, cols), dtype=np.float32) * 0.02).astype(np.float16))

    def ones(name, n):
        w.add_tensor(name, np.ones(n, np.float32))

    matrix("token_embd.weight", s.vocab, s.dim)
    for i in range(s.layers):
        p = f"blk.{i}."
        ones(p + "attn_norm.weight", s.dim)
        matrix(p + "attn_q.weight", s.heads * s.head_dim, s.dim)
        matrix(p + "attn_k.weight", s.kv_heads * s.head_dim, s.dim)
        matrix(p + "attn_v.weight", s.kv_heads * s.head_dim, s.dim)
        matrix(p + "attn_output.weight", s.dim, s.heads * s.head_dim)
        if s.qk_norm:
            ones(p + "attn_q_norm.weight", s.head_dim)
            ones(p + "attn_k_norm.weight", s.head_dim)
        ones(p + "ffn_norm.weight", s.dim)
        matrix(p + "ffn_gate.weight", s.ff, s.dim)
        matrix(p + "ffn_up.weight", s.ff, s.dim)
        matrix(p + "ffn_down.weight", s.dim, s.ff)
    ones("output_norm.weight", s.dim)


def write_f16(path, name, vocabulary):
    shape = SHAPES[name]
    w = GGUFWriter(path, shape.arch)
    write_settings(w, name, shape)
    write_vocabulary(w, vocabulary, shape.vocab)
    write_weights(w, shape)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--vocabulary", required=True, type=pathlib.Path)
    p.add_argument("--quantize", required=True, help="path of llama-quantize")
    p.add_argument("--out", required=True, type=pathlib.Path)
    p.add_argument("--shape", default="qwen3-0.6b", choices=sorted(SHAPES))
    p.add_argument("--types", nargs="+", default=["Q8_0", "Q4_0", "Q4_K_M"])
    p.add_argument("--keep-f16", action="store_true")
    a = p.parse_args()

    wanted = {t: a.out / f"{a.shape}-{t.lower()}.gguf" for t in a.types}
    missing = {t: f for t, f in wanted.items() if not f.exists()}
    if missing:
        f16 = a.out / f"{a.shape}-f16.gguf"
        if not f16.exists():
            write_f16(f16, a.shape, a.vocabulary)
        for kind, path in missing.items():
            part = path.with_suffix(".part")
            subprocess.run([a.quantize, str(f16), str(part), kind], check=True, stdout=subprocess.DEVNULL)
            part.rename(path)
        if not a.keep_f16:
            f16.unlink()
    for path in wanted.values():
        print(path)


if __name__ == "__main__":
    main()

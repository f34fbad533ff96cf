#!/usr/bin/env python3
"""Makes GGUF files of a real model's shape with random weights: good for measuring speed, useless for anything else.

    shapes.py --vocabulary VOCAB.gguf --quantize LLAMA_QUANTIZE --out DIR [--shape qwen3-0.6b] [--types Q8_0 Q4_0 Q4_K_M]

    shapes.py --vocabulary VOCAB.gguf --out DIR --shape gpt-oss-20b|lfm2-8b-a1b|qwen3-30b-a3b [--layers N]

The tokenizer comes from VOCAB.gguf (llama.cpp's source ships models/ggml-vocab-qwen2.gguf), so prompts tokenize as they do
for the real model. The weights are the same at every run (seeded). The F16 file is removed when the quantised ones are there.
Mixtures of experts would take very long that way: their blocks are random bytes below scales that make sense, written directly
in the one mix of formats that people run. --layers makes a smaller file; a step's time is then that of fewer layers.
"""
import argparse
import pathlib
import subprocess
from dataclasses import dataclass, replace

import numpy as np
from gguf import ExpertGatingFuncType, GGMLQuantizationType, GGUFReader, GGUFWriter, RopeScalingType

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL, UNUSED = 3, 5  # token types; the padding at the end of the vocabulary is unused


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


@dataclass(frozen=True)
class Mixture(Shape):
    experts: int = 0
    used: int = 0
    expert_ff: int = 0
    window: int = 0
    eps: float = 1e-6
    biases: bool = False  # and sinks, and YaRN: as in gpt-oss
    mix: str = "Q4_K_M"
    convolution: int = 0  # positions that a short convolution sees, which most layers have in the place of attention
    attention: tuple = ()  # layers that have attention; (): all
    dense: int = 0  # first layers, which have no experts

    def attends(self, i):
        return not self.attention or i in self.attention


MIXTURES = {
    "qwen3-30b-a3b": Mixture("qwen3moe", 48, 2048, 6144, 32, 4, 128, 151936, 1e6, 40960, True, 128, 8, 768),
    "gpt-oss-20b": Mixture(
        "gpt-oss", 24, 2880, 2880, 64, 8, 64, 201088, 150000, 131072, False, 32, 4, 2880, 128, 1e-5, True, "MXFP4"
    ),
    "lfm2-8b-a1b": Mixture(
        "lfm2moe", 24, 2048, 7168, 32, 8, 64, 65536, 1e6, 128000, True, 32, 4, 1792, eps=1e-5,
        convolution=3, attention=(2, 6, 10, 14, 18, 21), dense=2,
    ),
}

# Of a format: bytes of a block, values of a block, where its scales are and what they are, so that weights have a deviation of 0.02.
BLOCKS = {
    "Q8_0": (34, 32, {0: np.float16(0.02 / 74)}),
    "Q4_K": (144, 256, {0: np.float16(7.75e-5), 2: np.float16(7.5 * 7.75e-5)}),
    "Q6_K": (210, 256, {208: np.float16(1.46e-5)}),
    "MXFP4": (17, 32, {0: np.uint8(120)}),
}


def write_settings(w, name, s):
    w.add_name(name + " random")
    w.add_context_length(s.context)
    w.add_embedding_length(s.dim)
    w.add_block_count(s.layers)
    w.add_feed_forward_length(s.ff)
    w.add_head_count(s.heads)
    if getattr(s, "convolution", 0):
        w.add_head_count_kv([s.kv_heads if s.attends(i) else 0 for i in range(s.layers)])
    else:
        w.add_head_count_kv(s.kv_heads)
    w.add_key_length(s.head_dim)
    w.add_value_length(s.head_dim)
    w.add_rope_dimension_count(s.head_dim)
    w.add_rope_freq_base(s.rope_base)
    w.add_layer_norm_rms_eps(getattr(s, "eps", 1e-6))
    w.add_vocab_size(s.vocab)


def write_vocabulary(w, path, size):
    fields = {f.name: f for f in GGUFReader(path).fields.values()}

    def value(key, default=None):
        field = fields.get("tokenizer.ggml." + key)
        return default if field is None else field.contents()

    every, types, merges = list(value("tokens")), list(value("token_type"))[:size], list(value("merges"))
    eos = value("eos_token_id", 0)
    tokens = every[:size]
    if size < len(every):  # the commonest, and the one that ends a text
        if eos >= size:
            tokens[-1], types[-1], eos = every[eos], CONTROL, size - 1
        known = set(tokens)
        merges = [m for m in merges if m.replace(" ", "") in known]
    for i in range(len(tokens), size):
        tokens.append(f"[PAD{i}]")
        types.append(UNUSED)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(value("pre", "qwen2"))
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_eos_token_id(eos)
    w.add_bos_token_id(min(value("bos_token_id", eos), size - 1))
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


def mixture_tensors(s):
    """Name, format and shape of each tensor, the fastest dimension last."""
    more, plain = ("Q6_K", "Q4_K") if s.mix == "Q4_K_M" else ("Q8_0", "Q8_0")
    experts = "Q4_K" if s.mix == "Q4_K_M" else "MXFP4"
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    if s.convolution:  # the token table is the output
        yield "token_embd.weight", more, (s.vocab, s.dim)
        yield "token_embd_norm.weight", "F32", (s.dim,)
    else:
        yield "token_embd.weight", plain, (s.vocab, s.dim)
        yield "output.weight", more, (s.vocab, s.dim)
        yield "output_norm.weight", "F32", (s.dim,)
    for i in range(s.layers):
        p = f"blk.{i}."
        finer = s.mix == "Q4_K_M" and (i < s.layers // 8 or i >= 7 * s.layers // 8 or (i - s.layers // 8) % 3 == 2)
        layer = [
            ("attn_norm", "F32", (s.dim,), False),
            ("post_attention_norm" if s.biases else "ffn_norm", "F32", (s.dim,), False),
        ]
        if s.attends(i):
            layer += [
                ("attn_q", plain, (q, s.dim), True),
                ("attn_k", plain, (kv, s.dim), True),
                ("attn_v", more if finer else plain, (kv, s.dim), True),
                ("attn_output", plain, (s.dim, q), True),
            ]
        else:
            layer += [
                ("shortconv.conv", "F32", (s.dim, s.convolution), False),
                ("shortconv.in_proj", plain, (3 * s.dim, s.dim), False),
                ("shortconv.out_proj", plain, (s.dim, s.dim), False),
            ]
        if i < s.dense:
            layer += [
                ("ffn_gate", plain, (s.ff, s.dim), False),
                ("ffn_up", plain, (s.ff, s.dim), False),
                ("ffn_down", more if finer else plain, (s.dim, s.ff), False),
            ]
        else:
            layer += [
                ("ffn_gate_inp", "F32", (s.experts, s.dim), True),
                ("ffn_gate_exps", experts, (s.experts, s.expert_ff, s.dim), True),
                ("ffn_up_exps", experts, (s.experts, s.expert_ff, s.dim), True),
                ("ffn_down_exps", "Q6_K" if finer else experts, (s.experts, s.dim, s.expert_ff), True),
            ]
        for name, kind, shape, bias in layer:
            yield p + name + ".weight", kind, shape
            if bias and s.biases:
                yield p + name + ".bias", "F32", shape[:-1]
        if s.convolution and i >= s.dense:
            yield p + "exp_probs_b.bias", "F32", (s.experts,)
        if s.qk_norm and s.attends(i):
            yield p + "attn_q_norm.weight", "F32", (s.head_dim,)
            yield p + "attn_k_norm.weight", "F32", (s.head_dim,)
        if s.biases:
            yield p + "attn_sinks.weight", "F32", (s.heads,)


def random_tensor(random, name, kind, shape):
    if kind == "F32":
        return np.ones(shape, np.float32) if "norm" in name else random.standard_normal(shape, np.float32) * np.float32(0.02)
    size, values, scales = BLOCKS[kind]
    blocks = np.frombuffer(random.bytes(int(np.prod(shape)) // values * size), np.uint8).reshape(-1, size).copy()
    for at, scale in scales.items():
        blocks[:, at : at + scale.nbytes] = np.frombuffer(scale.tobytes(), np.uint8)
    return blocks.reshape(*shape[:-1], -1)


def write_mixture(path, name, s, vocabulary):
    w = GGUFWriter(path, s.arch)
    write_settings(w, name, s)
    w.add_expert_count(s.experts)
    w.add_expert_used_count(s.used)
    w.add_expert_feed_forward_length(s.expert_ff)
    if s.convolution:
        w.add_shortconv_l_cache(s.convolution)
        w.add_leading_dense_block_count(s.dense)
        w.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
    if s.biases:
        w.add_sliding_window(s.window)
        w.add_rope_scaling_type(RopeScalingType.YARN)
        w.add_rope_scaling_factor(32.0)
        w.add_rope_scaling_orig_ctx_len(4096)
    write_vocabulary(w, vocabulary, s.vocab)
    tensors = list(mixture_tensors(s))
    for tensor, kind, shape in tensors:
        size, values, _ = BLOCKS.get(kind, (4, 1, None))
        nbytes = int(np.prod(shape)) // values * size
        w.add_tensor_info(tensor, shape, np.dtype(np.float32), nbytes, GGMLQuantizationType[kind])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    random = np.random.default_rng(7)
    for tensor, kind, shape in tensors:
        w.write_tensor_data(random_tensor(random, tensor, kind, shape))
    w.close()


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
    p.add_argument("--quantize", help="path of llama-quantize; mixtures do without")
    p.add_argument("--out", required=True, type=pathlib.Path)
    p.add_argument("--shape", default="qwen3-0.6b", choices=sorted(SHAPES) + sorted(MIXTURES))
    p.add_argument("--layers", type=int, help="of a mixture: fewer than the real model has")
    p.add_argument("--types", nargs="+", default=["Q8_0", "Q4_0", "Q4_K_M"])
    p.add_argument("--keep-f16", action="store_true")
    a = p.parse_args()

    if a.shape in MIXTURES:
        s = MIXTURES[a.shape]
        s = replace(s, layers=a.layers or s.layers)
        path = a.out / f"{a.shape}-{s.mix.lower()}{f'-{a.layers}l' if a.layers else ''}.gguf"
        if not path.exists():
            write_mixture(path.with_suffix(".part"), a.shape, s, a.vocabulary)
            path.with_suffix(".part").rename(path)
        print(path)
        return

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

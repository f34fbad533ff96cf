#!/usr/bin/env python3
"""vLLM on CPUs in process, driven line by line by `penstock bench peers`.

    vllm_run.py MODEL.gguf [--threads 2] [--cache-gb 2]

vLLM computes in bfloat16 here. It gets a model of the file's shape with weights that it makes up itself, which are as fast as the
real ones, and prompts of random tokens. Standard input and output are as in openvino_run.py.
"""
import argparse
import json
import os
import pathlib
import random
import sys
import tempfile
import time

from gguf import GGUFReader

# The architectures of the table that vLLM has, by their name in GGUF.
ARCHITECTURES = {
    "llama": ("LlamaForCausalLM", "llama"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2"),
    "qwen3": ("Qwen3ForCausalLM", "qwen3"),
}


def config(path):
    """The file's shape as a config.json."""
    reader = GGUFReader(path)

    def field(name, default=None):
        value = reader.get_field(name)
        return default if value is None else value.contents()

    arch = field("general.architecture")
    if arch not in ARCHITECTURES:
        raise ValueError(f"the runner knows no {arch}")
    heads, dim = field(f"{arch}.attention.head_count"), field(f"{arch}.embedding_length")
    name, kind = ARCHITECTURES[arch]
    tensors = {t.name for t in reader.tensors}
    return {
        "architectures": [name],
        "model_type": kind,
        "hidden_act": "silu",
        "hidden_size": dim,
        "intermediate_size": field(f"{arch}.feed_forward_length"),
        "num_hidden_layers": field(f"{arch}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": field(f"{arch}.attention.head_count_kv", heads),
        "head_dim": field(f"{arch}.attention.key_length", dim // heads),
        "max_position_embeddings": 4096,
        "rms_norm_eps": float(field(f"{arch}.attention.layer_norm_rms_epsilon")),
        "rope_theta": float(field(f"{arch}.rope.freq_base", 10000.0)),
        "vocab_size": len(reader.get_field("tokenizer.ggml.tokens").data),
        "tie_word_embeddings": "output.weight" not in tensors,
        "torch_dtype": "bfloat16",
    }


def say(value):
    print(json.dumps(value), flush=True)


class Runner:
    def __init__(self, model, threads, cache_gb):
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(cache_gb)
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = f"0-{threads - 1}"
        os.environ["OMP_NUM_THREADS"] = str(threads)  # without it vLLM leaves one thread for serving
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from vllm import LLM

        shape = config(model)
        self.vocabulary = shape["vocab_size"]
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "config.json").write_text(json.dumps(shape))
            self.llm = LLM(model=folder, load_format="dummy", dtype="bfloat16", skip_tokenizer_init=True, max_model_len=2048,
                           max_num_seqs=16, enable_prefix_caching=False)
        self.random = random.Random(time.time_ns())

    def generate(self, count, words, tokens):
        from vllm import SamplingParams

        prompts = [{"prompt_token_ids": self.random.choices(range(1000, self.vocabulary - 1000), k=words)} for _ in range(count)]
        sampling = SamplingParams(temperature=0, max_tokens=tokens, min_tokens=0, ignore_eos=True, detokenize=False)
        start = time.perf_counter()
        results = self.llm.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - start
        if sum(len(r.outputs[0].token_ids) for r in results) != count * tokens:
            raise RuntimeError("fewer tokens than asked for")
        return seconds

    def measure(self, job):
        if job["work"] == "batch":
            seconds = self.generate(job["n"], job["words"], job["gen"])
            return {"tokens": job["n"] * job["gen"], "prompt_tokens": job["n"] * job["words"], "seconds": seconds}
        if job["work"] == "prefill":
            return {"tokens": job["words"], "prompt_tokens": job["words"], "seconds": self.generate(1, job["words"], 1)}
        raise ValueError(f"work {job['work']!r} is neither batch nor prefill")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache-gb", type=int, default=2)
    a = p.parse_args()
    try:
        runner = Runner(a.model, a.threads, a.cache_gb)
        runner.generate(2, 30, 8)  # compiles what it compiles
    except Exception as e:  # whatever the library throws: the caller wants one line
        say({"error": (str(e).strip() or repr(e)).splitlines()[-1]})
        sys.exit(1)
    say({"ready": True})
    for line in sys.stdin:
        try:
            say(runner.measure(json.loads(line)))
        except Exception as e:
            say({"error": str(e).strip()})


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs OpenVINO GenAI's continuous batching in process and prints one JSON line per measurement, for `make bench-peers`.

    openvino_run.py MODEL.gguf [--threads 2] [--rounds 1] [--batch 1 8 16] [--prefill 512] [--words 30] [--gen 50]

Reading a line from standard input before each round (--wait) lets the caller alternate rounds with other programs;
the model stays loaded in between. Output: {"work":"batch 8","tokens":400,"seconds":0.87,"tokens_per_second":459.0}
"""
import argparse
import json
import random
import sys
import time

import openvino_genai as ov

WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand part "
    "place case week company system program question work government number night point home water room mother area money "
    "story fact month lot right study book eye job word business issue side kind head house service friend father power hour "
    "game line end member law car city community name president team minute idea kid body information back parent face others "
    "level office door health person art war history party result change morning reason research girl guy moment air teacher "
    "force education"
).split()


def prompt(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def generate(pipe, prompts, tokens):
    config = ov.GenerationConfig()
    config.max_new_tokens = tokens
    config.min_new_tokens = tokens
    config.ignore_eos = True
    config.do_sample = False
    config.apply_chat_template = False
    start = time.perf_counter()
    results = pipe.generate(prompts, [config] * len(prompts))
    seconds = time.perf_counter() - start
    return results, seconds


def report(work, tokens, seconds):
    print(json.dumps({"work": work, "tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds}), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--batch", type=int, nargs="*", default=[1, 8, 16])
    p.add_argument("--prefill", type=int, default=512)
    p.add_argument("--words", type=int, default=30)
    p.add_argument("--gen", type=int, default=50)
    p.add_argument("--cache-gb", type=int, default=1)
    p.add_argument("--wait", action="store_true", help="wait for a line on standard input before each round")
    a = p.parse_args()

    scheduler = ov.SchedulerConfig()
    scheduler.cache_size = a.cache_gb
    scheduler.max_num_batched_tokens = 512
    scheduler.dynamic_split_fuse = True
    scheduler.enable_prefix_caching = False
    pipe = ov.ContinuousBatchingPipeline(a.model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": a.threads})
    tokenizer = pipe.get_tokenizer()
    rng = random.Random(time.time_ns())
    generate(pipe, [prompt(rng, a.words)], 8)  # warm-up: compiles the graph
    print(json.dumps({"ready": True}), flush=True)

    for _ in range(a.rounds):
        if a.wait and not sys.stdin.readline():
            return
        for n in a.batch:
            prompts = [prompt(rng, a.words) for _ in range(n)]
            results, seconds = generate(pipe, prompts, a.gen)
            if len(results) != n:
                sys.exit(f"openvino_run: {len(results)} of {n} results")
            report(f"batch {n}", n * a.gen, seconds)
        if a.prefill:
            text = prompt(rng, a.prefill)
            length = tokenizer.encode(text).input_ids.shape[1]
            _, seconds = generate(pipe, [text], 1)
            report("prefill", length, seconds)
        print(json.dumps({"round": True}), flush=True)


if __name__ == "__main__":
    main()

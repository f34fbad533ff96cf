#!/usr/bin/env python3
"""OpenVINO GenAI's continuous batching in process, driven line by line by `penstock bench peers`.

    openvino_run.py MODEL.gguf [--threads 2] [--cache-gb 1]

Prints {"ready":true} once the model is loaded and warm. Then each line of standard input is one measurement:

    {"work":"batch","n":8,"words":30,"gen":50}   n prompts of random words at once, gen tokens each
    {"work":"prefill","words":512}               one prompt, one token

and each is answered with {"tokens":400,"prompt_tokens":240,"seconds":0.87}; tokens are the prompt's for a prefill. The end of
standard input ends the program.
"""
import argparse
import json
import random
import sys
import time

import openvino_genai as ov

# Words like those of penstock's own prompts (internal/bench/load): common, and mostly one token each.
WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand part "
    "place case week company system program question work government number night point home water room mother area money "
    "story fact month lot right study book eye job word business issue side kind head house service friend father power hour "
    "game line end member law car city community name president team minute idea body information back parent face level "
    "office door health person art war history party result change morning reason research girl guy moment air teacher force"
).split()


def say(value):
    print(json.dumps(value), flush=True)


def settings(tokens):
    config = ov.GenerationConfig()
    config.max_new_tokens = tokens
    config.min_new_tokens = tokens
    config.ignore_eos = True
    config.do_sample = False
    config.apply_chat_template = False
    return config


class Runner:
    def __init__(self, model, threads, cache_gb):
        scheduler = ov.SchedulerConfig()
        scheduler.cache_size = cache_gb
        scheduler.max_num_batched_tokens = 512
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = False
        self.pipe = ov.ContinuousBatchingPipeline(model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads})
        self.tokenizer = self.pipe.get_tokenizer()
        self.random = random.Random(time.time_ns())

    def generate(self, count, words, tokens):
        prompts = [" ".join(self.random.choices(WORDS, k=words)) for _ in range(count)]
        length = sum(self.tokenizer.encode(p).input_ids.shape[1] for p in prompts)
        start = time.perf_counter()
        results = self.pipe.generate(prompts, [settings(tokens)] * count)
        seconds = time.perf_counter() - start
        if len(results) != count:
            raise RuntimeError(f"{len(results)} of {count} results")
        return length, seconds

    def measure(self, job):
        if job["work"] == "batch":
            length, seconds = self.generate(job["n"], job["words"], job["gen"])
            return {"tokens": job["n"] * job["gen"], "prompt_tokens": length, "seconds": seconds}
        if job["work"] == "prefill":
            length, seconds = self.generate(1, job["words"], 1)
            return {"tokens": length, "prompt_tokens": length, "seconds": seconds}
        raise ValueError(f"work {job['work']!r} is neither batch nor prefill")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache-gb", type=int, default=1)
    a = p.parse_args()
    try:
        runner = Runner(a.model, a.threads, a.cache_gb)
        runner.generate(2, 30, 8)  # compiles the graph
    except Exception as e:  # whatever the library throws: the caller wants one line
        say({"error": str(e).strip().splitlines()[-1]})
        sys.exit(1)
    say({"ready": True})
    for line in sys.stdin:
        try:
            say(runner.measure(json.loads(line)))
        except Exception as e:
            say({"error": str(e).strip()})


if __name__ == "__main__":
    main()

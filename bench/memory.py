#!/usr/bin/env python3
"""The memory of a server under the worst load that it takes, against its plan.

usage: memory.py PENSTOCK [MODEL...]        (make memory)

Starts a server with a small cache for each model, loads all models at once, and has many
more clients than there are places in the batch send prompts of tokens from all over the vocabulary,
which no other client has, until every block of every cache has been used twice. Some want the
probabilities of all tokens of their prompts, some draw from the whole vocabulary, some are held to a
schema: between them they use every buffer of a step. The peak of the resident memory (VmHWM of /proc)
must not exceed what /metrics says is planned, and must not be less than nine tenths of it. Where it is
is said: what is mapped (weights, buffers, caches), pages of the models' files, the heap, the program.
"""
import json, os, random, re, subprocess, sys, threading, time, urllib.request

CACHE, CONTEXT, BATCH, CLIENTS = 96 << 20, 1024, 8, 96


def post(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as r:
        return json.load(r)


def metrics(url):
    with urllib.request.urlopen(url + "/metrics", timeout=60) as r:
        text = r.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(penstock_\S+) (\S+)$", text, re.M)}


def status(pid, key):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"^{key}:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024


def places(pid):
    """Resident memory by what it is, in bytes."""
    sums, kind = {"mapped": 0, "files": 0, "heap": 0, "program": 0}, None
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if found := re.match(r"([0-9a-f]+)-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line):
                start, path = int(found.group(1), 16), found.group(2).strip()
                kind = "program" if start < 1 << 32 else "files" if path.startswith("/") else "heap" if start < 0x7000 << 32 else "mapped"
            elif line.startswith("Rss:"):
                sums[kind] += int(line.split()[1]) * 1024
    return sums


SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "n": {"type": "integer"}}, "required": ["name", "n"]}


def wish(r):
    """What a request wants besides tokens."""
    return r.choice([
        {"temperature": 0},
        {"temperature": 0, "echo": True, "logprobs": 5},  # logits of every row of the prompt
        {"temperature": 1.5, "top_p": 0.999, "top_k": 0, "logprobs": 5, "frequency_penalty": 0.5},  # lists as long as the vocabulary
        {"temperature": 1, "min_p": 0.001, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    ])


def fill(url, model, tokens):
    """Prompts of random tokens through one model, until so many were computed."""
    with urllib.request.urlopen(f"{url}/v1/models/{model}") as r:
        vocabulary = json.load(r)["meta"]["n_vocab"]
    done, lock = [0], threading.Lock()

    def client(seed):
        r = random.Random(f"{model} {seed}")
        while True:
            with lock:
                if done[0] >= tokens:
                    return
            prompt = [r.randrange(vocabulary) for _ in range(900)]
            answer = post(url, "/v1/completions", {"model": model, "prompt": prompt, "max_tokens": 8, **wish(r)})
            with lock:
                done[0] += answer["usage"]["prompt_tokens"]

    clients = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()


def main():
    program, models = sys.argv[1], sys.argv[2:] or ["smollm2", "gemma3:270m"]
    server = subprocess.Popen(
        [program, "serve", models[0], "--addr", "127.0.0.1:0", "--ctx", str(CONTEXT), "--max-batch", str(BATCH), "--kv-memory", str(CACHE), "--keep-alive=-1"],
        stdout=subprocess.PIPE, text=True)
    try:
        url = None
        for line in server.stdout:
            if found := re.search(r"http://[^ ']+:\d+", line):
                url = found.group(0)
                break
        for model in models[1:]:
            post(url, "/models/load", {"model": model})
        blocks = int(re.search(r'num_gpu_blocks="(\d+)"', " ".join(metrics(url))).group(1))
        began = time.time()
        loads = [threading.Thread(target=fill, args=(url, m, 2 * 16 * blocks)) for m in models]
        for t in loads:
            t.start()
        for t in loads:
            t.join()
        where = places(server.pid)
        plan, peak, now = metrics(url)["penstock_memory_planned_bytes"], status(server.pid, "VmHWM"), status(server.pid, "VmRSS")
        parts = {k: v for k, v in metrics(url).items() if k.startswith("penstock_model_memory_bytes")}
        for name, value in sorted(parts.items()):
            print(f"  {name[len('penstock_model_memory_bytes'):]:60} {value / 1e6:8.1f} MB")
        print(f"{', '.join(models)}: planned {plan / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB ({peak / plan:.3f} of the plan), at the end {now / 1e6:.0f} MB, after {time.time() - began:.0f} s")
        print("at the end:", ", ".join(f"{kind} {value / 1e6:.0f} MB" for kind, value in where.items()))
        if peak > plan:
            sys.exit("the peak exceeds the plan")
        if peak < 0.9 * plan:
            sys.exit(f"the plan is more than a tenth above the peak: {(plan - peak) / 1e6:.0f} MB of it were not used")
    finally:
        server.terminate()
        server.wait()


main()

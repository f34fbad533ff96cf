#!/usr/bin/env python3
"""Checks `penstock bench load` against another public load generator, GuideLLM, on the same server.

    crosscheck.py --penstock bin/penstock --guidellm DIR/bin/guidellm [--rounds 3] [--tolerance 0.03]

The server is penstock's own over the mock executor, whose steps all take the same time, so that what differs between two runs
is the measuring and not the model. Both send the same prompts to /v1/chat/completions, streamed, by turns: with 8 clients, where throughput, the gaps between
tokens and the latency must agree, and at a constant rate, where the time to first token must, too. (With 8 clients it depends
on how close together a tool's clients come back, which is no error of either.) Medians over the rounds are compared; exit
code 1 if two are further apart than the tolerance.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

CLIENTS, REQUESTS, TOKENS, STEP_MS, RATE = 8, 40, 20, 40, 3
CHECKS = {"closed": ["tokens/s", "ITL ms", "latency ms"], "constant": ["TTFT ms", "ITL ms", "latency ms"]}
WORDS = "time year people way day man thing woman life child world school state family student group country problem".split()


class Server:
    """penstock's HTTP stack over the mock executor; it ends with its standard input."""

    def __init__(self, penstock):
        self.process = subprocess.Popen([penstock, "bench", "layer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        job = {
            "layer": "serve",
            "mock": {"step": STEP_MS * 1_000_000},
            "scenario": {"tier": "generic", "threads": 1, "max_batch": CLIENTS, "requests": REQUESTS, "concurrency": CLIENTS,
                         "gen": TOKENS, "prompt_tokens": 32, "prompt": "the water runs from the lake to the wheel "},
        }
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("crosscheck: the server did not start")
        self.url = json.loads(line)["url"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


def write_prompts(path, seed):
    lines = []
    for i in range(REQUESTS):
        words = [WORDS[(seed * 7919 + i * 104729 + k * k * 31) % len(WORDS)] for k in range(20)]
        lines.append(json.dumps({"prompt": f"{seed} {i} " + " ".join(words), "output_tokens_count": TOKENS}))
    path.write_text("\n".join(lines) + "\n")


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"crosscheck: {command[0]} failed:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def penstock(program, url, prompts, load):
    arrivals = ["--concurrency", str(CLIENTS)]
    if load == "constant":
        arrivals = ["--concurrency", "0", "--rate", str(RATE), "--burstiness", "0"]
    out = run([program, "bench", "load", "--url", url, "--api", "chat", "--stream", "--requests", str(REQUESTS), *arrivals, "--gen", str(TOKENS), "--prompts", str(prompts), "--temperature", "0", "--warmup", "0", "--json"])
    s = json.loads(out)["summary"]
    return {"tokens/s": s["tokens_per_second"], "TTFT ms": s["ttft"]["mean_ms"], "ITL ms": s["itl"]["mean_ms"],
            "latency ms": s["e2e"]["mean_ms"]}


def guidellm(program, url, prompts, load, folder):
    profile = f"kind=concurrent,streams={CLIENTS}" if load == "closed" else f"kind=constant,rate={RATE}"
    report = folder / "guidellm.json"
    run([program, "run", "--backend", f"kind=openai_http,target={url},request_format=/v1/chat/completions",
         "--profile", profile, "--constraint", f"kind=max_requests,count={REQUESTS}",
         "--data", f"kind=json_file,path={prompts}", "--output", f"kind=json,path={report}", "--disable-console"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, cwd=folder)
    metrics = json.loads(report.read_text())["benchmarks"][0]["metrics"]

    def mean(name):
        return metrics[name]["successful"]["mean"]

    return {"tokens/s": mean("output_tokens_per_second"), "TTFT ms": mean("time_to_first_token_ms"),
            "ITL ms": mean("inter_token_latency_ms"), "latency ms": 1000 * mean("request_latency")}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--penstock", required=True, type=os.path.abspath)
    p.add_argument("--guidellm", required=True, type=os.path.abspath)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--tolerance", type=float, default=0.03)
    a = p.parse_args()

    ours, theirs = {k: [] for k in CHECKS}, {k: [] for k in CHECKS}
    server = Server(a.penstock)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            prompts = folder / "prompts.jsonl"
            for i in range(a.rounds + 1):  # the first is the warm-up
                write_prompts(prompts, i + 1)
                for load in CHECKS:
                    mine = penstock(a.penstock, server.url, prompts, load)
                    other = guidellm(a.guidellm, server.url, prompts, load, folder)
                    if i > 0:
                        ours[load].append(mine)
                        theirs[load].append(other)
    finally:
        server.stop()

    failed = False
    print(f"{'':22}{'penstock':>12}{'guidellm':>12}{'difference':>12}")
    for load, keys in CHECKS.items():
        for key in keys:
            x, y = statistics.median(r[key] for r in ours[load]), statistics.median(r[key] for r in theirs[load])
            difference = x / y - 1
            failed |= abs(difference) > a.tolerance
            print(f"{load + ', ' + key:22}{x:12.2f}{y:12.2f}{100 * difference:11.2f} %")
    if failed:
        sys.exit(f"crosscheck: the two differ by more than {100 * a.tolerance:.0f} %")


if __name__ == "__main__":
    main()

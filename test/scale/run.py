#!/usr/bin/env python3
"""Several servers behind the routers that people use.

    run.py PENSTOCK PEERS [--model smollm2] [--workers 2,4] [--routers NAME,...] [--json FILE] [--docs docs/scale-out.md]

For each router (vllm-router and smg, out of PEERS/routers; kv-aware is vllm-router with the policy that is told what is cached) and number of workers:

- conversations of several turns go through the router, whose policy is to send a prompt where its
  beginning is cached; of their tokens a share comes from the workers' prefix caches;
- then the same load again, while one worker is killed (SIGKILL) and started anew: a request may fail
  only if it ran on that worker, and after the restart every worker serves again.

With kv-aware, a subscriber made of vLLM's own structures (events.py) hears each worker's events, too: at the end it must know as many blocks
as the worker's cache has.

The same conversations with one process that has all threads are what throughput is compared with.
A table of it all is printed at the end, and takes the place of the one in the document of --docs.
The exit status is 1 if a request was lost that should not have been.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

CONVERSATIONS, TURNS, TOKENS = 8, 5, 24
WORDS = "river stone lamp cloud green seven winter copper train quiet garden letter north paper silver bread".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, seconds=90, process=None):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise SystemExit(f"a process ended before {url} answered")
        try:
            with urllib.request.urlopen(url, timeout=2) as r:
                if r.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer within {seconds} s")


class Worker:
    def __init__(self, args, threads, log, events=False):
        self.port, self.threads, self.args, self.log = free_port(), threads, args, log
        self.events = self.replay = self.listener = None
        if events:
            self.events, self.replay = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [self.args.penstock, "serve", self.args.model, "--port", str(self.port), "--threads", str(self.threads), "--log-level", "warn"]
        if self.events:
            command += ["--kv-events", self.events, "--kv-events-replay", self.replay]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)
        wait_for(self.url + "/readyz", process=self.process)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def listen(self):
        """Starts a subscriber to this process's events."""
        here = os.path.dirname(os.path.abspath(__file__))
        self.listener = subprocess.Popen([self.args.peers + "/routers/bin/python", here + "/events.py", "tcp://" + self.events, "tcp://" + self.replay],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def heard(self):
        """What the subscriber has heard, and how many blocks the cache has."""
        time.sleep(0.5)  # events come up to 50 ms later
        with urllib.request.urlopen(self.url + "/metrics", timeout=5) as r:
            cached = [float(line.rsplit(" ", 1)[1]) for line in r.read().decode().splitlines() if line.startswith("penstock_kv_cache_cached_blocks ")]
        out, _ = self.listener.communicate("")
        return {**json.loads(out.splitlines()[-1]), "cached": int(cached[0])}

    def served(self):
        """Requests that this process has answered, and prompt tokens that its cache had."""
        requests = hits = 0.0
        with urllib.request.urlopen(self.url + "/metrics", timeout=5) as r:
            for line in r.read().decode().splitlines():
                if line.startswith("vllm:request_success_total"):
                    requests += float(line.rsplit(" ", 1)[1])
                elif line.startswith("vllm:prefix_cache_hits_total"):
                    hits += float(line.rsplit(" ", 1)[1])
        return int(requests), int(hits)


class Router:
    """A router in front of workers."""

    def __init__(self, name, args, workers, log):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        urls = [w.url for w in workers]
        self.metrics = free_port()
        common = ["--host", "127.0.0.1", "--port", str(self.port), "--policy", "kv_aware" if name == "kv-aware" else "cache_aware",
                  "--prometheus-port", str(self.metrics)]
        bin = os.path.join(args.peers, "routers", "bin")
        if name != "smg":
            command = [bin + "/vllm-router", "--worker-urls", *urls, *common, "--health-check-interval-secs", "1", "--health-failure-threshold", "1",
                       "--health-success-threshold", "1", "--cb-timeout-duration-secs", "1"]
            if name == "kv-aware":
                command += ["--kv-event-model", args.model]
                for w in workers:
                    command += ["--kv-event-source", f"{w.url}=tcp://{w.events}", "--kv-event-replay-source", f"{w.url}=tcp://{w.replay}"]
        else:
            command = [bin + "/smg", "launch", "--worker-urls", *urls, *common, "--health-check-interval-secs", "1", "--health-failure-threshold", "1",
                       "--health-success-threshold", "1", "--cb-timeout-duration-secs", "1"]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self.url + "/health", process=self.process)

    def lookups(self):
        """How often the router found a prompt's beginning in what it was told, and how often not."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as r:
            lines = r.read().decode().splitlines()
        return {kind: sum(int(line.rsplit(" ", 1)[1]) for line in lines if f'kv_placement_lookups_total{{result="{kind}"' in line) for kind in ("hit", "miss")}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def all_known(url, model, workers, seconds=20):
    """Waits until a router sends requests to every worker. A router that has little to do may keep to one."""
    end, before = time.monotonic() + seconds, [w.served()[0] for w in workers]
    while time.monotonic() < end:
        with concurrent.futures.ThreadPoolExecutor(2 * len(workers)) as pool:
            for _ in range(2 * len(workers)):
                words = " ".join(random.choice(WORDS) for _ in range(40))
                pool.submit(lambda words=words: chat(url, [{"role": "user", "content": words}], model))
        if all(w.served()[0] > b for w, b in zip(workers, before)):
            return True
        time.sleep(0.3)
    return False


def chat(url, messages, model):
    """One request; returns (text, usage)."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=180)
    try:
        body = {"model": model, "messages": messages, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {data[:200]!r}")
        answer = json.loads(data)
        return answer["choices"][0]["message"]["content"], answer["usage"]
    finally:
        connection.close()


class Load:
    """Conversations of several turns at once, each with a long beginning of its own."""

    def __init__(self, seed):
        self.seed, self.lock = seed, threading.Lock()
        self.done, self.failed, self.prompt, self.cached, self.output = 0, [], 0, 0, 0
        self.begun = threading.Event()

    def converse(self, url, model, number):
        draw = random.Random(f"{self.seed} {number}")
        messages = [{"role": "system", "content": " ".join(draw.choice(WORDS) for _ in range(300))}]
        for _ in range(TURNS):
            messages.append({"role": "user", "content": " ".join(draw.choice(WORDS) for _ in range(20))})
            start = time.monotonic()
            try:
                text, usage = chat(url, messages, model)
            except Exception as e:  # whatever a client sees of it
                with self.lock:
                    self.failed.append((start, time.monotonic(), f"{type(e).__name__}: {e}"))
                messages.pop()
                continue
            messages.append({"role": "assistant", "content": text})
            with self.lock:
                self.done += 1
                self.prompt += usage["prompt_tokens"]
                self.cached += usage["prompt_tokens_details"]["cached_tokens"]
                self.output += usage["completion_tokens"]
            self.begun.set()

    def run(self, url, model):
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CONVERSATIONS) as pool:
            for f in [pool.submit(self.converse, url, model, i) for i in range(CONVERSATIONS)]:
                f.result()
        self.seconds = time.monotonic() - start
        return self

    def figures(self):
        return {"requests": self.done, "failed": len(self.failed), "tokens_per_second": round(self.output / self.seconds, 1),
                "cached": round(self.cached / max(1, self.prompt), 3)}


def killed_under_load(url, args, workers):
    """A load during which the first worker dies and comes back."""
    load, victim = Load("killed"), workers[0]
    times = {}

    def kill():
        load.begun.wait(60)
        times["killed"] = time.monotonic()
        victim.kill()
        time.sleep(0.5)
        victim.start()
        times["back"] = time.monotonic()

    killer = threading.Thread(target=kill)
    killer.start()
    load.run(url, args.model)
    killer.join()
    # A request that began after the worker had died, and after the router could know of it, is lost without need.
    grace = 3.0
    needless = [f for f in load.failed if not (f[0] <= times["killed"] + grace)]
    again = all_known(url, args.model, workers)
    before = [w.served()[0] for w in workers]
    after_load = Load("after").run(url, args.model)
    after = [w.served()[0] for w in workers]
    return {**load.figures(), "needless": len(needless), "examples": [f[2] for f in load.failed[:3]],
            "back_in_use": again, "afterwards": after_load.figures(), "served_afterwards": [b - a for a, b in zip(before, after)]}


def heard(url, args, workers):
    """What subscribers hear of a load, beside what is cached in the end."""
    # A subscriber is told nothing of what was before, so the caches are emptied before it listens.
    for w in workers:
        urllib.request.urlopen(urllib.request.Request(w.url + "/flush_cache", method="POST"), timeout=10).close()
    time.sleep(0.5)
    for w in workers:
        w.listen()
    time.sleep(1)
    Load("heard").run(url, args.model)
    return [w.heard() for w in workers]


def wrong(case):
    """Whether requests were lost, a worker got none, or events are at odds with what they tell of."""
    k = case["killed"]
    lost = case["load"]["failed"] or k["needless"] or k["afterwards"]["failed"] or k["failed"] > CONVERSATIONS
    unused = not (k["back_in_use"] or all(k["served_afterwards"]))
    untrue = any(h["errors"] or h["known"] != h["cached"] for h in case.get("heard", []))
    return lost or unused or untrue


def table(result):
    """The figures in Markdown."""
    one = result["one process"]
    rows = [
        "| | tokens/s | of one process | prompt tokens cached | requests that each server saw, the router's own included | lost when one was killed | of them without need | tokens/s afterwards |",
        "|---|---|---|---|---|---|---|---|",
        f"| one process, all threads | {one['tokens_per_second']} | 1 | {one['cached']:.1%} | {one['requests']} | | | |",
    ]
    for name, case in result.items():
        if name == "one process":
            continue
        load, killed = case["load"], case["killed"]
        share = load["tokens_per_second"] / one["tokens_per_second"]
        rows.append(f"| {name} | {load['tokens_per_second']} | {share:.2f} | {load['cached']:.1%} | {', '.join(map(str, case['workers']))} | "
                    f"{killed['failed']} of {killed['requests'] + killed['failed']} | {killed['needless']} | {killed['afterwards']['tokens_per_second']} |")
    return "\n".join(rows)


BEGIN, END = "<!-- make scale: begin -->\n\n", "\n\n<!-- make scale: end -->"


def write_table(path, text):
    with open(path) as f:
        before, _, rest = f.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{path} has no place for the table: {BEGIN.strip()} and {END.strip()}")
    with open(path, "w") as f:
        f.write(before + BEGIN + text + END + after)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("penstock")
    parser.add_argument("peers")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--workers", default="2,4")
    parser.add_argument("--routers", default="vllm-router,smg,kv-aware")
    parser.add_argument("--json")
    parser.add_argument("--docs", help="the document whose table is written")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    result, bad = {}, []
    with tempfile.TemporaryFile() as log:
        one = Worker(args, cores, log)
        Load("warm").run(one.url, args.model)
        result["one process"] = Load("same").run(one.url, args.model).figures()
        one.stop()
        print("one process", result["one process"], flush=True)
        for name in args.routers.split(","):
            for n in map(int, args.workers.split(",")):
                workers = [Worker(args, max(1, cores // n), log, events=name == "kv-aware") for _ in range(n)]
                router = Router(name, args, workers, log)
                try:
                    all_known(router.url, args.model, workers)
                    Load("warm").run(router.url, args.model)
                    case = {"load": Load("same").run(router.url, args.model).figures(), "workers": [w.served()[0] for w in workers]}
                    case["killed"] = killed_under_load(router.url, args, workers)
                    if name == "kv-aware":
                        case["lookups"] = router.lookups()
                        case["heard"] = heard(router.url, args, workers)
                finally:
                    router.stop()
                    for w in workers:
                        w.stop()
                key = f"{name}, {n} workers"
                result[key] = case
                print(key, json.dumps(case), flush=True)
                if wrong(case):
                    bad.append(key)
    print(table(result))
    if args.docs:
        write_table(args.docs, table(result))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)
    if bad:
        sys.exit("requests were lost, a worker got none, or events were wrong: " + "; ".join(bad))


if __name__ == "__main__":
    main()

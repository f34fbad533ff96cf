#!/usr/bin/env python3
"""measure.py PENSTOCK MODEL [PART...]: what a server does besides generating: load time, the first request, memory, CPU while idle, the
first token after a pause, throughput with one thread, with two, and with two while another process wants one of the cores, and what a
long context costs a batch, and what a folder of prefixes saves after a restart.

Linux only; needs two cores. Parts: load, first, idle, threads, context, restart. With BESIDE=PROGRAM in the environment, load starts
another build, too, in turn."""
import json, os, random, re, subprocess, sys, tempfile, time, urllib.request, threading, statistics

penstock, model, parts = sys.argv[1], sys.argv[2], sys.argv[3:] or ["load", "first", "idle", "threads", "context", "restart"]
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, *flags, program=penstock):
        start = time.monotonic()
        self.p = subprocess.Popen([program, "serve", model, "--addr", "127.0.0.1:0", "--log-level", "error", *flags],
                                  stdout=subprocess.PIPE, text=True)
        self.greeting = ""
        for line in self.p.stdout:
            self.greeting += line
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group()
                break
        self.ready = time.monotonic() - start
        threading.Thread(target=self.p.stdout.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()

    def ask(self, tokens, words="Once upon a time", stream=True):
        """The time of the first token, and of all."""
        body = json.dumps({"prompt": words, "max_tokens": tokens, "temperature": 0, "stream": stream, "ignore_eos": True}).encode()
        start, first = time.monotonic(), None
        with urllib.request.urlopen(urllib.request.Request(self.url + "/v1/completions", body)) as r:
            for line in r:
                if first is None and line.startswith(b"data: {"):
                    first = time.monotonic() - start
        return first, time.monotonic() - start

    def trip(self):
        start = time.monotonic()
        urllib.request.urlopen(self.url + "/health").read()
        return time.monotonic() - start

    def stat(self):
        """The fields of /proc/PID/stat from the third on."""
        return open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()

    def ticks(self):
        f = self.stat()
        return int(f[11]) + int(f[12])

    def faults(self):
        """Page faults that no disk was read for."""
        return int(self.stat()[7])

    def memory(self):
        """The server's resident memory in MB."""
        status = open(f"/proc/{self.p.pid}/status").read()
        return int(re.search(r"VmRSS:\s*(\d+)", status).group(1)) / 1e3

    def rate(self, clients=8, tokens=200):
        """Tokens a second of that many clients."""
        self.ask(8)
        start = time.monotonic()
        all = [threading.Thread(target=self.ask, args=(tokens, f"Story number {i} begins", False)) for i in range(clients)]
        for t in all:
            t.start()
        for t in all:
            t.join()
        return clients * tokens / (time.monotonic() - start)


def load():
    """Starts with the file in the page cache, which reading it once sees to."""
    with open(model, "rb") as f:
        size = sum(len(part) for part in iter(lambda: f.read(1 << 24), b""))
    programs = [penstock] + [p for p in [os.environ.get("BESIDE")] if p]
    runs = {p: [] for p in programs}
    for round in range(5):
        for p in programs if round % 2 == 0 else programs[::-1]:
            with Server(program=p) as s:
                peak = int(re.search(r"VmHWM:\s*(\d+)", open(f"/proc/{s.p.pid}/status").read()).group(1)) / 1e3
                runs[p].append((s.ready, s.ticks() / TICK, s.faults(), peak))
    for p in programs:
        ready, cpu, faults, peak = zip(*runs[p])
        print(f"load: {p}: {size / 1e9:.2f} GB, ready after {spread(ready, 2)} s, which is {statistics.median(ready) / size * 1e10:.1f} s for 10 GB; "
              f"CPU {spread(cpu, 2)} s, {spread(faults, 0)} page faults, at most {spread(peak, 0)} MB in use")


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def first():
    prompt = lambda: " ".join(random.choices("water lake pipe wheel valley stone river field house road".split(), k=500))
    with Server() as s:
        time.sleep(1)
        before = s.memory()
        times = [s.ask(1, prompt())[0] for _ in range(4)]
        print(f"first: a prompt of 500 words takes {times[0]:.2f} s at first, then {statistics.median(times[1:]):.2f} s; "
              f"{before:.0f} MB in use before, {s.memory():.0f} MB after")


def idle():
    with Server() as s:
        for _ in range(5):
            s.ask(8)
        close = statistics.median(s.ask(2)[0] for _ in range(15))
        s.trip()
        trip = statistics.median(s.trip() for _ in range(15))
        time.sleep(1)
        before = s.ticks()
        time.sleep(5)
        spent = s.ticks() - before
        far, trips = [], []
        for _ in range(4):
            time.sleep(3)
            far.append(s.ask(2)[0])
            time.sleep(3)
            trips.append(s.trip())
        trip = 1000*(statistics.median(trips) - trip)
        print(f"idle: {spent} ticks of {TICK} a second in 5 s; first token {1000 * close:.1f} ms back to back, {1000 * statistics.median(far):.1f} ms after 3 s, of which {trip:.1f} ms are the client and the network's (a health check is as much slower)")


def threads():
    rates = {}
    with Server("--threads", "1") as one, Server("--threads", "2") as two:
        for _ in range(3):
            rates.setdefault("one thread", []).append(one.rate())
            rates.setdefault("two threads", []).append(two.rate())
            cores = sorted(os.sched_getaffinity(0))
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, cores[-1:]))
            try:
                time.sleep(0.3)
                rates.setdefault("two threads, a core taken", []).append(two.rate())
            finally:
                hog.kill()
                hog.wait()
    base = statistics.median(rates["two threads"])
    for name, all in rates.items():
        print(f"threads: {name}: {statistics.median(all):.0f} tokens/s of 8 clients, {statistics.median(all) / base:.2f} of two threads")


def context():
    lengths, rates = [64, 256, 1008, 2032], {}
    for _ in range(3):
        for kv in ["i16", "q8"]:
            for n in lengths:
                run = subprocess.run([penstock, "bench", "steps", "--model", model, "--batch", "8", "--ctx", str(n), "--steps", "16",
                                      "--prefill", "0", "--kv-type", kv, "--json"], stdout=subprocess.PIPE, check=True)
                rates.setdefault((kv, n), []).append(json.loads(run.stdout)["decode"]["tokens_per_second"])
    for kv in ["i16", "q8"]:
        base = rates[kv, lengths[0]]
        cells = [f"{n}: {statistics.median(rates[kv, n]):.0f} ({statistics.median(a / b for a, b in zip(rates[kv, n], base)):.2f})" for n in lengths]
        print(f"context: {kv} cache, tokens/s of 8 sequences at " + ", ".join(cells))


def restart():
    def blocks(s):
        text = urllib.request.urlopen(s.url + "/metrics").read().decode()
        return float(re.search(r"^penstock_kv_store_read_total (\S+)", text, re.M).group(1))

    with tempfile.TemporaryDirectory() as folder:
        flags = ["--kv-store", folder]
        with Server(*flags) as s:
            models = json.load(urllib.request.urlopen(s.url + "/v1/models"))
            n = min(20000, models["data"][0]["max_model_len"] - 200)
            prompt = [random.randrange(1000, 9000) for _ in range(n)]
            cold = s.ask(1, prompt)[0]
            warm = [s.ask(1, prompt)[0] for _ in range(5)]
        at_once, later, after = [], [], []
        for _ in range(5):
            with Server(*flags) as s:
                at_once.append(s.ask(1, prompt)[0])
            with Server(*flags) as s:
                before = -1
                while before != (now := blocks(s)):  # until the server has read what was used last
                    before = now
                    time.sleep(0.5)
                later.append(s.ask(1, prompt)[0])
                after.append(statistics.median(s.ask(1, prompt)[0] for _ in range(3)))
    ms = lambda times: f"{1000 * statistics.median(times):.0f} ms [{1000 * min(times):.0f}, {1000 * max(times):.0f}]"
    print(f"restart: the first token of a prompt of {n} tokens takes {cold:.1f} s, {ms(warm)} when it is cached; after a restart {ms(at_once)} at once, "
          f"{ms(later)} when the folder is read, and from then on {ms(after)}")


for part in parts:
    {"load": load, "first": first, "idle": idle, "threads": threads, "context": context, "restart": restart}[part]()

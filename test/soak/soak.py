#!/usr/bin/env python3
"""A server under everything at once, for minutes.

    soak.py PENSTOCK [--minutes 10] [--model smollm2] [--second gemma3:270m] [--json FILE]
    soak.py PENSTOCK --hold [--minutes 5] [--connections 1000] [--streams 64] [--crowd-seconds 30]

The first form mixes protocols, models, streams and plain answers, with clients that go away, bursts above the
queue and settings that are taken up anew (SIGHUP). Every request that its client did not leave must end as it
should: an answer, or 429 or 503 with Retry-After. Memory must be flat once the caches are full, goroutines always, and the last minute as fast
as the first. The second form holds many open connections, some of which stream, and asks /livez all the while; then 32 clients
and 256 take turns, and the many must get as many tokens per second together as the few.

Only Python's standard library is used. The exit status is 1 if anything did not hold.
"""
import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

WORDS = "river stone lamp cloud green seven winter copper train quiet garden letter north paper silver bread".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def ask(port, method, path, body=None, leave_after=None, limit=180):
    """One request on a connection of its own: (status, headers, body). A client that leaves returns status 0."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), limit)
    try:
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        if leave_after is not None:
            await asyncio.sleep(leave_after)
            return 0, {}, b""
        raw = await asyncio.wait_for(reader.read(), limit)
    finally:
        writer.close()
    top, _, rest = raw.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (l.partition(":") for l in lines[1:])}
    return int(lines[0].split()[1]) if lines[0] else -1, headers, rest


class Server:
    def __init__(self, program, model, *flags):
        self.port, self.admin, self.log = free_port(), free_port(), tempfile.TemporaryFile()
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        self.settings(0.8)
        self.process = subprocess.Popen([program, "serve", model, "--port", str(self.port), "--config", self.config.name,
                                         "--admin-addr", f"127.0.0.1:{self.admin}", *flags],
                                        stdout=subprocess.DEVNULL, stderr=self.log)

    def settings(self, temperature):
        self.config.seek(0)
        self.config.truncate()
        self.config.write(f"temperature: {temperature}\n")
        self.config.flush()

    def reload(self):
        self.settings(random.choice([0.6, 0.7, 0.8]))
        self.process.send_signal(signal.SIGHUP)

    async def ready(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit("the server ended while it loaded")
            try:
                if (await ask(self.port, "GET", "/readyz"))[0] == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)
        raise SystemExit("the server was not ready within two minutes")

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(l.split()[1]) for l in f if l.startswith("VmRSS")) / 1024

    async def goroutines(self):
        """How many the server has, by its profile."""
        _, _, body = await ask(self.admin, "GET", "/debug/pprof/goroutine?debug=1")
        return int(body.split(b"total ")[1].split()[0])

    async def metrics(self):
        _, _, body = await ask(self.port, "GET", "/metrics")
        values = {}
        for line in body.decode(errors="replace").splitlines():
            name, _, value = line.rpartition(" ")
            if name and not line.startswith("#"):
                try:
                    values[name.split("{")[0]] = values.get(name.split("{")[0], 0.0) + float(value)
                except ValueError:
                    pass
        return values

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


def request(draw, models):
    """A random request: (path, body, what must be in a good answer)."""
    model = draw.choice(models)
    text = " ".join(draw.choice(WORDS) for _ in range(draw.choice([5, 30, 30, 120])))
    n = draw.choice([8, 16, 32, 64])
    stream = draw.random() < 0.5
    chat = [{"role": "user", "content": text}]
    kind = draw.choice(["chat", "completion", "messages", "ollama", "responses", "llama", "schema", "count"])
    if kind == "chat":
        return "/v1/chat/completions", {"model": model, "messages": chat, "max_tokens": n, "stream": stream}, b"[DONE]" if stream else b"finish_reason"
    if kind == "completion":
        return "/v1/completions", {"model": model, "prompt": text, "max_tokens": n, "stream": stream}, b"[DONE]" if stream else b"finish_reason"
    if kind == "messages":
        return "/v1/messages", {"model": model, "messages": chat, "max_tokens": n, "stream": stream}, b"message_stop" if stream else b"stop_reason"
    if kind == "ollama":
        return "/api/chat", {"model": model, "messages": chat, "stream": stream, "options": {"num_predict": n}}, b'"done":true'
    if kind == "responses":
        return "/v1/responses", {"model": model, "input": text, "max_output_tokens": max(16, n), "stream": stream}, b'"total_tokens"'
    if kind == "llama":
        return "/completion", {"model": model, "prompt": text, "n_predict": n, "stream": stream}, b"stop_type"
    if kind == "schema":
        schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "n": {"type": "integer"}}, "required": ["name", "n"]}
        return "/v1/chat/completions", {"model": model, "messages": chat, "max_tokens": 64, "stream": stream,
                                        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}, b"[DONE]" if stream else b"finish_reason"
    return "/v1/messages/count_tokens", {"model": model, "messages": chat}, b"input_tokens"


class Tally:
    def __init__(self):
        self.ended, self.refused, self.left, self.wrong = 0, 0, 0, []


async def client(server, models, tally, end, seed):
    draw = random.Random(seed)
    while time.monotonic() < end:
        path, body, mark = request(draw, models)
        leave = draw.choice([0.01, 0.1, 0.5]) if draw.random() < 0.15 else None
        try:
            status, headers, answer = await ask(server.port, "POST", path, body, leave)
        except (OSError, asyncio.TimeoutError) as e:
            tally.wrong.append(f"{path}: {type(e).__name__} {e}")
            continue
        if status == 0:
            tally.left += 1
        elif status in (429, 503, 529) and "retry-after" in headers:
            tally.refused += 1
            await asyncio.sleep(draw.random())
        elif status == 200 and mark in answer:
            tally.ended += 1
        else:
            tally.wrong.append(f"{path}: {status} {answer[-200:]!r}")


async def soak(args):
    models = [args.model] + ([args.second] if args.second else [])
    server = Server(args.program, args.model, "--max-queue", "16")
    await server.ready()
    if args.second:
        await ask(server.port, "POST", "/v1/completions", {"model": args.second, "prompt": "a", "max_tokens": 1})
    tally, end = Tally(), time.monotonic() + 60 * args.minutes
    clients = [asyncio.create_task(client(server, models, tally, end, i)) for i in range(args.clients)]
    minutes, start = [], time.monotonic()
    while time.monotonic() < end:
        before = (await server.metrics()).get("vllm:generation_tokens_total", 0)
        burst = [asyncio.create_task(client(server, models, tally, time.monotonic() + 2, 1000 + i)) for i in range(64)]  # above batch and queue
        server.reload()
        await asyncio.sleep(min(60, max(1, end - time.monotonic())))
        await asyncio.gather(*burst)
        m = await server.metrics()
        minutes.append({"minute": round((time.monotonic() - start) / 60, 2), "rss_mb": round(server.rss(), 1), "goroutines": await server.goroutines(),
                        "tokens": m.get("vllm:generation_tokens_total", 0) - before, "ended": tally.ended, "refused": tally.refused, "left": tally.left, "wrong": len(tally.wrong)})
        print(json.dumps(minutes[-1]), flush=True)
    await asyncio.gather(*clients)
    await asyncio.sleep(1)
    m = await server.metrics()
    rest = {"running": m.get("vllm:num_requests_running"), "waiting": m.get("vllm:num_requests_waiting"), "goroutines": await server.goroutines(), "rss_mb": round(server.rss(), 1)}
    print("at rest", json.dumps(rest))
    problems = [f"{len(tally.wrong)} requests did not end as they should: {tally.wrong[:8]}"] if tally.wrong else []
    if rest["running"] or rest["waiting"]:
        problems.append("requests are left behind")
    if rest["goroutines"] > 60:
        problems.append(f"{rest['goroutines']} goroutines are left")
    if len(minutes) >= 4:
        # The first half fills the caches: memory is touched for the first time.
        half = minutes[len(minutes) // 2 - 1]
        if minutes[-1]["rss_mb"] > 1.03 * half["rss_mb"] + 8:
            problems.append(f"memory grew from {half['rss_mb']} to {minutes[-1]['rss_mb']} MB in the second half")
        if minutes[-1]["tokens"] < 0.95 * minutes[0]["tokens"]:
            problems.append(f"the last minute gave {minutes[-1]['tokens']:.0f} tokens, the first {minutes[0]['tokens']:.0f}")
    if server.stop() != 0:
        problems.append("the server did not end in good order")
    return {"minutes": minutes, "rest": rest, "ended": tally.ended, "refused": tally.refused, "left": tally.left}, problems


async def crowds(server, args, tally):
    """Tokens per second of few clients and of many, in turns: the medians of three each."""
    async def client(seed, end):
        draw = random.Random(seed)
        while time.monotonic() < end:
            text = " ".join(draw.choice(WORDS) for _ in range(30))
            status, _, answer = await ask(server.port, "POST", "/v1/completions", {"prompt": text, "max_tokens": 100, "stream": True, "ignore_eos": True}, limit=600)
            if status != 200 or b"[DONE]" not in answer:
                tally.wrong.append(f"{status} {answer[-200:]!r}")

    async def tokens():
        return (await server.metrics()).get("vllm:generation_tokens_total", 0)

    rates = {n: [] for n in args.crowds}
    for turn in range(3):
        for n in args.crowds:
            end = time.monotonic() + args.crowd_seconds
            clients = [asyncio.create_task(client(f"{turn} {n} {i}", end)) for i in range(n)]
            await asyncio.sleep(min(5, args.crowd_seconds / 4))  # until all of them have begun
            start, before = time.monotonic(), await tokens()
            await asyncio.sleep(end - time.monotonic())
            rates[n].append((await tokens() - before) / (time.monotonic() - start))
            await asyncio.gather(*clients)
    return {n: sorted(r) for n, r in rates.items()}


async def hold(args):
    server = Server(args.program, args.model, "--max-batch", str(args.streams), "--max-queue", str(args.connections))
    await server.ready()
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(args.connections - args.streams)]
    tally, end, delays = Tally(), time.monotonic() + 60 * args.minutes, []

    async def stream(i):
        draw = random.Random(i)
        while time.monotonic() < end:
            text = " ".join(draw.choice(WORDS) for _ in range(30))
            try:
                status, _, answer = await ask(server.port, "POST", "/v1/completions", {"prompt": text, "max_tokens": 200, "stream": True, "ignore_eos": True}, limit=300)
            except (OSError, asyncio.TimeoutError) as e:
                tally.wrong.append(f"{type(e).__name__} {e}")
                continue
            if status == 200 and b"[DONE]" in answer:
                tally.ended += 1
            else:
                tally.wrong.append(f"{status} {answer[-200:]!r}")

    def probe():
        """Asks /livez from a thread of its own, so that this program's own work is not in the delay."""
        while time.monotonic() < end:
            t = time.perf_counter()
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if b" 200 " not in s.recv(4096):
                    tally.wrong.append("/livez is not 200")
            delays.append(time.perf_counter() - t)
            time.sleep(0.05)

    await asyncio.gather(asyncio.to_thread(probe), *[stream(i) for i in range(args.streams)])
    rates = await crowds(server, args, tally)
    problems = [f"{len(tally.wrong)} requests did not end as they should: {tally.wrong[:8]}"] if tally.wrong else []
    m = await server.metrics()
    # Those connections that said nothing are closed by the server's own time limit, and must not fail.
    for _, writer in idle:
        writer.close()
    delays.sort()
    p99 = 1000 * delays[int(0.99 * len(delays))]
    if p99 > 50:
        problems.append(f"/livez took {p99:.0f} ms at p99, the limit is 50")
    few, many = (rates[n][1] for n in args.crowds)
    if many < 0.97 * few:  # three in a hundred are the spread of such measurements
        problems.append(f"{args.crowds[1]} clients got {many:.0f} tokens per second, {args.crowds[0]} got {few:.0f}")
    rss = round(server.rss(), 1)
    if server.stop() != 0:
        problems.append("the server did not end in good order")
    return {"tokens_per_second": {n: [round(x, 1) for x in r] for n, r in rates.items()}, "connections": args.connections, "streams": args.streams, "ended": tally.ended, "tokens": m.get("vllm:generation_tokens_total"),
            "livez_ms": {"p50": round(1000 * delays[len(delays) // 2], 2), "p99": round(p99, 2), "max": round(1000 * delays[-1], 2)}, "rss_mb": rss}, problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--second", default="gemma3:270m")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--crowds", type=int, nargs=2, default=[32, 256])
    parser.add_argument("--crowd-seconds", type=float, default=30)
    parser.add_argument("--json")
    args = parser.parse_args()
    os.environ.pop("PENSTOCK_CONFIG", None)
    result, problems = asyncio.run((hold if args.hold else soak)(args))
    print(json.dumps(result if args.hold else {k: v for k, v in result.items() if k != "minutes"}))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)
    for p in problems:
        print("did not hold:", p, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""agents.py PENSTOCK [SESSION...]: plays the sessions of agents (internal/server/testdata/agents) against a real model, and prints each turn's
prompt, how much of it the prefix cache had, and the time to the first token.

From the second turn on at least 95 % of the prompt must be cached, and the first token must not take longer than what the turn added
explains: five times what so many tokens took in the first turn, and two seconds. The last tokens of a prompt attend to all before them, so
they take about twice the average; the rest is for what else the machine does. It exits with 1 otherwise."""
import json, pathlib, re, subprocess, sys, time, urllib.request

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "internal" / "server" / "testdata" / "agents"
MODEL = "qwen2.5-coder:0.5b"
FIRST = ("content_block_delta", "response.output_text.delta", "response.function_call_arguments.delta")


def play(url, path, body):
    """The prompt's tokens, those that were cached, and the seconds to the first token."""
    start, first, prompt, cached = time.monotonic(), None, 0, 0
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        for line in answer:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            if event["type"] in FIRST and first is None:
                first = time.monotonic() - start
            if event["type"] == "message_delta":
                cached = event["usage"]["cache_read_input_tokens"]
                prompt = cached + event["usage"]["input_tokens"]
            if event["type"] in ("response.completed", "response.incomplete"):
                usage = event["response"]["usage"]
                prompt, cached = usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]
    return prompt, cached, first if first is not None else time.monotonic() - start


def session(url, name):
    s = json.loads((FOLDER / f"{name}.json").read_text())
    good, before, rate, added = True, 0, 0, []
    print(f"{name}\n{'turn':>5}{'prompt':>8}{'new':>7}{'cached':>8}{'share':>8}{'TTFT':>9}")
    for turn, new in enumerate(s["turns"], 1):
        added += new
        text = json.dumps({**s["request"], "model": MODEL, s["add_to"]: added}).replace("cch=00000;", f"cch={0xa11ce + turn * 0x1357:05x};")
        prompt, cached, first = play(url, s["path"], json.loads(text))
        print(f"{turn:5}{prompt:8}{prompt - before:7}{cached:8}{cached / prompt:8.1%}{first:7.2f} s", flush=True)
        if turn == 1:
            rate = first / prompt
        elif cached < 0.95 * prompt or first > 5 * rate * (prompt - before) + 2:
            print("      this turn breaks the promise")
            good = False
        before = prompt
    return good


def main():
    binary, names = sys.argv[1], sys.argv[2:] or ["claude-code", "codex"]
    subprocess.run([binary, "pull", MODEL], check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen([binary, "serve", MODEL, "--addr", "127.0.0.1:0", "--log-level", "warn"], stdout=subprocess.PIPE, text=True)
    try:
        url = next(found.group() for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        good = [session(url, name) for name in names]
    finally:
        server.terminate()
        server.wait()
    sys.exit(not all(good))


main()

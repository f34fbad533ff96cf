#!/usr/bin/env python3
"""Scores tool calls on the Berkeley Function Calling Leaderboard's simple, multiple,
parallel and irrelevance categories, Penstock beside llama-server on the same file.

    bfcl.py --penstock bin/penstock --llama llama-server --model FILE.gguf [--limit N]

Data, answers and the checker of answers come from the Python package bfcl-eval, which
must be importable (its other dependencies need not be there). Both servers get the same
requests over /v1/chat/completions: temperature 0, no repetition penalty. The exit status
is 1 if Penstock is below llama-server in a category.
"""
import argparse
import concurrent.futures
import json
import pathlib
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request

CATEGORIES = ["simple_python", "multiple", "parallel", "irrelevance"]
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
MAX_TOKENS = 512


def checker():
    """bfcl-eval's checker. Its table of models would import a client of every vendor's API, so a stub takes the table's place."""
    name = "bfcl_eval.constants.model_config"
    stub = types.ModuleType(name)
    stub.MODEL_CONFIG_MAPPING = {"served": types.SimpleNamespace(underscore_to_dot=True)}
    sys.modules[name] = stub
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    return lambda case, calls, category: ast_checker(
        case["function"], calls, case["answer"], Language.PYTHON, category, "served"
    )["valid"]


def load(category, limit):
    """The cases of a category, spread over the whole if there are more than the limit."""
    import bfcl_eval

    root = pathlib.Path(bfcl_eval.__file__).parent / "data"
    file = f"BFCL_v4_{category}.json"
    lines = lambda path: [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    cases = lines(root / file)
    answers = root / "possible_answer" / file
    if answers.exists():
        by_id = {a["id"]: a["ground_truth"] for a in lines(answers)}
        for c in cases:
            c["answer"] = by_id[c["id"]]
    if limit and limit < len(cases):
        cases = [cases[i * len(cases) // limit] for i in range(limit)]
    return cases


def schema(s):
    """A JSON Schema from the leaderboard's own names of types."""
    if isinstance(s, list):
        return [schema(x) for x in s]
    if not isinstance(s, dict):
        return s
    out = {k: schema(v) for k, v in s.items()}
    if isinstance(s.get("type"), str):
        out["type"] = TYPES.get(s["type"], s["type"])
    return out


def tool(function):
    # Dots are not allowed in the names of OpenAI's functions; the checker knows that.
    return {"type": "function", "function": {
        "name": function["name"].replace(".", "_"),
        "description": function["description"],
        "parameters": schema(function["parameters"]),
    }}


def ask(url, case):
    """The calls of an answer: [{name: arguments}]."""
    body = {"messages": case["question"][0], "tools": [tool(f) for f in case["function"]],
            "temperature": 0, "repeat_penalty": 1.0, "max_tokens": MAX_TOKENS}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            message = json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as e:
        raise SystemExit(f"{case['id']}: {e.code} {e.read()[:300]!r}")
    calls = []
    for call in message.get("tool_calls") or []:
        try:
            calls.append({call["function"]["name"]: json.loads(call["function"]["arguments"])})
        except json.JSONDecodeError:
            calls.append({call["function"]["name"]: {}})
    return calls


def correct(check, case, calls, category):
    if category == "irrelevance":
        return not calls
    try:
        return bool(calls) and check(case, calls, category)
    except (KeyError, TypeError, AttributeError):
        return False  # arguments of a form that the checker did not expect


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command, port):
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + 180
        while True:
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None or time.time() > deadline:
                    raise SystemExit(f"{command[0]} did not start")
                time.sleep(0.3)

    def close(self):
        self.process.terminate()
        self.process.wait()


def score(server, check, args):
    result = {}
    for category in CATEGORIES:
        cases = load(category, args.limit)
        with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
            answers = list(pool.map(lambda c: ask(server.url, c), cases))
        right = sum(correct(check, c, a, category) for c, a in zip(cases, answers))
        result[category] = (right, len(cases))
        print(f"  {category}: {right} of {len(cases)}", file=sys.stderr, flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penstock", required=True)
    parser.add_argument("--llama", help="llama-server; without it Penstock alone is scored")
    parser.add_argument("--model", required=True)
    parser.add_argument("--limit", type=int, default=0, help="cases of each category; 0: all")
    parser.add_argument("--clients", type=int, default=4)
    args = parser.parse_args()
    check = checker()
    commands = {"Penstock": lambda port: [args.penstock, "serve", args.model, "--addr", f"127.0.0.1:{port}"]}
    if args.llama:
        context = str(8192 * args.clients)
        commands["llama-server"] = lambda port: [args.llama, "-m", args.model, "--jinja", "-np", str(args.clients), "-c", context, "--port", str(port)]
    scores = {}
    for name, command in commands.items():
        print(name, file=sys.stderr)
        port = free_port()
        server = Server(command(port), port)
        try:
            scores[name] = score(server, check, args)
        finally:
            server.close()
    print("| category | cases | " + " | ".join(scores) + " |\n|---|---|" + "---|" * len(scores))
    below = []
    for category in CATEGORIES:
        row = [scores[n][category] for n in scores]
        print(f"| {category} | {row[0][1]} | " + " | ".join(f"{100 * r / n:.1f} %" for r, n in row) + " |")
        if row[0][0] < row[-1][0]:
            below.append(category)
    if below:
        sys.exit("below llama-server in " + ", ".join(below))


if __name__ == "__main__":
    main()

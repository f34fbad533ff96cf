#!/usr/bin/env python3
"""Scores tool calls on the Berkeley Function Calling Leaderboard's simple, multiple,
parallel and irrelevance categories, Penstock beside llama-server on the same file.

    bfcl.py --penstock bin/penstock --llama llama-server --model FILE.gguf [--limit N]
            [--category NAME...] [--answers FILE] [--minutes M]

Data, answers and the checker of answers come from the Python package bfcl-eval, which
must be importable (its other dependencies need not be there). Both servers get the same
requests over /v1/chat/completions: temperature 0, no repetition penalty. The exit status
is 1 if Penstock is below llama-server in a category, and 3 if --minutes ended before all
cases were answered.

Each answer is written to the file of answers at once. Another run with the same programs
and model asks only what is missing there, so that a long run may be cut anywhere.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import socket
import subprocess
import sys
import threading
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


class Answers:
    """The answers of one server, in a file of lines. Those of other programs or models stay there, and do not count."""

    def __init__(self, path, server, program, model):
        self.path, self.lock, self.of = path, threading.Lock(), {}
        self.key = [server, fingerprint(program), f"{pathlib.Path(model).name} {pathlib.Path(model).stat().st_size}"]
        if path and path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the end of a run that was cut
                if entry["by"] == self.key:
                    self.of[entry["id"]] = entry["message"]

    def add(self, case, message):
        with self.lock:
            self.of[case["id"]] = message
            if self.path:
                with self.path.open("a") as f:
                    f.write(json.dumps({"by": self.key, "id": case["id"], "message": message}) + "\n")


def fingerprint(program):
    return hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()[:16]


def ask(url, case):
    """The message of an answer."""
    body = {"messages": case["question"][0], "tools": [tool(f) for f in case["function"]],
            "temperature": 0, "repeat_penalty": 1.0, "max_tokens": MAX_TOKENS}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            return json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as e:
        raise SystemExit(f"{case['id']}: {e.code} {e.read()[:300]!r}")


def calls_of(message):
    """The calls of a message: [{name: arguments}]."""
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


def score(server, answers, check, args):
    """Asks what is missing, until the time is over, and counts what is right: {category: (right, answered, all)}."""
    result = {}
    for category in args.category:
        cases = load(category, args.limit)
        missing = [c for c in cases if c["id"] not in answers.of]
        began = time.time()

        def one(case):
            if time.time() < args.end:
                answers.add(case, ask(server.url, case))

        with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
            list(pool.map(one, missing))
        done = [c for c in cases if c["id"] in answers.of]
        right = sum(correct(check, c, calls_of(answers.of[c["id"]]), category) for c in done)
        result[category] = (right, len(done), len(cases))
        some = [len(calls_of(answers.of[c["id"]])) for c in done]
        print(f"  {category}: {right} of {len(done)} right, {len(cases) - len(done)} not asked yet, {sum(n > 1 for n in some)} with several calls, "
              f"{sum(n == 0 for n in some)} with none ({time.time() - began:.0f} s)", file=sys.stderr, flush=True)
    return result


def table(scores, categories):
    print("| category | cases | " + " | ".join(scores) + " |\n|---|---|" + "---|" * len(scores))
    for category in categories:
        row = [scores[n][category] for n in scores]
        cells = [f"{100 * right / done:.1f} %" if done else "" for right, done, _ in row]
        print(f"| {category} | {min(done for _, done, _ in row)} of {row[0][2]} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penstock", required=True)
    parser.add_argument("--llama", help="llama-server; without it Penstock alone is scored")
    parser.add_argument("--model", required=True)
    parser.add_argument("--limit", type=int, default=0, help="cases of each category; 0: all")
    parser.add_argument("--category", nargs="+", choices=CATEGORIES, default=CATEGORIES)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--answers", type=pathlib.Path, help="file that keeps the answers, and has those of earlier runs")
    parser.add_argument("--minutes", type=float, default=0, help="after which nothing more is asked; 0: until all is answered")
    args = parser.parse_args()
    args.end = None
    check = checker()
    commands = {"Penstock": (args.penstock, lambda port: [args.penstock, "serve", args.model, "--addr", f"127.0.0.1:{port}"])}
    if args.llama:
        context = str(8192 * args.clients)
        commands["llama-server"] = (args.llama, lambda port: [args.llama, "-m", args.model, "--jinja", "-np", str(args.clients), "-c", context, "--port", str(port)])
    scores = {}
    for name, (program, command) in commands.items():
        print(name, file=sys.stderr)
        answers = Answers(args.answers, name, program, args.model)
        port = free_port()
        server = Server(command(port), port)
        if args.end is None:  # loading the first model does not count
            args.end = time.time() + 60 * args.minutes if args.minutes else float("inf")
        try:
            scores[name] = score(server, answers, check, args)
        finally:
            server.close()
    table(scores, args.category)
    if any(done < all for s in scores.values() for _, done, all in s.values()):
        print("The time is over: the same command goes on from here.", file=sys.stderr)
        sys.exit(3)
    below = [c for c in args.category if scores["Penstock"][c][0] < list(scores.values())[-1][c][0]]
    if below:
        sys.exit("below llama-server in " + ", ".join(below))


if __name__ == "__main__":
    main()

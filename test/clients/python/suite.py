"""What the suites of all Python clients share: the questions, and the lines that `make clients` counts."""
import json
import os
import sys
import time
import traceback
import urllib.request

URL = os.environ["PENSTOCK_URL"]
MODEL = os.environ["PENSTOCK_MODEL"]

COUNTING = "Count from 1 to 20, separated by commas."
QUESTION = "What is the weather in Paris?"
STORY = "Write a long story about a river."
ANSWER = "Sunny, 23 degrees"
PADDING = "Stones are hard. " * 12  # enough for several blocks of the prefix cache
TEXTS = ["a pipe for water", "a tube for water", "Dear Sir or Madam, I regret that"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Get the weather of a city", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}


def user(text):
    return [{"role": "user", "content": text}]


def weather(name, arguments):
    """A call asks for the weather of a city."""
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    assert name == "get_weather" and arguments["city"], (name, arguments)


def running():
    """The sequences that the server computes."""
    with urllib.request.urlopen(URL + "/metrics") as r:
        for line in r.read().decode().splitlines():
            if line.startswith("penstock_requests_running "):
                return int(float(line.split()[1]))
    raise AssertionError("/metrics has no penstock_requests_running")


def freed():
    """The server lets go of what a client has left."""
    end = time.monotonic() + 120  # only a failure takes so long
    while running():
        assert time.monotonic() < end, "a sequence still runs after the client left"
        time.sleep(0.02)


def fails(kind, do, **attributes):
    """do fails with the client's own error of that kind."""
    try:
        do()
    except kind as e:
        for name, want in attributes.items():
            got = getattr(e, name)
            assert got == want, f"{name} is {got!r}, want {want!r}: {e}"
        return e
    raise AssertionError(f"no {kind.__name__}")


def alike(vectors, other=None):
    """The embeddings of TEXTS: as long as 1, the first two more alike than the others, and the same as other ones."""
    assert len(vectors) == len(TEXTS) and all(abs(sum(x * x for x in v) - 1) < 1e-3 for v in vectors), [len(v) for v in vectors]
    cosine = lambda a, b: sum(x * y for x, y in zip(a, b))
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]), vectors
    assert other is None or all(abs(x - y) < 1e-6 for a, b in zip(vectors, other) for x, y in zip(a, b))


def run(client, *features):
    """Runs the features of a client, each a function whose name says what it is, and exits with 1 if one fails."""
    failed = 0
    for feature in features:
        name = feature.__name__.strip("_").replace("_", " ")
        try:
            feature()
            print(f"ok\t{client}\t{name}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print(f"FAIL\t{client}\t{name}", flush=True)
    sys.exit(failed > 0)

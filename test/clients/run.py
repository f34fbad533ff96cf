#!/usr/bin/env python3
"""run.py PENSTOCK PEERS [--update]: serves the small model, runs the suites of every official client against it, and the
snippets of docs/clients.md as they stand there, and prints the tables client x feature and client x route. It exits with 1 if
anything failed. Which routes a client used is counted by the server itself: /metrics is read before and after each of them.

PEERS/sdk is the virtual environment and PEERS/node the folder of packages that `bench/peers.sh PEERS sdk node` makes.
--update writes the tables into docs/clients.md."""
import contextlib, os, pathlib, re, subprocess, sys, tempfile, urllib.request

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "clients.md"
MODEL = "qwen2.5-coder:0.5b"
PUBLISHED = "http://127.0.0.1:8080"  # the address in the snippets
BEGIN, END = "<!-- clients: make clients ARGS=--update -->\n", "<!-- end of clients -->"
WATCHED = "/metrics"  # the suites read it themselves, to see what still runs

# Which feature a Go test shows, by the beginning of its name. Tests with subtests count by these.
GO = [
    ("TestOpenAIChat/", "openai-go", None), ("TestOpenAITools/auto", "openai-go", "tools"), ("TestOpenAITools/forced", "openai-go", "forced tool"),
    ("TestOpenAIErrors/", "openai-go", "errors"), ("TestOpenAICancel", "openai-go", "cancel"), ("TestOpenAIModels", "openai-go", "models"),
    ("TestResponses/create", "openai-go", "responses"), ("TestResponses/get", "openai-go", "stored responses"), ("TestResponses/input", "openai-go", "count tokens"),
    ("TestResponses/unknown", "openai-go", "previous response"), ("TestResponses/", "openai-go", None), ("TestResponsesStream", "openai-go", "responses stream"),
    ("TestResponsesTools", "openai-go", "responses tools"), ("TestAnthropic/message", "anthropic-sdk-go", "chat"), ("TestAnthropic/", "anthropic-sdk-go", None),
    ("TestAnthropicTools/auto", "anthropic-sdk-go", "tools"), ("TestAnthropicTools/forced", "anthropic-sdk-go", "forced tool"),
    ("TestAnthropicErrors/", "anthropic-sdk-go", "errors"), ("TestAnthropicCancel", "anthropic-sdk-go", "cancel"),
    ("TestOllamaChat/", "ollama (Go)", None), ("TestOllamaGenerate", "ollama (Go)", "generate"), ("TestOllamaModels", "ollama (Go)", "models"),
    ("TestOllamaErrors/", "ollama (Go)", "errors"), ("TestOllamaCancel", "ollama (Go)", "cancel"),
    ("TestOpenAIEmbeddings", "openai-go", "embeddings"), ("TestOllamaEmbeddings", "ollama (Go)", "embeddings"), ("TestOllamaStore/", "ollama (Go)", "models of the store"),
]
# The tests of each Go client, by their names.
GO_TESTS = {"openai-go": "^Test(OpenAI|Responses)", "anthropic-sdk-go": "^TestAnthropic", "ollama (Go)": "^TestOllama"}
NODE_CLIENTS = ["@ai-sdk/openai", "@ai-sdk/openai-compatible", "@ai-sdk/anthropic"]
PARENTS = {"TestOpenAIChat", "TestOpenAITools", "TestOpenAIErrors", "TestResponses", "TestAnthropic", "TestAnthropicTools", "TestAnthropicErrors", "TestOllamaChat", "TestOllamaErrors", "TestOllamaStore"}
# Checks that count as another feature.
SAME = {"cached usage": "usage", "events": "stream", "stream helper": "stream", "asynchronous": "chat", "beta": "chat", "errors: bad JSON": "errors",
        "responses chat": "responses", "responses forced tool": "responses tools", "anthropic messages": "chat", "ollama chat": "chat", "completion": "completions", "n probs": "logprobs",
        "rerank: TEI": "rerank", "rerank: Cohere": "rerank", "score": "rerank", "responses forms": "forms",
        **{f"responses {f}": f for f in ("no reasoning", "usage", "errors", "cancel")}}


def serve(binary):
    subprocess.run([binary, "pull", MODEL], check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen([binary, "serve", MODEL, "--addr", "127.0.0.1:0", "--log-level", "warn"], stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return server, found.group()
    sys.exit("run.py: the server ended without naming its address")


def answered(url):
    """Requests that the server has answered well, by method and route."""
    counts = {}
    with urllib.request.urlopen(url + "/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if m := re.match(r'penstock_http_requests_total\{handler="([^"]+)",method="(\w+)",status="2xx"\} (\d+)', line):
                counts[f"{m[2]} {m[1]}"] = int(m[3])
    return counts


class Results:
    def __init__(self, url):
        self.url = url
        self.counts, self.clients, self.features, self.failed = {}, [], [], []
        self.routes = {}  # (client, method and route): requests that were answered well

    @contextlib.contextmanager
    def used_by(self, client):
        """What the server answers meanwhile is put down to the client."""
        before = answered(self.url)
        yield
        for route, n in answered(self.url).items():
            if n > before.get(route, 0) and not route.endswith(WATCHED):
                self.routes[client, route] = self.routes.get((client, route), 0) + n - before.get(route, 0)

    def add(self, ok, client, feature):
        feature = SAME.get(feature, feature)
        for name, names in (client, self.clients), (feature, self.features):
            if name not in names:
                names.append(name)
        passed, all = self.counts.get((client, feature), (0, 0))
        self.counts[client, feature] = passed + ok, all + 1
        if not ok:
            self.failed.append(f"{client}: {feature}")

    def suite(self, name, command, **more):
        """Runs the suite of a client and reads its lines. One that fails without such a line has failed as a whole."""
        before = len(self.failed)
        with self.used_by(name):
            p = subprocess.run(command, stdout=subprocess.PIPE, text=True, **more)
        lines = [l.split("\t") for l in p.stdout.splitlines() if re.match(r"(ok|FAIL)\t.+\t.+$", l)]
        for verdict, client, feature in lines:
            self.add(verdict == "ok", client, feature)
        if p.returncode and len(self.failed) == before or not lines:
            print(p.stdout)
            self.failed.append(f"{name}: exit status {p.returncode}")

    def go(self, client, env):
        before = len(self.failed)
        with self.used_by(client):
            p = subprocess.run(["go", "test", "-count=1", "-v", "-run", GO_TESTS[client], "."], cwd=HERE, env=env, capture_output=True, text=True)
        text = p.stdout + p.stderr
        for verdict, name in re.findall(r"--- (PASS|FAIL): (\S+)", text):
            for prefix, client, feature in GO:
                if name.startswith(prefix) and name not in PARENTS:
                    self.add(verdict == "PASS", client, feature or name.split("/")[1].replace("_", " "))
                    break
        if p.returncode and len(self.failed) == before or "--- PASS" not in text:
            self.failed.append(f"{client}: exit status {p.returncode}")
        if len(self.failed) > before:
            print(text)

    def route_table(self):
        """The requests of each client that were answered well, by route; the routes of one protocol stand together."""
        routes = sorted({route for _, route in self.routes}, key=lambda route: (route.split()[1], route))
        rows = ["| | " + " | ".join(self.clients) + " |", "|---" * (len(self.clients) + 1) + "|"]
        for route in routes:
            rows.append(f"| `{route}` | " + " | ".join(str(self.routes.get((client, route), "")) for client in self.clients) + " |")
        return "\n".join(rows) + "\n"

    def tables(self):
        return (self.table() + "\nRequests that were answered with a status of 200, by client and route. How many there are says only that "
                "the client uses the\nroute in these suites.\n\n" + self.route_table())

    def cell(self, client, feature):
        passed, all = self.counts.get((client, feature), (0, 0))
        return str(passed) if passed == all else f"{passed} of {all}"

    def table(self):
        rows = ["| | " + " | ".join(self.clients) + " |", "|---" * (len(self.clients) + 1) + "|"]
        for f in self.features:
            rows.append(f"| {f} | " + " | ".join(self.cell(c, f) if (c, f) in self.counts else "" for c in self.clients) + " |")
        total = [sum(n for (c, _), (n, _) in self.counts.items() if c == client) for client in self.clients]
        rows.append("| **all** | " + " | ".join(f"**{n}**" for n in total) + " |")
        return "\n".join(rows) + "\n"


def snippets(text):
    """The programs of the document: (client, language, text). The heading above names the client; what has none is for the reader."""
    heading = ""
    for title, language, body in re.findall(r"^### ([^\n]+)$|^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        if title:
            heading = title
        elif heading and language in ("python", "js", "go", "sh"):
            yield heading, language, body


def run_snippet(language, body, peers, env):
    command = {"python": [peers / "sdk/bin/python"], "js": ["node"], "go": ["go", "run"], "sh": ["bash", "-euo", "pipefail"]}[language]
    where = {"js": peers / "node", "go": HERE}.get(language)
    with tempfile.TemporaryDirectory(dir=where if language == "js" else None) as folder:
        path = pathlib.Path(folder) / ("main." + {"python": "py", "js": "mjs"}.get(language, language))
        path.write_text(body)
        p = subprocess.run([*map(str, command), str(path)], cwd=where, env=env, capture_output=True, text=True, timeout=300)
    if p.returncode or not p.stdout.strip():
        print(body, p.stdout, p.stderr, sep="\n")
        return False
    return True


def main():
    binary, peers = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    server, url = serve(binary)
    env = {**os.environ, "PENSTOCK_URL": url, "PENSTOCK_MODEL": MODEL, "PYTHONDONTWRITEBYTECODE": "1"}
    results = Results(url)
    try:
        for client in "openai", "anthropic", "ollama", "langchain-openai", "litellm":
            results.suite(client, [peers / "sdk/bin/python", HERE / "python" / f"{client.split('-')[0]}_suite.py"], env=env)
        # Node looks for packages beside a program, so the program goes to them.
        program = peers / "node" / "suite.mjs"
        program.write_text((HERE / "node" / "suite.mjs").read_text())
        for client in NODE_CLIENTS:
            results.suite(client, ["node", program, client], env=env)
        results.suite("curl", [HERE / "curl" / "suite.sh"], env=env)
        for client in GO_TESTS:
            results.go(client, env)
        text = DOCUMENT.read_text()
        programs = list(snippets(text))
        if not programs:
            results.failed.append(f"{DOCUMENT} has no programs")
        for client, language, body in programs:
            with results.used_by(client):
                ok = run_snippet(language, body.replace(PUBLISHED, url), peers, env)
            results.add(ok, client, "snippet")
    finally:
        server.terminate()
        server.wait()
    print(results.tables())
    if "--update" in sys.argv and not results.failed:
        before, _, rest = text.partition(BEGIN)
        DOCUMENT.write_text(before + BEGIN + "\n" + results.tables() + "\n" + END + rest.partition(END)[2])
    for failure in results.failed:
        print("FAILED", failure)
    sys.exit(bool(results.failed))


main()

"""The scenario's load from a Python client: client.py LIBRARY. The first line of standard input is the job, as JSON; then each
line asks for a run, or for the warm-up. One line of JSON answers each."""
import json
import queue
import resource
import sys
import threading
import time

library = sys.argv[1]
job = json.loads(sys.stdin.readline())
url, tokens, temperature = job["target"]["URL"], job["target"]["MaxTokens"], job["target"]["Temperature"]
body = {"prompt": job["prompt"], "max_tokens": tokens, "temperature": temperature, "ignore_eos": True}


def with_requests():
    import requests

    session = requests.Session()

    def one():
        answer = session.post(url + "/v1/completions", json=body, timeout=600)
        answer.raise_for_status()
        return answer.json()["usage"]

    return one


def with_httpx():
    import httpx

    client = httpx.Client(timeout=600)

    def one():
        answer = client.post(url + "/v1/completions", json=body)
        answer.raise_for_status()
        return answer.json()["usage"]

    return one


def with_openai():
    import openai

    client = openai.OpenAI(base_url=url + "/v1", api_key="none", timeout=600, max_retries=0)
    model = client.models.list().data[0].id

    def one():
        answer = client.completions.create(
            model=model, prompt=job["prompt"], max_tokens=tokens, temperature=temperature, extra_body={"ignore_eos": True}
        )
        return {"prompt_tokens": answer.usage.prompt_tokens, "completion_tokens": answer.usage.completion_tokens}

    return one


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def run(wanted):
    jobs = queue.SimpleQueue()
    for i in range(wanted):
        jobs.put(i)
    result = {"requests": wanted, "ok": 0, "tokens": 0, "prompt_tokens": 0, "failure": ""}
    lock = threading.Lock()

    def client(one):
        while True:
            try:
                jobs.get_nowait()
            except queue.Empty:
                return
            try:
                usage = one()
            except Exception as e:
                with lock:
                    result["failure"] = str(e)
                continue
            with lock:
                result["ok"] += 1
                result["tokens"] += usage["completion_tokens"]
                result["prompt_tokens"] += usage["prompt_tokens"]

    threads = [threading.Thread(target=client, args=(one,)) for one in calls]
    before, start = cpu(), time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    result["seconds"] = time.perf_counter() - start
    result["cpu_seconds"] = cpu() - before
    return result


make = {"requests": with_requests, "httpx": with_httpx, "openai": with_openai}[library]
calls = [make() for _ in range(job["clients"])]  # a session each, as programs have it
print("{}", flush=True)
for line in sys.stdin:
    print(json.dumps(run(job["warmup"] if json.loads(line)["warm"] else job["requests"])), flush=True)

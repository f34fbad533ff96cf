"""The ollama package: chats, generating, what is known about the model."""
import ollama

from suite import *

client = ollama.Client(host=URL)


def ask(text=COUNTING, tokens=8, options=None, **more):
    return client.chat(model=MODEL, messages=more.pop("messages", None) or user(text), options={"num_predict": tokens, "temperature": 0, **(options or {})}, **more)


def generated(prompt, **more):
    return client.generate(model=MODEL, prompt=prompt, options={"num_predict": 6, "temperature": 0}, **more)


def chat():
    a = ask()
    assert a.message.content.startswith("1, 2, 3") and a.done_reason == "length" and a.eval_count == 8 and a.total_duration > 0, a


def no_reasoning():
    assert ask().message.thinking is None


def stream():
    parts = list(ask(stream=True))
    text = "".join(p.message.content for p in parts)
    assert text.startswith("1, 2, 3") and len(parts) > 3 and parts[-1].done and not parts[0].done, parts


def tools():
    def get_weather(city: str) -> str:
        """Get the weather of a city

        Args:
            city: its name
        """
        return ANSWER

    a = ask(QUESTION, 60, tools=[get_weather])
    call = a.message.tool_calls[0]
    weather(call.function.name, call.function.arguments)
    messages = user(QUESTION) + [a.message, {"role": "tool", "tool_name": "get_weather", "content": get_weather(**call.function.arguments)}]
    assert ask(messages=messages, tokens=12).message.content
    streamed = [c for p in ask(QUESTION, 60, tools=[get_weather], stream=True) for c in p.message.tool_calls or []]
    assert len(streamed) == 1, streamed


def stop():
    a = ask(tokens=20, options={"stop": ["4"]})
    assert a.message.content == "1, 2, 3, " and a.done_reason == "stop", a


def logprobs():
    a = ask(tokens=3, logprobs=True, top_logprobs=2)
    assert len(a.logprobs) == 3 and all(len(p.top_logprobs) == 2 for p in a.logprobs), a


def usage():
    a = ask(tokens=2)
    assert a.prompt_eval_count > 10 and a.eval_count == 2 and a.prompt_eval_duration > 0 and a.eval_duration > 0, a


def errors():
    fails(ollama.ResponseError, lambda: client.chat(model="none", messages=user("hi")), status_code=404)
    fails(ollama.ResponseError, lambda: ask(options={"mirostat": 2}), status_code=400)
    fails(ollama.ResponseError, lambda: list(ask("word " * 40000, stream=True)), status_code=400)


def cancel():
    parts = ask(STORY, 4000, stream=True)
    for _ in range(3):
        next(parts)
    assert running() > 0
    parts.close()
    freed()


def models():
    first = client.list().models[0]
    assert first.model == MODEL and first.size > 0 and first.digest and first.modified_at, first


def model_info():
    show = client.show(MODEL)
    assert "tools" in show.capabilities and show.modelinfo["qwen2.context_length"] and show.template and show.details.family == "qwen2", show
    ps = client.ps().models[0]
    assert ps.model == MODEL and ps.context_length and ps.expires_at, ps


def generate():
    a = generated(COUNTING)
    assert a.response.startswith("1, 2") and len(a.context) > 20, a
    assert generated("And again.", context=a.context).prompt_eval_count > a.prompt_eval_count
    assert generated("1, 2, 3, 4, 5,", raw=True).response.startswith(" 6")
    assert "".join(p.response for p in generated(COUNTING, stream=True)) == a.response


def embeddings():
    a = client.embed(MODEL, TEXTS)
    alike(a.embeddings)
    assert a.prompt_eval_count > 0 and a.total_duration > 0, a
    assert len(client.embeddings(MODEL, TEXTS[0]).embedding) == len(a.embeddings[0])


def infill():
    a = client.generate(model=MODEL, prompt="def add(a, b):\n    return ", suffix="\n\nprint(add(1, 2))\n", options={"num_predict": 8, "temperature": 0})
    assert "a + b" in a.response, a


def forms():
    assert json.loads(ask(QUESTION, 60, format=SCHEMA).message.content)["city"]
    assert json.loads(ask("Write a JSON object with your favourite city.", 200, format="json").message.content) is not None


def models_of_the_store():
    name = f"copy-of-python-{os.getpid()}"
    parts = [p.status for p in client.pull(MODEL, stream=True)]
    assert parts[0] == "pulling manifest" and parts[-1] == "success", parts
    assert client.pull(MODEL).status == "success"
    assert client.copy(MODEL, name).status == "success"
    fails(ollama.ResponseError, lambda: client.create(model=name, from_=MODEL), status_code=501)
    fails(ollama.ResponseError, lambda: client.create_blob(__file__), status_code=501)
    fails(ollama.ResponseError, lambda: client.pull("/etc/passwd"), status_code=400)
    assert name in [m.model for m in client.list().models] and client.show(name).details.family == "qwen2"
    assert client.delete(name).status == "success"
    fails(ollama.ResponseError, lambda: client.delete(name), status_code=404)


run("ollama", chat, no_reasoning, stream, tools, stop, logprobs, usage, errors, cancel, models, model_info, generate, infill, forms, embeddings, models_of_the_store)

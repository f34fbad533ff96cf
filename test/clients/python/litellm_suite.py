"""litellm over each of its providers that speak a protocol of this server."""
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look-up of prices on the network
import litellm

litellm.suppress_debug_info = True

from suite import *

PROVIDERS = {"openai": URL + "/v1", "anthropic": URL, "ollama_chat": URL, "hosted_vllm": URL + "/v1"}


def ask(text=COUNTING, tokens=8, provider="openai", model=MODEL, **more):
    return litellm.completion(model=f"{provider}/{model}", api_base=PROVIDERS[provider], api_key="none", num_retries=0,
                              messages=more.pop("messages", None) or user(text), max_tokens=tokens, temperature=0, **more)


def chat():
    for provider in PROVIDERS:
        a = ask(provider=provider)
        assert a.choices[0].message.content.startswith("1, 2, 3") and a.choices[0].finish_reason == "length", (provider, a)


def no_reasoning():
    for provider in PROVIDERS:
        assert not getattr(ask(provider=provider).choices[0].message, "reasoning_content", None), provider


def stream():
    for provider in PROVIDERS:
        text = "".join(c.delta.content or "" for k in ask(provider=provider, stream=True) for c in k.choices)
        assert text.startswith("1, 2, 3"), (provider, text)


def tools():
    for provider in PROVIDERS:
        a = ask(QUESTION, 60, provider, tools=[TOOL]).choices[0].message
        weather(a.tool_calls[0].function.name, a.tool_calls[0].function.arguments)
        messages = user(QUESTION) + [a, {"role": "tool", "tool_call_id": a.tool_calls[0].id, "name": "get_weather", "content": ANSWER}]
        kept = {} if provider == "ollama_chat" else {"tools": [TOOL], "tool_choice": "none"}  # Ollama's protocol has no tool_choice
        assert ask(messages=messages, tokens=12, provider=provider, **kept).choices[0].message.content, provider


def forced_tool():
    choice = {"type": "function", "function": {"name": "get_weather"}}
    for provider in "openai", "anthropic", "hosted_vllm":
        a = litellm.stream_chunk_builder(list(ask(QUESTION, 40, provider, tools=[TOOL], tool_choice=choice, stream=True))).choices[0].message
        weather(a.tool_calls[0].function.name, a.tool_calls[0].function.arguments)


def stop():
    for provider in PROVIDERS:
        assert ask(tokens=20, provider=provider, stop=["4"]).choices[0].message.content.rstrip() == "1, 2, 3,", provider


def n():
    assert len(ask(tokens=4, n=2).choices) == 2


def logprobs():
    assert len(ask(tokens=3, logprobs=True, top_logprobs=2).choices[0].logprobs.content) == 3


def usage():
    for provider in "openai", "anthropic":
        cached = [ask(PADDING + COUNTING, 1, provider).usage.prompt_tokens_details.cached_tokens for _ in range(2)]
        assert cached[1] >= 48, (provider, cached)


def errors():
    for provider in "openai", "anthropic":
        fails(litellm.NotFoundError, lambda: ask(provider=provider, model="gpt-7"), status_code=404)
        fails(litellm.ContextWindowExceededError, lambda: ask("word " * 40000, provider=provider), status_code=400)
    fails(litellm.BadRequestError, lambda: ask(top_p=7), status_code=400)


def cancel():
    parts = ask(STORY, 4000, stream=True)
    for _ in range(3):
        next(parts)
    parts.completion_stream.response.close()
    freed()


def completions():
    a = litellm.text_completion(model="text-completion-openai/" + MODEL, api_base=URL + "/v1", api_key="none", prompt="1, 2, 3, 4, 5,", max_tokens=4, temperature=0)
    assert a.choices[0].text.startswith(" 6"), a


def responses():
    a = litellm.responses(model="openai/" + MODEL, api_base=URL + "/v1", api_key="none", input=COUNTING, max_output_tokens=8, temperature=0)
    assert a.output[0].content[0].text.startswith("1, 2, 3"), a


def responses_stream():
    kinds = [e.type for e in litellm.responses(model="openai/" + MODEL, api_base=URL + "/v1", api_key="none", input=COUNTING, max_output_tokens=8, stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] in ("response.incomplete", "response.completed"), kinds


def forms():
    for provider in "openai", "hosted_vllm", "ollama_chat":
        a = ask(QUESTION, 60, provider, response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}})
        assert json.loads(a.choices[0].message.content)["city"], (provider, a)


def embeddings():
    for provider, base in ("openai", URL + "/v1"), ("hosted_vllm", URL + "/v1"), ("ollama", URL):
        form = {} if provider == "ollama" else {"encoding_format": "float"}
        a = litellm.embedding(model=f"{provider}/{MODEL}", api_base=base, api_key="none", input=TEXTS, **form)
        alike([d["embedding"] for d in a.data])


def rerank():
    a = litellm.rerank(model="hosted_vllm/" + MODEL, api_base=URL, api_key="none", query=TEXTS[0], documents=TEXTS[1:], top_n=1, return_documents=True)
    assert len(a.results) == 1 and a.results[0]["index"] == 0, a


run("litellm", chat, no_reasoning, stream, tools, forced_tool, stop, n, logprobs, usage, errors, cancel, completions, responses, responses_stream, forms, embeddings, rerank)

"""The anthropic package: messages, streams, tools, counting, models."""
import anthropic

from suite import *

client = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0)
TOOL = {"name": FUNCTION["name"], "description": FUNCTION["description"], "input_schema": SCHEMA}


def options(text=COUNTING, tokens=8, **more):
    return {"model": MODEL, "max_tokens": tokens, "messages": user(text), "extra_body": {"temperature": 0}, **more}


def ask(*a, **more):
    return client.messages.create(**options(*a, **more))


def chat():
    m = ask()
    assert m.content[0].text.startswith("1, 2, 3") and m.stop_reason == "max_tokens" and m.usage.output_tokens == 8 and m.type == "message", m


def no_reasoning():
    assert all(b.type == "text" for b in ask().content)


def stream():
    with client.messages.stream(**options()) as s:
        text = "".join(s.text_stream)
        last = s.get_final_message()
    assert text.startswith("1, 2, 3") and last.content[0].text == text and last.usage.output_tokens == 8, last


def events():
    kinds = []
    for e in ask(stream=True):
        if e.type != "ping" and kinds[-1:] != [e.type]:
            kinds.append(e.type)
    assert kinds == ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"], kinds


def tools():
    m = ask(QUESTION, 60, tools=[TOOL])
    call = m.content[-1]
    assert m.stop_reason == "tool_use" and call.type == "tool_use", m
    weather(call.name, call.input)
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": ANSWER}]}]}
    m = ask(tokens=12, messages=user(QUESTION) + [{"role": "assistant", "content": m.content}, result], tools=[TOOL], tool_choice={"type": "none"})
    assert m.content[0].text, m


def forced_tool():
    choice = {"type": "tool", "name": "get_weather"}
    with client.messages.stream(**options(QUESTION, 40, tools=[TOOL], tool_choice=choice)) as s:
        pieces = [e.partial_json for e in s if e.type == "input_json"]
        m = s.get_final_message()
    assert m.stop_reason == "tool_use" and len(pieces) > 1, (m, pieces)
    weather(m.content[0].name, m.content[0].input)


def stop():
    m = ask(tokens=20, stop_sequences=["4"])
    assert m.content[0].text == "1, 2, 3, " and m.stop_reason == "stop_sequence" and m.stop_sequence == "4", m


def usage():
    system = [{"type": "text", "text": PADDING, "cache_control": {"type": "ephemeral"}}]
    cached = [ask("hi", 1, system=system).usage.cache_read_input_tokens for _ in range(2)]
    assert cached[1] >= 48, cached


def beta():
    m = client.beta.messages.create(**options(), betas=["context-management-2025-06-27"], metadata={"user_id": "u"})
    assert m.content[0].text.startswith("1, 2, 3"), m


def errors():
    e = fails(anthropic.NotFoundError, lambda: ask(model="claude-9"), status_code=404)
    assert e.body["error"]["type"] == "not_found_error" and e.request_id, e.body
    fails(anthropic.BadRequestError, lambda: ask("word " * 40000), status_code=400)
    fails(anthropic.BadRequestError, lambda: ask(tokens=0), status_code=400)
    fails(anthropic.BadRequestError, lambda: ask(messages=[{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}]}]), status_code=400)


def cancel():
    with client.messages.stream(**options(STORY, 4000)) as s:
        for _, _ in zip(range(3), s.text_stream):
            pass
        assert running() > 0
    freed()


def models():
    assert client.models.list().data[0].id == MODEL
    assert client.models.retrieve(MODEL).id == MODEL


def count_tokens():
    n = client.messages.count_tokens(model=MODEL, messages=user(COUNTING)).input_tokens
    u = ask(tokens=1).usage
    assert n == u.input_tokens + u.cache_read_input_tokens, (n, u)


run("anthropic", chat, no_reasoning, stream, events, tools, forced_tool, stop, usage, beta, errors, cancel, models, count_tokens)

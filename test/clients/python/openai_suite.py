"""The openai package: chats, completions, responses, models."""
import asyncio

import openai

from suite import *

client = openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)


def ask(text=COUNTING, tokens=8, **more):
    return client.chat.completions.create(model=MODEL, messages=more.pop("messages", None) or user(text), max_tokens=tokens, **{"temperature": 0, **more})


def respond(input=COUNTING, tokens=8, **more):
    return client.responses.create(model=MODEL, input=input, max_output_tokens=tokens, temperature=0, **more)


def chat():
    a = ask()
    assert a.choices[0].message.content.startswith("1, 2, 3") and a.choices[0].finish_reason == "length", a
    assert a.object == "chat.completion" and a.id and a.created and a.model == MODEL, a


def no_reasoning():
    assert "reasoning" not in ask().model_dump_json(exclude_unset=True)


def stream():
    text, usage, reasons = "", None, []
    for chunk in ask(stream=True, stream_options={"include_usage": True}):
        for c in chunk.choices:
            text += c.delta.content or ""
            reasons += [c.finish_reason] if c.finish_reason else []
        usage = chunk.usage or usage
    assert text.startswith("1, 2, 3") and reasons == ["length"] and usage.completion_tokens == 8, (text, reasons, usage)


def stream_helper():
    with client.chat.completions.stream(model=MODEL, messages=user(COUNTING), max_tokens=8, temperature=0) as s:
        kinds = {e.type for e in s}
        try:
            s.get_final_completion()
        except openai.LengthFinishReasonError as e:  # what the package makes of an answer that max_tokens cut
            assert e.completion.choices[0].message.content.startswith("1, 2, 3"), e.completion
    assert "content.delta" in kinds, kinds


def asynchronous():
    async def main():
        async with openai.AsyncOpenAI(base_url=URL + "/v1", api_key="none", max_retries=0) as c:
            answers = await asyncio.gather(*(c.chat.completions.create(model=MODEL, messages=user(COUNTING), max_tokens=4, temperature=0) for _ in range(3)))
        assert len({a.choices[0].message.content for a in answers}) == 1, answers

    asyncio.run(main())


def tools():
    a = ask(QUESTION, 60, tools=[TOOL])
    assert a.choices[0].finish_reason == "tool_calls" and len(a.choices[0].message.tool_calls) == 1, a
    call = a.choices[0].message.tool_calls[0]
    weather(call.function.name, call.function.arguments)
    messages = user(QUESTION) + [a.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": ANSWER}]
    a = ask(messages=messages, tokens=12, tools=[TOOL], tool_choice="none")
    assert a.choices[0].message.content, a


def forced_tool():
    choice = {"type": "function", "function": {"name": "get_weather"}}
    whole = ask(QUESTION, 40, tools=[TOOL], tool_choice=choice).choices[0].message.tool_calls[0]
    weather(whole.function.name, whole.function.arguments)
    name, arguments, ids, pieces = "", "", set(), 0
    for chunk in ask(QUESTION, 40, tools=[TOOL], tool_choice=choice, stream=True):
        for delta in (d for c in chunk.choices for d in c.delta.tool_calls or []):
            assert delta.index == 0, delta
            ids |= {delta.id} if delta.id else set()
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
            pieces += 1
    assert arguments == whole.function.arguments and name == "get_weather" and len(ids) == 1 and pieces > 2, (name, arguments, ids, pieces)


def stop():
    for stream in False, True:
        a = ask(tokens=20, stop=["4", "zebra"], stream=stream)
        text = "".join(c.delta.content or "" for k in a for c in k.choices) if stream else a.choices[0].message.content
        assert text == "1, 2, 3, ", text


def n():
    a = ask(tokens=4, n=3)
    assert [c.index for c in a.choices] == [0, 1, 2] and a.usage.completion_tokens == 12, a


def logprobs():
    content = ask(tokens=3, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert len(content) == 3 and all(t.logprob <= 0 and len(t.top_logprobs) == 2 and t.bytes for t in content), content
    streamed = [t for k in ask(tokens=3, logprobs=True, top_logprobs=2, stream=True) for c in k.choices if c.logprobs for t in c.logprobs.content]
    assert [t.token for t in streamed] == [t.token for t in content], streamed


def usage():
    cached = [ask(PADDING + COUNTING, 1).usage.prompt_tokens_details.cached_tokens for _ in range(2)]
    assert cached[1] >= 48, cached


def errors():
    fails(openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-7", messages=user("hi")), status_code=404, code="model_not_found")
    fails(openai.BadRequestError, lambda: ask("word " * 40000), status_code=400, code="context_length_exceeded")
    fails(openai.BadRequestError, lambda: ask(top_p=7), status_code=400, param="top_p")
    fails(openai.BadRequestError, lambda: ask(response_format={"type": "xml"}), param="response_format")
    fails(openai.BadRequestError, lambda: ask(messages=[{"role": "tool", "content": ANSWER}]), status_code=400)


def forms():
    form = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": {**SCHEMA, "additionalProperties": False}}}
    assert json.loads(ask(QUESTION, 60, response_format=form).choices[0].message.content)["city"]
    text = {"format": {"type": "json_schema", "name": "place", "strict": True, "schema": {**SCHEMA, "additionalProperties": False}}}
    assert json.loads(respond(QUESTION, 60, text=text).output_text)["city"]


def cancel():
    s = ask(STORY, 4000, stream=True)
    for _ in range(3):
        next(s)
    assert running() > 0
    s.close()
    freed()


def models():
    first = client.models.list().data[0]
    assert first.id == MODEL and first.owned_by and first.created, first
    assert client.models.retrieve(MODEL).id == MODEL
    fails(openai.NotFoundError, lambda: client.models.retrieve("org/none"))


def completions():
    ask = dict(model=MODEL, prompt="1, 2, 3, 4, 5,", max_tokens=4, temperature=0)
    a = client.completions.create(**ask, logprobs=1)
    assert a.choices[0].text.startswith(" 6") and len(a.choices[0].logprobs.tokens) == 4, a
    assert "".join(c.text for k in client.completions.create(**ask, stream=True) for c in k.choices) == a.choices[0].text


def infill():
    a = client.completions.create(model=MODEL, prompt="def add(a, b):\n    return ", suffix="\n\nprint(add(1, 2))\n", max_tokens=8, temperature=0)
    assert "a + b" in a.choices[0].text, a


def embeddings():
    compact = client.embeddings.create(model=MODEL, input=TEXTS)  # base64, unless floats are asked for
    plain = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
    alike([d.embedding for d in plain.data], [d.embedding for d in compact.data])
    assert compact.usage.prompt_tokens == plain.usage.total_tokens > 0, compact.usage
    short = client.embeddings.create(model=MODEL, input="x", dimensions=len(plain.data[0].embedding))
    assert len(short.data[0].embedding) == len(plain.data[0].embedding), short
    fails(openai.BadRequestError, lambda: client.embeddings.create(model=MODEL, input="x", dimensions=64), param="dimensions")


def responses():
    r = respond()
    assert r.output_text.startswith("1, 2, 3") and r.status == "incomplete" and r.incomplete_details.reason == "max_output_tokens", r
    assert r.usage.output_tokens == 8 and r.usage.input_tokens_details.cached_tokens >= 0, r.usage
    n = client.responses.input_tokens.count(model=MODEL, input=COUNTING)
    assert n.input_tokens == r.usage.input_tokens, n


def responses_stream():
    kinds, text = [], ""
    for i, e in enumerate(respond(stream=True)):
        assert e.sequence_number == i, e
        kinds.append(e.type)
        text += e.delta if e.type == "response.output_text.delta" else ""
    assert kinds[:2] == ["response.created", "response.in_progress"] and e.response.output_text == text, (kinds, text)
    with client.responses.stream(model=MODEL, input=COUNTING, max_output_tokens=8, temperature=0) as s:  # checks the order of events itself
        last = [e.type for e in s][-1]
    assert last == "response.incomplete", last


def responses_tools():
    tool = {"type": "function", **FUNCTION}
    first = respond(QUESTION, 40, tools=[tool], tool_choice={"type": "function", "name": "get_weather"})
    call = first.output[0]
    assert call.type == "function_call", first
    weather(call.name, call.arguments)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": ANSWER}
    assert respond([output], 12, previous_response_id=first.id).output_text
    assert respond(user(QUESTION) + [i.to_dict() for i in first.output] + [output], 12).output_text


def previous_response():
    first = respond()
    second = respond("And again.", 4, previous_response_id=first.id)
    assert second.previous_response_id == first.id and second.usage.input_tokens > first.usage.total_tokens, second
    fails(openai.BadRequestError, lambda: respond(previous_response_id="resp_none"), code="previous_response_not_found")


def stored_responses():
    first = respond(tokens=4)
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)
    fails(openai.NotFoundError, lambda: client.responses.retrieve(first.id))


run("openai", chat, no_reasoning, stream, stream_helper, asynchronous, tools, forced_tool, stop, n, logprobs, usage, errors, forms, cancel, models, completions, infill, embeddings,
    responses, responses_stream, responses_tools, previous_response, stored_responses)

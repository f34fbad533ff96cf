"""langchain-openai: ChatOpenAI over chat completions and over responses."""
import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

from suite import *


def new(tokens=8, **more):
    return ChatOpenAI(model=more.pop("model", MODEL), base_url=URL + "/v1", api_key="none", max_retries=0, temperature=0, max_tokens=tokens, **more)


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city"""
    return ANSWER


def chat():
    a = new().invoke(COUNTING)
    assert a.content.startswith("1, 2, 3") and a.response_metadata["finish_reason"] == "length", a


def no_reasoning():
    assert "reasoning" not in str(new().invoke(COUNTING).additional_kwargs)


def stream():
    parts = list(new(stream_usage=True).stream(COUNTING))
    whole = sum(parts[1:], parts[0])
    assert whole.content.startswith("1, 2, 3") and len(parts) > 3 and whole.usage_metadata["output_tokens"] == 8, whole


def tools():
    model = new(60).bind_tools([get_weather])
    a = model.invoke(QUESTION)
    weather(a.tool_calls[0]["name"], a.tool_calls[0]["args"])
    result = get_weather.invoke(a.tool_calls[0])
    assert isinstance(result, ToolMessage)
    assert new(12).invoke([HumanMessage(QUESTION), a, result]).content


def forced_tool():
    parts = list(new(40).bind_tools([get_weather], tool_choice="get_weather").stream(QUESTION))
    whole = sum(parts[1:], parts[0])
    weather(whole.tool_calls[0]["name"], whole.tool_calls[0]["args"])


def stop():
    assert new(20).invoke(COUNTING, stop=["4"]).content == "1, 2, 3, "


def n():
    assert len(new(4, n=2).generate([[HumanMessage(COUNTING)]]).generations[0]) == 2


def logprobs():
    a = new(3).bind(logprobs=True, top_logprobs=2).invoke(COUNTING)
    assert len(a.response_metadata["logprobs"]["content"]) == 3, a


def usage():
    cached = [new(1).invoke(PADDING + COUNTING).usage_metadata["input_token_details"]["cache_read"] for _ in range(2)]
    assert cached[1] >= 48, cached


def errors():
    fails(openai.NotFoundError, lambda: new(model="gpt-7").invoke("hi"), status_code=404)
    fails(openai.BadRequestError, lambda: new().invoke("word " * 40000), status_code=400)


def cancel():
    parts = new(4000).stream(STORY)
    for _ in range(3):
        next(parts)
    parts.close()
    freed()


def completions():
    a = OpenAI(model=MODEL, base_url=URL + "/v1", api_key="none", max_retries=0, temperature=0, max_tokens=4).invoke("1, 2, 3, 4, 5,")
    assert a.startswith(" 6"), a


def responses():
    model = new(16, use_responses_api=True)
    a = model.invoke(COUNTING)
    assert a.text.startswith("1, 2, 3") and a.usage_metadata["output_tokens"] == 16, a


def responses_stream():
    parts = list(new(16, use_responses_api=True).stream(COUNTING))
    assert sum(parts[1:], parts[0]).text.startswith("1, 2, 3"), parts


def responses_tools():
    model = new(40, use_responses_api=True).bind_tools([get_weather], tool_choice="get_weather")
    a = model.invoke(QUESTION)
    weather(a.tool_calls[0]["name"], a.tool_calls[0]["args"])
    assert new(16, use_responses_api=True).invoke([HumanMessage(QUESTION), a, get_weather.invoke(a.tool_calls[0])]).text


def forms():
    place = new(60).with_structured_output({"title": "place", **SCHEMA}, method="json_schema")
    assert place.invoke(QUESTION)["city"]


def embeddings():
    model = OpenAIEmbeddings(model=MODEL, base_url=URL + "/v1", api_key="none", max_retries=0, check_embedding_ctx_length=False)
    alike(model.embed_documents(TEXTS))


run("langchain-openai", chat, no_reasoning, stream, tools, forced_tool, stop, n, logprobs, usage, errors, cancel, completions, responses, responses_stream, responses_tools, forms, embeddings)

"""LangChain's and the Agents SDK's clients against a server: ``python other_clients.py URL``.

Runs in an environment of its own, because these clients need another version of `openai` than LiteLLM.
The server's model calls ``get_weather`` when it is offered, and says "It is sunny." when there is a result.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from agents import (
    Agent,
    AsyncOpenAI,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import NotFoundError
from pydantic import BaseModel


class Code(BaseModel):
    """The code of alpha."""

    alpha: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


def langchain(url: str, *, responses: bool) -> None:
    chat = ChatOpenAI(
        model="weaver/adaptive", base_url=url, api_key="none", stream_usage=True, use_responses_api=responses
    )
    answer = chat.invoke("hello")
    assert answer.text == "plain answer", answer
    assert answer.usage_metadata
    assert answer.usage_metadata["total_tokens"] > 0
    chunks = list(chat.stream("hello"))
    assert "".join(c.text for c in chunks) == "plain answer"
    assert sum(bool(c.usage_metadata) for c in chunks) >= 1

    with_tools = chat.bind_tools([get_weather])
    question = HumanMessage("What is the weather in Oslo?")
    first = with_tools.invoke([question])
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oslo"})
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert with_tools.invoke([question, first, result]).text == "It is sunny."
    whole = None
    for chunk in with_tools.stream([question]):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.tool_calls[0]["args"] == {"city": "Oslo"}

    assert chat.with_structured_output(Code).invoke("Give the code as JSON.") == Code(alpha=17)

    unknown = ChatOpenAI(
        model="no/such", base_url=url, api_key="none", use_responses_api=responses, max_retries=0
    )
    expect(NotFoundError, "no/such", lambda: unknown.invoke("hello"))
    for _ in chat.stream("Count slowly."):
        break  # the server's test looks whether the model's connection has been closed


def expect(kind: type[Exception], text: str, call: Callable[[], object]) -> None:
    """Check that a call raises."""
    try:
        call()
    except kind as error:
        message = str(error)
    else:
        raise AssertionError(f"no {kind.__name__}")
    assert text in message, message


@function_tool(name_override="get_weather")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


async def agents(url: str, *, responses: bool) -> None:
    api = AsyncOpenAI(base_url=url, api_key="none")
    kind = OpenAIResponsesModel if responses else OpenAIChatCompletionsModel
    model = kind(model="weaver/adaptive", openai_client=api)
    plain = Agent(name="plain", instructions="Be brief.", model=model)
    result = await Runner.run(plain, "hello")
    assert result.final_output == "plain answer", result
    assert result.context_wrapper.usage.total_tokens > 0

    helper = Agent(name="helper", instructions="Use tools.", model=model, tools=[weather])
    result = await Runner.run(helper, "What is the weather in Oslo?")
    assert result.final_output == "It is sunny.", result

    streamed = Runner.run_streamed(helper, "What is the weather in Oslo?")
    kinds = [event.type async for event in streamed.stream_events()]
    assert streamed.final_output == "It is sunny."
    assert "raw_response_event" in kinds
    assert "run_item_stream_event" in kinds

    missing = Agent(name="missing", model=kind(model="no/such", openai_client=api))
    try:
        await Runner.run(missing, "hello")
    except NotFoundError as error:
        message = str(error)
    else:
        raise AssertionError("an unknown model is no error")
    assert "no/such" in message, message
    left = Runner.run_streamed(plain, "Count slowly.")
    async for event in left.stream_events():
        if event.type == "raw_response_event":
            left.cancel()

    typed = Agent(name="typed", instructions="Give the code as JSON.", model=model, output_type=Code)
    assert (await Runner.run(typed, "Which code?")).final_output == Code(alpha=17)


def main() -> None:
    url = sys.argv[1]
    set_tracing_disabled(True)
    for responses in (False, True):
        langchain(url, responses=responses)
        print(f"langchain-openai, responses={responses}: ok", flush=True)
        asyncio.run(agents(url, responses=responses))
        print(f"openai-agents, responses={responses}: ok", flush=True)


if __name__ == "__main__":
    main()

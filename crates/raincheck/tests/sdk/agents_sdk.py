"""What agents are built with on top of OpenAI's SDK for Python: LangChain, and OpenAI's own. Only OPENAI_BASE_URL and
OPENAI_API_KEY are changed.

The models are those of openai_sdk.py. A Response that is queued would be an empty text to both.
"""

import asyncio

from agents import Agent, Runner, set_tracing_disabled
from langchain_openai import ChatOpenAI

set_tracing_disabled(True)

for use_responses_api in (True, False):
    model = ChatOpenAI(model="quick", use_responses_api=use_responses_api)
    answer = model.invoke("Say hello.")
    assert answer.text and answer.usage_metadata["output_tokens"] > 0, answer
    pieces = [piece.text for piece in model.stream("Say hello.")]
    assert len(pieces) > 1 and "".join(pieces) == answer.text, pieces

agent = Agent(name="greeter", instructions="Be brief.", model="quick")


async def run():
    result = await Runner.run(agent, "Say hello.")
    assert result.final_output and result.raw_responses[0].usage.output_tokens > 0, result
    streamed = Runner.run_streamed(agent, "Say hello.")
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert len(deltas) > 1 and "".join(deltas) == streamed.final_output == result.final_output, deltas


asyncio.run(run())

"""The documented calls of Anthropic's SDK for Python, with only ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY changed."""

import time

import anthropic

# Checks all that it reads against the SDK's models.
client = anthropic.Anthropic(max_retries=0, _strict_response_validation=True)
# Tries again by itself, as SDKs do unless they are told otherwise.
patient = anthropic.Anthropic()
ask = {"model": "claude-sim", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}

message = client.messages.create(**ask)
assert message.type == "message" and message.content[0].text and message.usage.output_tokens > 0, message

counted = client.messages.count_tokens(model=ask["model"], messages=ask["messages"])
assert counted.input_tokens == message.usage.input_tokens, counted

with client.messages.stream(**ask) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text and final.content[0].text == text and final.stop_reason, final

# An upstream that is chosen, a beta, and a message that the SDK takes for too long to be waited for.
raw = client.messages.with_raw_response.create(**ask, extra_body={"upstream": "others"})
assert raw.headers["raincheck-served-by"] == "others/claude-sim", raw.headers
assert client.beta.messages.create(**ask, betas=["context-1m-2025-08-07"]).content[0].text == text
long = ask | {"max_tokens": 64_000}
try:
    client.messages.create(**long)
except ValueError:
    assert client.messages.create(**long, timeout=1_800).content[0].text
else:
    raise AssertionError("the SDK waits for it after all")

# A message as a job: accepted at once, and read later.
raw = client.messages.with_raw_response.create(**ask, extra_headers={"prefer": "respond-async, wait=20"})
assert raw.status_code == 200 and raw.parse().content[0].text == text, raw.text
assert raw.parse().id.startswith("msg_") and raw.headers["request-id"].startswith("req_"), raw.headers

batch = client.messages.batches.create(
    requests=[
        {"custom_id": f"request-{number}", "params": ask | {"model": f"claude-{number}"}}
        for number in range(20)
    ]
)
assert batch.id.startswith("msgbatch_") and batch.processing_status == "in_progress", batch
assert batch.request_counts.processing == 20, batch
while batch.processing_status != "ended":
    time.sleep(0.2)
    batch = client.messages.batches.retrieve(batch.id)
assert batch.request_counts.succeeded == 20 and batch.results_url, batch
results = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
assert len(results) == 20 and all(result.type == "succeeded" for result in results.values()), results
assert results["request-3"].message.content[0].text, results

second = client.messages.batches.create(requests=[{"custom_id": "only", "params": ask}])
assert [one.id for one in client.messages.batches.list(limit=1)] == [second.id, batch.id]
assert [one.id for one in client.messages.batches.list(limit=1, before_id=batch.id)] == [second.id]
cancelled = client.messages.batches.cancel(batch.id)
assert cancelled.processing_status == "ended" and cancelled.request_counts.succeeded == 20, cancelled
assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
for call in (
    lambda: client.messages.batches.retrieve(batch.id),
    lambda: client.messages.batches.retrieve("msgbatch_1"),
):
    try:
        call()
    except anthropic.NotFoundError as error:
        assert error.body["error"]["type"] == "not_found_error" and error.request_id.startswith("req_"), error.body
    else:
        raise AssertionError("it should not be found")

assert [model.id for model in client.models.list(limit=1)] == ["claude-listed", "claude-sim"]
assert client.models.retrieve("claude-sim").display_name == "claude-sim"


def refused(call, status, kind):
    began = time.monotonic()
    try:
        call()
    except anthropic.APIStatusError as error:
        assert (error.status_code, error.body["error"]["type"]) == (status, kind), error
        assert error.request_id and error.body["request_id"] == error.request_id, (error.request_id, error.body)
        assert time.monotonic() - began < 10, "the gate asks again, and the SDK does not on top of it"
        return error
    raise AssertionError("it was taken")


# What passes is tried again by the server, and the client, which tries nothing again, hears nothing of it.
assert client.messages.create(**ask | {"model": "overloaded-once"}).content[0].text
overloaded = refused(lambda: patient.messages.create(**ask | {"model": "overloaded"}), 529, "overloaded_error")
assert overloaded.response.headers["retry-after"] == "1", overloaded.response.headers
assert overloaded.response.headers["x-should-retry"] == "false", overloaded.response.headers
refused(lambda: patient.messages.create(**ask | {"model": "status-413"}), 413, "invalid_request_error")
refused(lambda: client.models.retrieve("none"), 404, "not_found_error")
stranger = anthropic.Anthropic(api_key="rc_none_00000000000000000000000000000000", max_retries=0)
refused(lambda: stranger.messages.create(**ask), 401, "authentication_error")

# What breaks in the middle is not taken for whole.
for model in ("error-mid", "reset-mid"):
    try:
        with client.messages.stream(**ask | {"model": model}) as stream:
            stream.get_final_message()
    except Exception as error:
        assert model == "reset-mid" or isinstance(error, anthropic.APIStatusError), error
    else:
        raise AssertionError(f"{model} was taken for whole")

try:
    client.messages.batches.create(requests=[])
except anthropic.BadRequestError as error:
    assert "1 to 10000 requests" in str(error), error
else:
    raise AssertionError("a batch without requests should be refused")

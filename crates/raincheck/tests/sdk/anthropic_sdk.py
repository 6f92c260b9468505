"""The documented calls of Anthropic's SDK for Python, with only ANTHROPIC_BASE_URL changed."""

import time

import anthropic

client = anthropic.Anthropic(api_key="any-key", max_retries=0)
ask = {"model": "claude-sim", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}

message = client.messages.create(**ask)
assert message.type == "message" and message.content[0].text and message.usage.output_tokens > 0, message

with client.messages.stream(**ask) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text and final.content[0].text == text and final.stop_reason, final

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

assert [one.id for one in client.messages.batches.list(limit=1)][0] == batch.id
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

try:
    client.messages.batches.create(requests=[])
except anthropic.BadRequestError as error:
    assert "1 to 10000 requests" in str(error), error
else:
    raise AssertionError("a batch without requests should be refused")

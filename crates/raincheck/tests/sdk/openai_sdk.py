"""The documented calls of OpenAI's SDK for Python, with only OPENAI_BASE_URL changed.

Behind the server the simulator has the models `quick`; `slow`, which takes some seconds; `cut`, whose first answer ends in the
middle; and `refused`.
"""

import io
import json
import time

import openai

KEY = "a-server-without-keys-asks-for-none"
client = openai.OpenAI(api_key=KEY, max_retries=0)
strict = openai.OpenAI(api_key=KEY, max_retries=0, _strict_response_validation=True)


def ended(response, by=client, limit=30):
    until = time.monotonic() + limit
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < until, response
        time.sleep(0.1)
        response = by.responses.retrieve(response.id)
    return response


def text_of(response):
    return "".join(part.text for item in response.output if item.type == "message" for part in item.content)


def background():
    for by in (client, strict):
        response = by.responses.create(model="quick", input="Say hello.", background=True, metadata={"a": "b"})
        assert response.status == "queued" and response.output == [], response
        response = ended(response, by)
        assert response.status == "completed" and response.output_text, response
        assert response.output_text == text_of(response) and response.metadata == {"a": "b"}
        assert response.usage.total_tokens > 0


def streamed_and_resumed():
    seen = []
    with client.responses.create(model="slow", input="Tell me.", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if len(seen) == 8:
                break
    assert [event.type for event in seen[:3]] == ["response.created", "response.queued", "response.in_progress"]
    ident = seen[0].response.id
    rest = list(client.responses.retrieve(ident, stream=True, starting_after=seen[-1].sequence_number))
    events = seen + rest
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed" and events[-1].response.id == ident
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = client.responses.retrieve(ident)
    assert deltas == final.output_text == events[-1].response.output_text
    again = list(client.responses.retrieve(ident, stream=True))
    assert [event.to_json() for event in again] == [event.to_json() for event in events]


def helper(model="slow"):
    response = client.responses.create(model=model, input="Tell me.", background=True)
    with client.responses.stream(response_id=response.id, starting_after=2) as stream:
        numbers = [event.sequence_number for event in stream if hasattr(event, "sequence_number")]
        final = stream.get_final_response()
    assert numbers == list(range(3, 3 + len(numbers))), numbers
    assert final.id == response.id and final.status == "completed" and final.output_text
    assert client.responses.retrieve(response.id).output_text == final.output_text
    return response.id


def text_that_starts_anew():
    ident = helper("cut")
    events = list(client.responses.retrieve(ident, stream=True))
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.item.status for event in done] == ["incomplete", "completed"], done
    assert [event.output_index for event in done] == [0, 1]
    last = "".join(
        event.delta for event in events if event.type == "response.output_text.delta" and event.output_index == 1
    )
    assert last == events[-1].response.output_text


def cancelled():
    response = client.responses.create(model="slow", input="Tell me.", background=True)
    for _ in range(2):
        assert client.responses.cancel(response.id).status == "cancelled"
    assert ended(response).status == "cancelled"
    completed = ended(client.responses.create(model="quick", input="x", background=True))
    assert client.responses.cancel(completed.id).status == "completed"
    client.responses.delete(response.id)
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        try:
            call(response.id)
        except openai.NotFoundError as error:
            assert error.request_id and error.type == "invalid_request_error", error
        else:
            raise AssertionError("it is still there")


def failed():
    response = ended(strict.responses.create(model="refused", input="x", background=True), strict)
    assert response.status == "failed" and response.error.code and response.error.message, response


def input_items():
    messages = [{"role": "user", "content": str(number)} for number in range(5)]
    response = client.responses.create(model="quick", input=messages, background=True)
    items = list(client.responses.input_items.list(response.id, limit=2, order="asc"))
    assert [item.content[0].text for item in items] == ["0", "1", "2", "3", "4"]


def passed_on():
    messages = [{"role": "user", "content": "Say hello."}]
    chat = client.chat.completions.create(model="quick", messages=messages)
    assert chat.choices[0].message.content
    stream = client.chat.completions.create(model="quick", messages=messages, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == chat.choices[0].message.content
    response = client.responses.create(model="quick", input="Say hello.")
    assert response.status == "completed" and response.output_text
    with client.responses.stream(model="quick", input="Say hello.") as stream:
        assert stream.get_final_response().output_text
    assert len(client.embeddings.create(model="quick", input=["a", "b"]).data) == 2
    assert client.images.generate(model="quick", prompt="a fox").data
    assert [model.id for model in client.models.list()] == ["cut", "quick", "refused", "slow"]
    raw = client.chat.completions.with_raw_response.create(model="quick", messages=messages)
    assert raw.headers["raincheck-served-by"] == "sim/quick", raw.headers


def asynchronous():
    reply = client.chat.completions.with_raw_response.create(
        model="quick", messages=[], extra_headers={"Prefer": "respond-async"}
    )
    assert reply.status_code == 202 and json.loads(reply.text() if callable(reply.text) else reply.text)["kind"] == "llm.chat"


def files_and_batches():
    lines = [
        {"custom_id": f"c{n}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": model, "messages": []}}
        for n, model in enumerate(["quick", "refused", "quick"])
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("calls.jsonl", io.BytesIO(content)), purpose="batch")
    assert file.bytes == len(content) and client.files.retrieve(file.id).filename == "calls.jsonl"
    assert client.files.content(file.id).read() == content
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    until = time.monotonic() + 30
    while batch.status in ("validating", "in_progress", "finalizing"):
        assert time.monotonic() < until, batch
        time.sleep(0.2)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed" and batch.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    output = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in output] == ["c0", "c2"]
    assert output[0]["response"]["body"]["choices"][0]["message"]["content"]
    error = json.loads(client.files.content(batch.error_file_id).text)
    assert error["custom_id"] == "c1" and error["response"]["status_code"] == 400, error
    assert batch.id in [other.id for other in client.batches.list(limit=1)]
    assert client.batches.cancel(batch.id).status == "completed"
    assert client.files.delete(file.id).deleted
    assert file.id not in [other.id for other in client.files.list(purpose="batch")]


def files_in_calls():
    file = client.files.create(file=("scores.txt", b"Seven of ten."), purpose="user_data")

    def ask(ident):
        content = [{"type": "input_file", "file_id": ident}, {"type": "input_text", "text": "Score it."}]
        return {"model": "quick", "input": [{"role": "user", "content": content}]}

    response = ended(client.responses.create(**ask(file.id), background=True))
    assert response.status == "completed" and response.output_text, response
    waited_for = client.responses.create(**ask(file.id))
    assert waited_for.status == "completed" and waited_for.output_text, waited_for
    events = list(client.responses.create(**ask(file.id), stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.output_text
    content = [{"type": "file", "file": {"file_id": file.id}}, {"type": "text", "text": "Score it."}]
    chat = client.chat.completions.create(model="quick", messages=[{"role": "user", "content": content}])
    assert chat.choices[0].message.content
    assert client.files.delete(file.id).deleted
    try:
        client.responses.create(**ask(file.id), background=True)
    except openai.BadRequestError as error:
        assert error.param == "input[0].content[0].file_id", error
    else:
        raise AssertionError("it was taken")


def errors():
    try:
        client.responses.create(model="quick", input="x", background=True, store="maybe")
    except openai.BadRequestError as error:
        assert error.param == "store" and error.request_id, error
    else:
        raise AssertionError("it was taken")
    try:
        client.chat.completions.create(model="refused", messages=[])
    except openai.BadRequestError as error:
        assert error.response.headers["x-should-retry"] == "false", error
    else:
        raise AssertionError("it was taken")


for case in (
    background,
    streamed_and_resumed,
    helper,
    text_that_starts_anew,
    cancelled,
    failed,
    input_items,
    passed_on,
    asynchronous,
    files_and_batches,
    files_in_calls,
    errors,
):
    case()
    print("ok", case.__name__, flush=True)
print("openai", openai.__version__)

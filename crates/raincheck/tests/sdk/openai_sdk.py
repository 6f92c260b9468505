"""The documented calls of OpenAI's SDK for Python, with only OPENAI_BASE_URL and OPENAI_API_KEY changed.

Behind the server the simulator has the models `quick`; `slow`, which takes some seconds; `cut`, whose first answer ends in the
middle; and `refused`. A second upstream, `faulty`, takes all others: `status-N`, which is refused with that status; `throttled`,
which has reached its limit at first; `quota-N`, whose account is empty, and which is to be asked again in N seconds; `error-mid`
and `reset-mid`, which break in the middle; and `silent`, which says nothing for longer than a stream is without a sign of life.
"""

import io
import json
import threading
import time

import openai

# Checks all that it reads against the SDK's models.
client = openai.OpenAI(max_retries=0, _strict_response_validation=True)
lenient = openai.OpenAI(max_retries=0)
# Tries again by itself, as SDKs do unless they are told otherwise.
patient = openai.OpenAI(timeout=30)
MESSAGES = [{"role": "user", "content": "Say hello."}]


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
    for by in (client, lenient):
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
    streamed = client.responses.retrieve(response.id, stream=True)
    assert [event for event in streamed][-1].response.status == "cancelled"
    client.responses.delete(response.id)
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        try:
            call(response.id)
        except openai.NotFoundError as error:
            assert error.request_id and error.type == "invalid_request_error", error
        else:
            raise AssertionError("it is still there")


def failed():
    response = ended(client.responses.create(model="refused", input="x", background=True))
    assert response.status == "failed" and response.error.code and response.error.message, response


def input_items():
    messages = [{"role": "user", "content": str(number)} for number in range(5)]
    response = client.responses.create(model="quick", input=messages, background=True)
    items = list(client.responses.input_items.list(response.id, limit=2, order="asc"))
    assert [item.content[0].text for item in items] == ["0", "1", "2", "3", "4"]


def passed_on():
    chat = client.chat.completions.create(model="quick", messages=MESSAGES)
    assert chat.choices[0].message.content
    stream = client.chat.completions.create(model="quick", messages=MESSAGES, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == chat.choices[0].message.content
    response = client.responses.create(model="quick", input="Say hello.")
    assert response.status == "completed" and response.output_text
    if hasattr(client.responses, "input_tokens"):
        counted = client.responses.input_tokens.count(model="quick", input="Say hello.")
        assert counted.input_tokens == response.usage.input_tokens, counted
    with client.responses.stream(model="quick", input="Say hello.") as stream:
        assert stream.get_final_response().output_text
    # Unless it is told otherwise the SDK asks for base64, which its own model refuses.
    assert len(lenient.embeddings.create(model="quick", input=["a", "b"]).data) == 2
    assert client.embeddings.create(model="quick", input="a", encoding_format="float").data[0].embedding
    assert client.images.generate(model="quick", prompt="a fox").data
    assert [model.id for model in client.models.list()] == ["cut", "quick", "refused", "slow"]
    for named, served in ((None, "sim/quick"), ("faulty", "faulty/quick")):
        body = {"upstream": named} if named else None
        raw = client.chat.completions.with_raw_response.create(model="quick", messages=MESSAGES, extra_body=body)
        assert raw.headers["raincheck-served-by"] == served, raw.headers
    refused(openai.NotFoundError, lambda: chatted("quick", extra_body={"upstream": "none"}), param="upstream")


def chatted(model, by=client, **more):
    return by.chat.completions.create(model=model, messages=MESSAGES, **more)


def refused(kind, call, param=None):
    try:
        call()
    except kind as error:
        assert type(error) is kind and error.request_id and error.param == param, (error, error.body)
        return error
    raise AssertionError("it was taken")


def asynchronous():
    reply = client.chat.completions.with_raw_response.create(
        model="quick", messages=MESSAGES, extra_headers={"Prefer": "respond-async"}
    )
    job = json.loads(reply.text() if callable(reply.text) else reply.text)
    assert reply.status_code == 202 and job["kind"] == "llm.chat", job
    until = time.monotonic() + 30
    while True:
        try:
            stored = client.chat.completions.retrieve(job["id"].replace("job_", "chatcmpl-"))
            break
        except openai.ConflictError:
            assert time.monotonic() < until, job
            time.sleep(0.1)
    assert stored.choices[0].message.content == chatted("quick").choices[0].message.content


def after_another():
    first = ended(client.responses.create(model="quick", input="One.", background=True))
    passed = client.responses.create(model="quick", input="Two.", previous_response_id=first.id)
    assert passed.status == "completed" and passed.output_text, passed
    made = client.responses.create(model="quick", input="Two.", previous_response_id=first.id, background=True)
    assert ended(made).previous_response_id == first.id


def statuses():
    for status, kind in (
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (500, openai.InternalServerError),
    ):
        error = refused(kind, lambda: chatted(f"status-{status}", by=patient))
        assert error.response.headers["x-should-retry"] == "false", error.response.headers


def waits():
    began = time.monotonic()
    for said, told in ((1, "1"), (61, "60"), (130, "60")):
        error = refused(openai.RateLimitError, lambda: chatted(f"quota-{said}", by=patient))
        assert error.response.headers["retry-after"] == told and error.code == "insufficient_quota", error
    assert time.monotonic() - began < 5, "nobody is to wait for an account to be filled"
    # What passes is waited for by the server, and the client, which tries nothing again, hears nothing of it.
    assert chatted("throttled").choices[0].message.content


def broken_in_the_middle():
    for model in ("error-mid", "reset-mid"):
        seen = []
        try:
            seen.extend(chatted(model, stream=True))
        except Exception as error:
            assert model == "reset-mid" or isinstance(error, openai.APIError), error
        else:
            raise AssertionError(f"{model} was taken for whole: {seen}")


def silent():
    stream = client.responses.create(model="silent", input="Tell me.", background=True, stream=True)
    assert [event for event in stream][-1].response.output_text


def files_and_batches():
    lines = [
        {"custom_id": f"c{n}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": model, "messages": []}}
        for n, model in enumerate(["quick", "refused", "quick"])
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    expiry = {"anchor": "created_at", "seconds": 3_600}
    file = client.files.create(file=("calls.jsonl", io.BytesIO(content)), purpose="batch", expires_after=expiry)
    assert file.expires_at == file.created_at + 3_600, file
    assert file.bytes == len(content) and client.files.retrieve(file.id).filename == "calls.jsonl"
    assert client.files.content(file.id).read() == content
    assert client.files.wait_for_processing(file.id).status == "processed"
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        output_expires_after=expiry,
    )
    until = time.monotonic() + 30
    while batch.status in ("validating", "in_progress", "finalizing"):
        assert time.monotonic() < until, batch
        time.sleep(0.2)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed" and batch.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    output = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in output] == ["c0", "c2"]
    assert output[0]["response"]["body"]["choices"][0]["message"]["content"]
    assert client.files.retrieve(batch.output_file_id).expires_at, batch
    error = json.loads(client.files.content(batch.error_file_id).text)
    assert error["custom_id"] == "c1" and error["response"]["status_code"] == 400, error
    assert batch.id in [other.id for other in client.batches.list(limit=1)]
    assert client.batches.cancel(batch.id).status == "completed"
    bad = client.files.create(file=("bad.jsonl", content.replace(b"c1", b"c0")), purpose="batch")
    batch = client.batches.create(input_file_id=bad.id, endpoint="/v1/chat/completions", completion_window="24h")
    while batch.status in ("validating", "in_progress"):
        assert time.monotonic() < until, batch
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "failed" and [mistake.line for mistake in batch.errors.data] == [2], batch
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


def uploads():
    content = b"0123456789" * 1_000
    upload = client.uploads.upload_file_chunked(
        file=content, filename="a.txt", bytes=len(content), mime_type="text/plain", purpose="user_data", part_size=4_096
    )
    assert upload.status == "completed" and upload.file.bytes == len(content), upload
    assert client.files.content(upload.file.id).read() == content
    upload = client.uploads.create(bytes=3, filename="b.txt", mime_type="text/plain", purpose="user_data")
    part = client.uploads.parts.create(upload.id, data=b"abc")
    assert part.upload_id == upload.id and client.uploads.cancel(upload.id).status == "cancelled", part
    refused(openai.NotFoundError, lambda: client.uploads.complete(upload.id, part_ids=[part.id]))


def errors():
    wrong = {"model": "quick", "input": "x", "background": True, "store": "maybe"}
    refused(openai.BadRequestError, lambda: client.responses.create(**wrong), param="store")
    error = refused(openai.BadRequestError, lambda: chatted("refused"))
    assert error.code == "content_policy_violation" and error.response.headers["x-should-retry"] == "false", error
    stranger = openai.OpenAI(api_key="rc_none_00000000000000000000000000000000", max_retries=0)
    assert refused(openai.AuthenticationError, lambda: chatted("quick", by=stranger)).code == "invalid_api_key"


def in_silence(results):
    try:
        results.append(silent())
    except BaseException as error:
        results.append(error)


# Longer than all the others together, so it is done beside them; and by one version, for it is the server that is tried.
beside, results = None, []
if openai.__version__.startswith("3."):
    beside = threading.Thread(target=in_silence, args=(results,))
    beside.start()
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
    after_another,
    statuses,
    waits,
    broken_in_the_middle,
    files_and_batches,
    files_in_calls,
    uploads,
    errors,
):
    case()
    print("ok", case.__name__, flush=True)
if beside:
    beside.join()
    assert results == [None], results
print("openai", openai.__version__)

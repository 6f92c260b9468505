"""The documented calls of Replicate's SDK for Python, with only REPLICATE_BASE_URL changed."""

import json

import replicate
from receiver import Receiver
from replicate.exceptions import ModelError, ReplicateError

MODEL = "owner/painter"
URL = "https://cdn.example/1.png"

# Done while the client waits; and not done in that time, which must not be taken for the end.
for prompt in ("a fox", "a while"):
    output = replicate.run(MODEL, input={"prompt": prompt})
    assert [str(file) for file in output] == [URL], (prompt, output)

output = replicate.run(f"{MODEL}:0123456789abcdef", input={"prompt": "a fox"})
assert output["seed"] == 7 and output["model"] == "0123456789abcdef", output

prediction = replicate.predictions.create(version="0123456789abcdef", input={"prompt": "a fox"})
assert prediction.status == "starting" and prediction.version == "0123456789abcdef", prediction
prediction.wait()
assert prediction.status == "succeeded" and "painting" in prediction.logs, prediction
assert replicate.predictions.get(prediction.id).input == {"prompt": "a fox"}

events = list(replicate.models.predictions.create(MODEL, {"prompt": "a fox"}).stream())
assert [event.event.value for event in events] == ["logs", "logs", "output", "done"], events
assert all(event.id for event in events) and str(events[2].data) == URL, events

slow = replicate.models.predictions.create(MODEL, {"prompt": "slow"})
slow.cancel()
slow.wait()
assert slow.status == "canceled", slow

try:
    replicate.run(MODEL, input={"prompt": "refused"})
except ModelError as error:
    assert "too rude" in str(error), error
else:
    raise AssertionError("it should have failed")

assert slow.id in [one.id for one in replicate.predictions.list()]

receiver = Receiver()
told = replicate.predictions.create(
    version="0123456789abcdef",
    input={"prompt": "a fox"},
    webhook=receiver.url,
    webhook_events_filter=["start", "completed"],
)
secret = replicate.webhooks.default.secret()
for status in ("processing", "succeeded"):
    headers, body = receiver.next()
    replicate.webhooks.validate(headers=headers, body=body, secret=secret)
    prediction = json.loads(body)
    assert (prediction["id"], prediction["status"]) == (told.id, status), prediction
assert prediction["output"]["seed"] == 7, prediction

try:
    replicate.predictions.create(version="a", input={}, webhook="https://10.0.0.1/hook")
except ReplicateError as error:
    assert error.status == 422 and "not public" in error.detail, error
else:
    raise AssertionError("a webhook within the server's own network should be refused")

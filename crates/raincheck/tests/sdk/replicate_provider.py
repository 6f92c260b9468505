"""Replicate's SDK for Python, with predictions of Replicate's behind the server: their logs, their output, and their end."""

import replicate

MODEL = "owner/painter"
LINES = [f"{percent}% of the simulated work is done" for percent in (0, 25, 50, 75, 100)]


def said(prediction):
    return [line for line in (prediction.logs or "").splitlines() if "% of" in line]


output = replicate.run(MODEL, input={"prompt": "a fox"})
assert len(output) == 4 and all(isinstance(word, str) for word in output), output

prediction = replicate.models.predictions.create(MODEL, {"prompt": "a fox"})
prediction.wait()
assert prediction.status == "succeeded" and prediction.output == output, prediction
assert said(prediction) == LINES, prediction.logs

slow = replicate.models.predictions.create(MODEL, {"prompt": "another fox"})
while LINES[0] not in said(slow):
    slow.reload()
    assert slow.status in ("starting", "processing"), slow
slow.cancel()
slow.wait()
assert slow.status == "canceled", slow

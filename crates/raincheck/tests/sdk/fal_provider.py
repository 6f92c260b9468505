"""FAL's client for Python, with a queue of FAL's behind the server: its place, its log, its result, and its end."""

import fal_client

APP = "fal-ai/flux/dev"
LINES = [f"{percent}% of the simulated work is done" for percent in (0, 25, 50, 75, 100)]


def said(status):
    return [log["message"] for log in getattr(status, "logs", None) or []]


seen = []
result = fal_client.subscribe(APP, {"prompt": "a fox", "num_images": 2}, with_logs=True, on_queue_update=seen.append)
assert len(result["images"]) == 2 and result["prompt"] == "a fox", result
last = said(seen[-1])
assert isinstance(seen[-1], fal_client.Completed), seen
assert [line for line in last if "% of" in line] == LINES, last
assert any(line.startswith("In the upstream's queue, ") for line in last), last
# What is told grows: nothing that was said is taken back.
told = [said(status) for status in seen if said(status)]
assert len(told) > 2 and all(after[: len(before)] == before for before, after in zip(told, told[1:])), told

handle = fal_client.submit(APP, {"prompt": "a fox"})
for status in handle.iter_events(with_logs=True):
    if LINES[0] in said(status):
        handle.cancel()
        break
for status in handle.iter_events():
    pass
assert status.error_type == "client_cancelled", status

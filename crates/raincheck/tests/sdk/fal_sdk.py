"""The documented calls of FAL's client for Python, led here by its environment variables alone."""

import json
import os
import time
import urllib.request

import fal_client
from receiver import Receiver

APP = "fal-ai/flux/dev"

seen, logs = [], []


def on_update(status):
    seen.append(type(status).__name__)
    logs.extend(log["message"] for log in getattr(status, "logs", None) or [])


result = fal_client.subscribe(APP, {"prompt": "a fox"}, with_logs=True, on_queue_update=on_update)
assert result["seed"] == 7 and result["model"] == APP and result["asked"] == {"prompt": "a fox"}, result
assert seen[-1] == "Completed" and "painting" in logs, (seen, logs)

# A status that does not change is held: ten questions a second become a few in all.
began, seen[:] = time.monotonic(), []
handle = fal_client.submit(APP, {"prompt": "a while"})
for status in handle.iter_events(with_logs=False):
    on_update(status)
took = time.monotonic() - began
assert seen[-1] == "Completed" and len(seen) < 40, (took, len(seen), seen)
assert handle.get() == fal_client.result(APP, handle.request_id)
assert isinstance(fal_client.status(APP, handle.request_id, with_logs=True), fal_client.Completed)

assert fal_client.run(APP, {"prompt": "at once"})["asked"] == {"prompt": "at once"}

refused = fal_client.submit(APP, {"prompt": "refused"})
try:
    refused.get()
except fal_client.client.FalClientHTTPError as error:
    assert "too rude" in str(error) and error.status_code == 500, error
else:
    raise AssertionError("it should have failed")
assert "too rude" in refused.status().error, refused.status()

cancelled = fal_client.submit(APP, {"prompt": "slow"})
cancelled.cancel()
for status in cancelled.iter_events():
    pass
assert status.error_type == "client_cancelled", status

# A time-out of the client's own: it takes back what it no longer waits for.
ids = []
try:
    fal_client.subscribe(APP, {"prompt": "slow"}, client_timeout=2, on_enqueue=ids.append)
except fal_client.client.FalClientTimeoutError:
    given_up = fal_client.SyncRequestHandle.from_request_id(fal_client.SyncClient()._client, APP, ids[0])
    for status in given_up.iter_events():
        pass
    assert status.error_type == "client_cancelled", status
else:
    raise AssertionError("it should have been given up")

def queue(what):
    url = f"{os.environ['RAINCHECK']}/v1/queues/image.generate/{what}"
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30).close()


# What does not start in its time, here because its queue is paused, ends and is not asked for again.
queue("pause")
late = fal_client.submit(APP, {"prompt": "a fox"}, start_timeout=1.5, priority="low", hint="any")
for call in (late.get, lambda: fal_client.run(APP, {"prompt": "a fox"}, start_timeout=1.5)):
    began = time.monotonic()
    try:
        call()
    except fal_client.client.FalClientHTTPError as error:
        assert error.status_code == 504 and "did not start" in str(error), error
        assert error.response.headers["x-fal-request-timeout-type"] == "user", error.response.headers
        assert time.monotonic() - began < 5, "it was asked for again"
    else:
        raise AssertionError("it started all the same")
queue("resume")

receiver = Receiver()
told = fal_client.submit(APP, {"prompt": "a fox"}, webhook_url=receiver.url)
body = json.loads(receiver.next()[1])
assert (body["request_id"], body["status"]) == (told.request_id, "OK") and body["payload"] == told.get(), body

"""What a webhook is told is verified by OpenAI's SDK for Python, which knows the Standard Webhooks specification."""

import json
import os
import urllib.request

from openai import InvalidWebhookSignatureError, OpenAI
from receiver import Receiver

base, receiver = os.environ["RAINCHECK"], Receiver()


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


job = call("/v1/jobs", {"kind": "echo", "input": {"score": 87}, "webhook": receiver.url})
headers, body = receiver.next()
client = OpenAI(api_key="any", webhook_secret=call("/v1/webhooks/secret")["secret"])
client.webhooks.verify_signature(body, headers)
told = json.loads(body)
assert told["type"] == "job.completed" and told["data"]["id"] == job["id"], told
assert told["data"]["result"] == {"score": 87}, told

try:
    client.webhooks.verify_signature(body.replace("87", "99"), headers)
except InvalidWebhookSignatureError:
    pass
else:
    raise AssertionError("what was changed on the way should not be taken")

"""A worker of image.generate: says how far it is, and gives what the prompt asks for."""

import json
import sys
import threading
import time
import urllib.request

base = sys.argv[1]


def post(path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def work(lease):
    job, fence, given = lease["job"]["id"], lease["fence"], lease["input"]
    prompt = given["input"].get("prompt", "")

    def write(what, body):
        return post(f"/v1/leases/{job}/{what}", {"fence": fence, **body})

    def say(message, current):
        write("events", {"events": [{"progress": {"current": current, "total": 2, "message": message}}]})

    say("loading", 0)
    until = time.monotonic() + (60 if prompt == "slow" else 3 if prompt == "a while" else 0.2)
    while time.monotonic() < until:
        time.sleep(0.1)
        beat = post("/v1/leases/heartbeat", {"leases": [{"job": job, "fence": fence}]})["leases"][0]
        if beat["cancel_requested"] or not beat["held"]:
            write("finish", {"released": True})
            return
    if prompt == "refused":
        write("finish", {"error": {"detail": "the prompt is too rude", "retry": False}})
        return
    say("painting", 1)
    result = ["https://cdn.example/1.png"] if ":" in given["model"] or given["model"].startswith("owner/") else {
        "images": [{"url": "https://cdn.example/1.png"}], "seed": 7, "model": given["model"], "asked": given["input"],
    }
    write("finish", {"result": result})


while True:
    for lease in post("/v1/leases", {"worker": "painter", "kinds": [{"kind": "image.generate", "max": 4}], "wait": 20})["leases"]:
        threading.Thread(target=work, args=(lease,), daemon=True).start()

"""A worker in another process: leases a job, keeps the lease, and does what it is told on standard input."""

import json
import queue
import sys
import threading
import urllib.error
import urllib.request

base, name = sys.argv[1], sys.argv[2]


def post(path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=40) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def say(*words):
    print(*words, flush=True)


while True:
    status, reply = post("/v1/leases", {"worker": name, "kinds": [{"kind": "remote", "max": 1}], "lease_seconds": 1, "wait": 30})
    assert status == 200, reply
    if reply["leases"]:
        break
lease = reply["leases"][0]
job, fence = lease["job"]["id"], lease["fence"]
say("leased", job, fence)


def write(what, body):
    status, reply = post(f"/v1/leases/{job}/{what}", {"fence": fence, **body})
    say(what, status, reply.get("type", "-"))


def beat():
    _, reply = post("/v1/leases/heartbeat", {"leases": [{"job": job, "fence": fence}], "lease_seconds": 1})
    return reply["leases"][0]["held"]


orders = queue.Queue()


def listen():
    for line in sys.stdin:
        orders.put(line.strip())
    orders.put("end")


threading.Thread(target=listen, daemon=True).start()
while True:
    # Woken too late by SIGCONT, it does not know that it was stopped, and goes on where it was.
    try:
        order = orders.get(timeout=0.25)
    except queue.Empty:
        beat()
        continue
    if order == "progress":
        write("events", {"events": [{"progress": {"percent": 90, "message": f"by {name}"}}, {"output": {"by": name}}]})
    elif order == "finish":
        write("finish", {"result": {"by": name}})
    elif order == "beat":
        say("beat", beat(), "-")
    else:
        break

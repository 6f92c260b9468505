"""Scores transcripts of calls by a rubric, all at once and in the background, and times how the server answers meanwhile.

    python diagnose.py rubric.md calls/*.txt

OPENAI_BASE_URL says where the server is, OPENAI_API_KEY who asks, DIAGNOSTICS_MODEL which model scores (`scorer`).
"""

import collections
import json
import os
import pathlib
import sys
import time
import urllib.request

import openai

SCORE = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 100},
        "reasons": {"type": "string"},
    },
    "required": ["score", "reasons"],
    "additionalProperties": False,
}
PAUSE = 0.25  # seconds between two rounds of questions

client = openai.OpenAI()
server = str(client.base_url).removesuffix("openai/v1/")
model = os.environ.get("DIAGNOSTICS_MODEL", "scorer")
began = time.monotonic()
times = collections.defaultdict(list)


def timed(what, call):
    start = time.perf_counter()
    answer = call()
    times[what].append(1000 * (time.perf_counter() - start))
    return answer


def say(name, what):
    print(f"{time.monotonic() - began:7.1f} s  {name:12} {what}", flush=True)


def get(path):
    # A server that has no keys yet wants none.
    headers = {"Authorization": f"Bearer {client.api_key}"} if client.api_key.startswith("rc_") else {}
    request = urllib.request.Request(server + path, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def upload(path):
    return client.files.create(file=path, purpose="user_data").id


def submit(rubric, transcript):
    """The answer comes at once: the Response is queued, and durable."""
    content = [
        {"type": "input_text", "text": "Score the transcript by the rubric."},
        {"type": "input_file", "file_id": rubric},
        {"type": "input_file", "file_id": transcript},
    ]
    return client.responses.create(
        model=model,
        background=True,
        input=[{"role": "user", "content": content}],
        text={"format": {"type": "json_schema", "name": "score", "schema": SCORE, "strict": True}},
    )


def outcome(response):
    """The score, or why there is none."""
    if response.status != "completed":
        why = response.error and response.error.message
        why = why or response.incomplete_details and response.incomplete_details.reason
        return None, f"{response.status}: {why}"
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    refusals = [part.refusal for part in parts if part.type == "refusal"]
    if refusals:
        return None, f"refused: {refusals[0]}"
    try:
        score = json.loads(response.output_text)
        return score["score"], score["reasons"]
    except (ValueError, TypeError, KeyError):
        return None, f"no score: {response.output_text!r}"


def main(rubric, *transcripts):
    rubric = upload(pathlib.Path(rubric))
    names, told = {}, {}
    for path in map(pathlib.Path, transcripts):
        transcript = upload(path)
        response = timed("submit a diagnostic", lambda: submit(rubric, transcript))
        names[response.id] = path.stem
        say(path.stem, f"{response.status} as {response.id}")

    outcomes = {}
    while len(outcomes) < len(names):
        for id in [id for id in names if id not in outcomes]:
            response = timed("ask for its status", lambda: client.responses.retrieve(id))
            if response.status not in ("queued", "in_progress"):
                outcomes[id] = outcome(response)
                say(names[id], "scored" if outcomes[id][0] is not None else outcomes[id][1])
        for job in timed("list the tasks", lambda: get("v1/jobs?limit=100"))["jobs"]:
            id, progress = job["id"].replace("job_", "resp_"), job.get("progress", {}).get("message")
            if id in names and id not in outcomes and progress and progress != told.get(id):
                told[id] = progress
                say(names[id], progress)
        timed("another endpoint", lambda: get("healthz"))
        time.sleep(PAUSE)

    print()
    for id, name in names.items():
        score, reasons = outcomes[id]
        print(f"{name:12} {'-' if score is None else score:>3}  {reasons}")
    print(f"\n{len(names)} diagnostics in {time.monotonic() - began:.1f} s; meanwhile, in ms:")
    print(f"{'':20} {'times':>6} {'p50':>7} {'p99':>7} {'max':>7}")
    for what, taken in times.items():
        taken.sort()
        p50, p99 = (taken[min(len(taken) - 1, len(taken) * percent // 100)] for percent in (50, 99))
        print(f"{what:20} {len(taken):>6} {p50:7.1f} {p99:7.1f} {taken[-1]:7.1f}")
    return 0 if all(score is not None for score, _ in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

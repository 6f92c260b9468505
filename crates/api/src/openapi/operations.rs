use raincheck_core::{ProblemType, State};
use raincheck_store::Scope;
use serde_json::{Value, json};

use super::operation::{Operation, reference};
use crate::problem::PROBLEM_JSON;

mod conversing;

const JOB_ID: &str = "^job_[0-9a-f]{32}$";
const FILE_ID: &str = "^file-[0-9a-f]{32}$";
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// Every operation, in the order of the document.
pub(super) fn all() -> Vec<Operation> {
    [
        submitting(),
        reading(),
        files(),
        changing(),
        telling(),
        conversing::conversing(),
        overview(),
        working(),
        operating(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn submitting() -> Vec<Operation> {
    let (key, scope) = (json!({ "type": "string", "minLength": 1, "maxLength": 255 }), Scope::Submit);
    let keyed =
        "Your own name for the request. Repeated with the same body it gives the same job, with another one 422.";
    let problems = [
        ProblemType::INVALID_INPUT,
        ProblemType::UNKNOWN_KIND,
        ProblemType::PATH_NOT_FOUND,
        ProblemType::PATH_UNUSABLE,
        ProblemType::PATH_FORBIDDEN,
        ProblemType::IDEMPOTENCY_KEY_REUSED,
        ProblemType::QUOTA_REACHED,
    ];
    let replayed = "`true` if the request was carried out before.";
    vec![
        Operation::new("post", "/v1/jobs", "submitJob", "Accepts a job: durable before it is answered")
            .scope(scope)
            .header("Idempotency-Key", key.clone(), keyed)
            .header(
                "Prefer",
                json!({ "type": "string", "examples": ["wait=10"] }),
                "`wait=N`: answer once the job has ended, but within N seconds.",
            )
            .body(
                "JobRequest",
                true,
                json!({
                    "echo": { "value": { "kind": "echo", "input": { "hello": "world" } } },
                    "sleep": { "value": { "kind": "sleep", "input": { "seconds": 0.1 } } },
                }),
            )
            .answer(200, "Job", "The job, which ended while you waited as preferred")
            .answer(202, "Job", "The job is accepted, and surely done")
            .links()
            .replies_header("Location", "Where the job is.")
            .replies_header("Idempotency-Replayed", replayed)
            .replies_header("Preference-Applied", "`wait=N`, if the answer was waited for.")
            .problems(&problems),
        Operation::new("post", "/v1/jobs:batch", "submitBatch", "Accepts many jobs in one durable write")
            .scope(scope)
            .header("Idempotency-Key", key, keyed)
            .body(
                "BatchRequest",
                true,
                json!({
                    "two": { "value": { "jobs": [{ "kind": "echo", "input": 1 }, { "kind": "echo", "input": 2 }] } },
                }),
            )
            .answer(202, "BatchReply", "All jobs are accepted")
            .answer(207, "BatchReply", "Some are accepted; the others met a quota or a key that is taken")
            .replies_header("Idempotency-Replayed", replayed)
            .problems(&problems),
    ]
}

fn reading() -> Vec<Operation> {
    let read = |path, id, summary| Operation::new("get", path, id, summary).scope(Scope::Read);
    let wait = |operation: Operation| {
        let seconds = json!({ "type": "integer", "minimum": 0 });
        operation.query("wait", seconds, "Answer once the job has ended, but within so many seconds (60 at most).")
    };
    let states: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
    let label = json!({ "type": "array", "items": { "type": "string", "pattern": "^[^:]+:" } });
    let job = |operation: Operation| operation.of("id", JOB_ID, "The job.");
    vec![
        read("/v1/jobs", "listJobs", "Lists jobs, newest first")
            .query("state", json!({ "type": "string", "enum": states }), "Only in this state.")
            .query("kind", json!({ "type": "string", "pattern": NAME }), "Only of this kind.")
            .query("queue", json!({ "type": "string", "pattern": NAME }), "Only of this queue.")
            .query(
                "tenant",
                json!({ "type": "string", "pattern": NAME }),
                "Only this tenant's; others than your own need the scope `admin`.",
            )
            .query("label", label, "Only with this label, `name:value`; may be repeated.")
            .query(
                "cursor",
                json!({ "type": "string", "pattern": "^c[0-9a-f]{1,15}$" }),
                "The `next` of the page before.",
            )
            .query(
                "limit",
                json!({ "type": "integer", "minimum": 1 }),
                "Jobs on the page at most; never more than 1000.",
            )
            .answer(200, "JobsPage", "A page of jobs"),
        job(wait(read("/v1/jobs/{id}", "getJob", "A job, at once or as soon as it has ended")))
            .answer(200, "Job", "The job")
            .links(),
        job(wait(read("/v1/jobs/{id}/result", "getResult", "The bare result of a job")))
            .answer_with(
                200,
                json!({ "description": "The result", "content": { "application/json": { "schema": {} } } }),
            )
            .answer_with(410, of_job("The job was cancelled or expired, so there is no result"))
            .answer_with(424, of_job("The job failed; this is its problem"))
            .problems(&[ProblemType::JOB_NOT_FINISHED]),
        job(read("/v1/jobs/{id}/files/{name}", "getFile", "A file that a job left, too large for a result"))
            .of("name", "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", "A name that the job's result tells.")
            .answer_with(
                200,
                json!({
                    "description": "The file",
                    "content": {
                        "application/x-ndjson": {},
                        "text/csv": {},
                        "application/gzip": {},
                        "application/octet-stream": {},
                    },
                }),
            ),
        job(read("/v1/jobs/{id}/events", "getEvents", "The log of a job: a page, or a stream to its end"))
            .query(
                "after",
                json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
                "Only events after this number.",
            )
            .query(
                "limit",
                json!({ "type": "integer", "minimum": 1 }),
                "Events on the page at most, never more than 1000; not for streams.",
            )
            .header(
                "Last-Event-ID",
                json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
                "The number of the last event seen; for streams, instead of `after`.",
            )
            .answer_with(
                101,
                json!({ "description": "With `Upgrade: websocket`: each event is a message, as JSON, until the job has ended" }),
            )
            .answer_with(
                200,
                json!({
                    "description": "A page; or, with `Accept: text/event-stream`, the events as they happen",
                    "content": {
                        "application/json": { "schema": reference("EventsPage") },
                        "text/event-stream": { "schema": { "type": "string" } },
                    },
                }),
            )
            .answer_with(
                204,
                json!({ "description": "The stream is over: everything has been seen, nothing will follow" }),
            ),
    ]
}

fn files() -> Vec<Operation> {
    let content = json!({
        "description": "The file: pictures as such, everything else to be saved",
        "content": {
            "image/png": {},
            "image/jpeg": {},
            "image/webp": {},
            "image/gif": {},
            "application/octet-stream": {},
        },
    });
    let of_file = |operation: Operation| {
        let operation = operation.of("id", FILE_ID, "The file.").answer_with(200, content.clone());
        operation.problems(&[ProblemType::FILES_UNREACHABLE])
    };
    let read = |path, id, summary| Operation::new("get", path, id, summary);
    vec![
        of_file(read("/v1/files/{id}/content", "getFileContent", "A file of your tenant").scope(Scope::Read)),
        of_file(read("/files/{id}", "getLinkedFile", "A file by a signed link, without a key"))
            .needed_query("tenant", json!({ "type": "string", "pattern": NAME }), "Whose it is.")
            .needed_query(
                "expires",
                json!({ "type": "integer" }),
                "Until when the link is good, in seconds since 1970.",
            )
            .needed_query("signature", json!({ "type": "string" }), "What the server signed the link with."),
    ]
}

fn changing() -> Vec<Operation> {
    let change = |method, path, id, summary| {
        Operation::new(method, path, id, summary).scope(Scope::Submit).of("id", JOB_ID, "The job.")
    };
    vec![
        change("post", "/v1/jobs/{id}/cancel", "cancelJob", "Ends a job that waits, asks a running one to stop")
            .body("CancelRequest", false, json!({ "why": { "value": { "reason": "changed my mind" } } }))
            .answer(200, "Job", "The job, cancelled or asked to stop")
            .problems(&[ProblemType::JOB_FINISHED]),
        change("post", "/v1/jobs/{id}/retry", "retryJob", "Does a job that has ended anew, as a new job")
            .header(
                "Idempotency-Key",
                json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
                "Your own name for the request. Repeated for the same job it gives the same new job, for another one 422.",
            )
            .answer(202, "Job", "The new job")
            .links()
            .replies_header("Location", "Where the new job is.")
            .replies_header("Idempotency-Replayed", "`true` if the request was carried out before.")
            .problems(&[
                ProblemType::INVALID_REQUEST,
                ProblemType::REQUEST_TIMEOUT,
                ProblemType::IDEMPOTENCY_KEY_REUSED,
                ProblemType::JOB_NOT_FINISHED,
                ProblemType::QUOTA_REACHED,
                ProblemType::UNKNOWN_KIND,
                ProblemType::INVALID_INPUT,
            ]),
        change("delete", "/v1/jobs/{id}", "deleteJob", "Forgets a job that has ended")
            .answer_with(204, json!({ "description": "It is forgotten" }))
            .problems(&[ProblemType::JOB_NOT_FINISHED]),
    ]
}

fn telling() -> Vec<Operation> {
    let of_job = |operation: Operation| {
        operation
            .of("id", JOB_ID, "The job.")
            .answer(200, "Delivery", "How far its webhook is")
            .problems(&[ProblemType::NO_WEBHOOK])
    };
    let read = |path, id, summary| Operation::new("get", path, id, summary);
    let change = |path, id, summary| Operation::new("post", path, id, summary).scope(Scope::Submit);
    vec![
        of_job(read("/v1/jobs/{id}/webhook", "getDelivery", "How far the webhook of a job is").scope(Scope::Read)),
        change("/v1/jobs/{id}/webhook/redeliver", "redeliver", "Tells the end of a job to its webhook again")
            .of("id", JOB_ID, "The job.")
            .answer(202, "Delivery", "How far its webhook is")
            .problems(&[
                ProblemType::NO_WEBHOOK,
                ProblemType::JOB_NOT_FINISHED,
                ProblemType::INVALID_REQUEST,
                ProblemType::REQUEST_TIMEOUT,
            ]),
        read("/v1/webhooks/secret", "getWebhookSecret", "What your webhooks are signed with")
            .scope(Scope::Submit)
            .answer(200, "WebhookSecret", "The secret"),
        change("/v1/webhooks/secret/rotate", "rotateWebhookSecret", "Signs your webhooks with a new secret")
            .answer(200, "WebhookSecret", "The new secret; the one before signs for another day as well")
            .problems(&[ProblemType::INVALID_REQUEST, ProblemType::REQUEST_TIMEOUT]),
    ]
}

fn overview() -> Vec<Operation> {
    let queue = |path, id, summary| {
        Operation::new("post", path, id, summary).scope(Scope::Admin).of("queue", NAME, "The queue.").answer(
            200,
            "Queue",
            "The queue",
        )
    };
    vec![
        Operation::new("get", "/v1/kinds", "listKinds", "What can be done here").scope(Scope::Read).answer(
            200,
            "KindsReply",
            "The kinds",
        ),
        Operation::new("get", "/v1/queues", "listQueues", "What waits where").scope(Scope::Read).answer(
            200,
            "QueuesReply",
            "The queues",
        ),
        queue("/v1/queues/{queue}/pause", "pauseQueue", "Nothing is claimed from the queue any more"),
        queue("/v1/queues/{queue}/resume", "resumeQueue", "Jobs are claimed from the queue again"),
        Operation::new("get", "/v1/upstreams", "listUpstreams", "Where calls go, and what of them is let through")
            .scope(Scope::Admin)
            .answer(200, "UpstreamsReply", "The upstreams"),
    ]
}

fn working() -> Vec<Operation> {
    let work = |path, id, summary| Operation::new("post", path, id, summary).scope(Scope::Worker);
    let attempt =
        |path, id, summary| work(path, id, summary).of("id", JOB_ID, "The job.").problems(&[ProblemType::LEASE_LOST]);
    let job = "job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11";
    vec![
        work("/v1/leases", "leaseJobs", "Leases jobs to a worker in another process")
            .body("LeaseRequest", true, json!({
                "one": { "value": { "worker": "w1", "kinds": [{ "kind": "my.kind", "max": 1 }], "wait": 1 } },
            }))
            .answer(200, "ClaimReply", "The jobs, now running; none if there was nothing to do")
            .problems(&[ProblemType::UNKNOWN_KIND]),
        work("/v1/leases/heartbeat", "renewLeases", "Renews leases, and tells which are lost or to be stopped")
            .body("HeartbeatRequest", true, json!({ "one": { "value": { "leases": [{ "job": job, "fence": 1 }] } } }))
            .answer(200, "HeartbeatReply", "What became of the leases"),
        attempt("/v1/leases/{id}/events", "appendEvents", "Adds to the log of a job that is being run")
            .body("AppendRequest", true, json!({
                "progress": { "value": { "fence": 1, "events": [{ "progress": { "current": 450, "total": 1000 } }] } },
            }))
            .answer(200, "AppendReply", "They are durable"),
        attempt("/v1/leases/{id}/finish", "finishAttempt", "Ends an attempt")
            .body("FinishRequest", true, json!({
                "result": { "value": { "fence": 1, "result": { "text": "done" } } },
                "error": { "value": { "fence": 1, "error": { "detail": "it broke", "retry": false } } },
            }))
            .answer(200, "FinishReply", "What became of the job"),
    ]
}

fn operating() -> Vec<Operation> {
    let text = json!({ "application/openmetrics-text": { "schema": { "type": "string" } } });
    vec![
        Operation::new("get", "/healthz", "getHealth", "Whether the process is alive").answer(200, "Health", "It is"),
        Operation::new("get", "/readyz", "getReadiness", "Whether requests are welcome")
            .answer(200, "Health", "They are"),
        Operation::new("get", "/metrics", "getMetrics", "Everything that is counted, for Prometheus")
            .scope(Scope::Admin)
            .answer_with(200, json!({ "description": "The metrics", "content": text })),
        Operation::new("get", "/openapi.json", "getOpenapi", "This document").answer_with(
            200,
            json!({
                "description": "OpenAPI 3.1",
                "content": { "application/json": { "schema": { "type": "object" } } },
            }),
        ),
    ]
}

fn of_job(description: &str) -> Value {
    json!({ "description": description, "content": { PROBLEM_JSON: { "schema": reference("Problem") } } })
}

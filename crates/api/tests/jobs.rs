//! The way of a job: submitted, waited for, read, cancelled, done anew, forgotten, found again.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use crate::support::{Server, blotted};

#[tokio::test]
async fn a_job_is_accepted_with_a_place_to_look() {
    let server = Server::keyless().await;
    let reply = server.post("/v1/jobs", r#"{"kind": "gate", "labels": {"team": "a"}, "priority": "P1"}"#).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(reply.header("location"), Some(&*format!("/v1/jobs/{}", reply.id())));
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let mut job = blotted(reply.json());
    // Whether it is still in the line when it is described is a race.
    for racing in ["state", "position", "estimated_start_at"] {
        job.as_object_mut().unwrap().remove(racing);
    }
    insta::assert_json_snapshot!("accepted_job", job);
}

#[tokio::test]
async fn who_prefers_to_wait_is_given_the_end() {
    let server = Server::keyless().await;
    let body = r#"{"kind": "echo", "input": {"n": 12345678901234567890.10}}"#;
    let reply = server.call(Method::POST, "/v1/jobs", &[("prefer", "respond-async, wait=10")], body).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("preference-applied"), Some("wait=10"));
    assert!(reply.header("location").is_some());
    assert!(reply.text().contains(r#""result":{"n": 12345678901234567890.10}"#), "{}", reply.text());
    assert_eq!(reply.json()["progress"]["percent"], json!(100.0));
    let result = server.get(&format!("/v1/jobs/{}/result", reply.id())).await;
    assert_eq!((result.status, result.text()), (StatusCode::OK, r#"{"n": 12345678901234567890.10}"#));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_given_the_job_as_it_is() {
    let server = Server::keyless().await;
    let reply = server.call(Method::POST, "/v1/jobs", &[("prefer", "wait=2")], r#"{"kind": "gate"}"#).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(reply.header("preference-applied"), Some("wait=2"));
    assert_eq!(reply.json()["state"], json!("running"));
    let got = server.get(&format!("/v1/jobs/{}?wait=1", reply.id())).await;
    assert_eq!((got.status, &got.json()["state"]), (StatusCode::OK, &json!("running")));
    assert_eq!(got.json()["progress"]["message"], json!("Processing file 450/1000"));
}

#[tokio::test]
async fn a_wait_ends_when_the_server_stops() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    server.closing.cancel();
    let reply = server.get(&format!("/v1/jobs/{id}?wait=60")).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_job() {
    let server = Server::keyless().await;
    let send =
        async |key: &str, body: &str| server.call(Method::POST, "/v1/jobs", &[("idempotency-key", key)], body).await;
    let first = send("k1", r#"{"kind": "echo"}"#).await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = send("k1", r#"{"kind": "echo"}"#).await;
    assert_eq!((again.status, again.id()), (StatusCode::ACCEPTED, first.id()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other_key = send("k2", r#"{"kind": "echo"}"#).await;
    assert_ne!(other_key.id(), first.id());
    let other_body = send("k1", r#"{"kind": "echo", "input": 1}"#).await;
    assert_eq!(other_body.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(other_body.text().contains("idempotency-key-reused"));
    let too_long = send(&"k".repeat(256), r#"{"kind": "echo"}"#).await;
    assert_eq!(too_long.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_result_of_an_unfinished_job_is_to_be_waited_for() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    let early = server.get(&format!("/v1/jobs/{id}/result")).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.header("retry-after").is_some());
    insta::assert_json_snapshot!("result_of_an_unfinished_job", early.json());
    server.gate.notify_one();
    let late = server.get(&format!("/v1/jobs/{id}/result?wait=10")).await;
    assert_eq!((late.status, late.text()), (StatusCode::OK, "\"through\""));
}

#[tokio::test]
async fn the_result_of_a_failed_job_is_its_problem() {
    let server = Server::keyless().await;
    let id = server.finish(r#"{"kind": "fail"}"#).await;
    let job = server.get(&format!("/v1/jobs/{id}")).await;
    insta::assert_json_snapshot!("failed_job", blotted(job.json()));
    let result = server.get(&format!("/v1/jobs/{id}/result")).await;
    assert_eq!(result.status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(result.header("content-type"), Some("application/problem+json"));
    insta::assert_json_snapshot!("result_of_a_failed_job", blotted(result.json()));
}

#[tokio::test]
async fn a_cancelled_job_says_why_it_has_no_result() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "echo", "delay": 3600}"#).await;
    let scheduled = server.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(scheduled["state"], json!("scheduled"));
    assert_eq!(scheduled["estimated_start_at"], scheduled["run_at"]);
    let path = format!("/v1/jobs/{id}/cancel");
    let cancelled = server.post(&path, r#"{"reason": "changed my mind"}"#).await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(server.post(&path, "").await.status, StatusCode::OK, "asking again changes nothing");
    let result = server.get(&format!("/v1/jobs/{id}/result")).await;
    assert_eq!(result.status, StatusCode::GONE);
    insta::assert_json_snapshot!("result_of_a_cancelled_job", blotted(result.json()));
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    server.until(&id, "output").await;
    assert_eq!(server.post(&format!("/v1/jobs/{id}/cancel"), "").await.json()["cancel_requested"], json!(true));
    let ended = server.get(&format!("/v1/jobs/{id}?wait=10")).await;
    assert_eq!(ended.json()["state"], json!("cancelled"));
}

#[tokio::test]
async fn a_completed_job_cannot_be_cancelled() {
    let server = Server::keyless().await;
    let id = server.finish(r#"{"kind": "echo"}"#).await;
    let reply = server.post(&format!("/v1/jobs/{id}/cancel"), "").await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("cancel_of_a_completed_job", reply.json());
}

#[tokio::test]
async fn an_ended_job_is_done_anew_and_forgotten() {
    let server = Server::keyless().await;
    let id = server.finish(r#"{"kind": "echo", "input": 7, "labels": {"a": "b"}}"#).await;
    let anew = server.post(&format!("/v1/jobs/{id}/retry"), "").await;
    assert_eq!((anew.status, &anew.json()["retry_of"]), (StatusCode::ACCEPTED, &json!(id)));
    assert_eq!(anew.header("location"), Some(&*format!("/v1/jobs/{}", anew.id())));
    let deleted = server.call(Method::DELETE, &format!("/v1/jobs/{id}"), &[], "").await;
    assert_eq!((deleted.status, deleted.text()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(server.get(&format!("/v1/jobs/{id}")).await.status, StatusCode::NOT_FOUND);
    let waiting = server.submit(r#"{"kind": "gate"}"#).await;
    for (method, what) in [(Method::POST, "/retry"), (Method::DELETE, "")] {
        let reply = server.call(method, &format!("/v1/jobs/{waiting}{what}"), &[], "").await;
        assert_eq!(reply.status, StatusCode::CONFLICT);
        assert!(reply.text().contains("job-not-finished"));
    }
}

#[tokio::test]
async fn a_repeated_request_to_do_a_job_anew_gives_the_same_new_job() {
    let server = Server::keyless().await;
    let (old, other) = (server.finish(r#"{"kind": "echo"}"#).await, server.finish(r#"{"kind": "echo"}"#).await);
    let retry = async |id: &str, key: &str| {
        server.call(Method::POST, &format!("/v1/jobs/{id}/retry"), &[("idempotency-key", key)], "").await
    };
    let first = retry(&old, "k1").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::ACCEPTED, None));
    let again = retry(&old, "k1").await;
    assert_eq!((again.status, again.id()), (StatusCode::ACCEPTED, first.id()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_ne!(retry(&old, "k2").await.id(), first.id());
    let of_another = retry(&other, "k1").await;
    assert_eq!(of_another.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(of_another.text().contains("idempotency-key-reused"));
    // Also once the old job is forgotten: that it cannot be done anew any more does not undo that it was.
    server.call(Method::DELETE, &format!("/v1/jobs/{old}"), &[], "").await;
    assert_eq!(retry(&old, "k1").await.id(), first.id());
    assert_eq!(retry(&old, "k3").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_job_is_not_done_anew_with_other_wishes() {
    let server = Server::keyless().await;
    let id = server.finish(r#"{"kind": "echo"}"#).await;
    let path = format!("/v1/jobs/{id}/retry");
    for body in ["{}", r#"{"input": 8}"#] {
        let reply = server.post(&path, body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", reply.text());
    }
    let unsized_body = |pieces: &'static [&'static str]| {
        let pieces = pieces.iter().map(|piece| Ok::<_, std::convert::Infallible>(*piece));
        Request::post(&path)
            .header("host", "localhost")
            .body(Body::from_stream(futures_util::stream::iter(pieces)))
            .unwrap()
    };
    assert_eq!(server.send(unsized_body(&["", "{}"])).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.send(unsized_body(&[""])).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn jobs_are_found_by_what_they_are() {
    let server = Server::keyless().await;
    let done = server.finish(r#"{"kind": "echo", "labels": {"a": "1", "b": "x:y"}}"#).await;
    let later = server.submit(r#"{"kind": "echo", "delay": 60, "queue": "slow", "labels": {"a": "1"}}"#).await;
    let ids = async |query: &str| -> Vec<String> {
        let reply = server.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let page = reply.json();
        page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await, [&*later, &*done]);
    assert_eq!(ids("label=a:1&label=b:x%3Ay").await, [&*done]);
    assert_eq!(ids("state=scheduled").await, [&*later]);
    assert_eq!(ids("queue=slow&kind=echo&tenant=default").await, [&*later]);
    assert!(ids("tenant=other").await.is_empty());
    let first = server.get("/v1/jobs?limit=1").await.json();
    let next = first["next"].as_str().unwrap();
    assert_eq!(ids(&format!("limit=1&cursor={next}")).await, [done]);
}

#[tokio::test]
async fn of_jobs_with_one_concurrency_key_one_runs_and_the_others_tell_their_place() {
    let server = Server::keyless().await;
    let wish = r#"{"kind": "gate", "concurrency_key": "conversation 7"}"#;
    let first = server.submit(wish).await;
    let batch = server.post("/v1/jobs:batch", &format!(r#"{{"jobs": [{wish}, {wish}]}}"#)).await;
    assert_eq!(batch.json()["accepted"], json!(2));
    let last = batch.json()["jobs"][1]["job"]["id"].as_str().unwrap().to_owned();
    let job = server.get(&format!("/v1/jobs/{last}")).await.json();
    assert_eq!((&job["state"], &job["concurrency_key"]), (&json!("queued"), &json!("conversation 7")));
    assert_eq!(job["position"], json!(3));
    assert_eq!(server.get(&format!("/v1/jobs/{first}")).await.json()["concurrency_key"], json!("conversation 7"));
}

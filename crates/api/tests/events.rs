//! Logs: pages of them, and streams that follow them to the end.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt;
use raincheck_api::ApiSettings;
use raincheck_store::Limits;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

use crate::support::{Server, blotted, request};

const STREAM: (&str, &str) = ("accept", "text/event-stream");

/// The next chunk of a stream; `None` at its end.
async fn next(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

async fn open(server: &Server, path: &str) -> Body {
    let response = server.router.clone().oneshot(request(Method::GET, path, &[STREAM], "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

#[tokio::test]
async fn a_log_is_read_page_by_page() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    server.until(&id, "output").await;
    server.gate.notify_one();
    server.until(&id, "completed").await;
    let page = async |query: &str| server.get(&format!("/v1/jobs/{id}/events{query}")).await;
    insta::assert_json_snapshot!("log", blotted(page("").await.json()));
    let second = page("?after=1&limit=1").await.json();
    assert_eq!((&second["events"][0]["seq"], &second["next"], &second["ended"]), (&json!(2), &json!(2), &json!(true)));
    assert!(page("").await.text().contains("\"data\":{\"text\":\n\"a\"}"), "JSON is passed on as it came");
}

#[tokio::test]
async fn a_stream_follows_a_job_to_its_end() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    let mut body = open(&server, &format!("/v1/jobs/{id}/events")).await;
    assert_eq!(next(&mut body).await.unwrap(), "retry: 2000\n\n");
    server.until(&id, "output").await;
    server.gate.notify_one();
    let mut text = String::new();
    while let Some(chunk) = next(&mut body).await {
        text.push_str(&chunk);
    }
    let blocks: Vec<&str> = text.split_terminator("\n\n").collect();
    let read = |block: &&str| -> (String, String, Value) {
        let fields: Vec<(&str, &str)> = block.lines().map(|line| line.split_once(": ").unwrap()).collect();
        let [("id", id), ("event", event), ("data", data)] = fields[..] else { panic!("{block}") };
        (id.to_owned(), event.to_owned(), serde_json::from_str(data).unwrap())
    };
    let events: Vec<_> = blocks.iter().map(read).collect();
    for (number, (id, event, data)) in (1..).zip(&events) {
        assert_eq!((id.parse().ok(), &data["seq"], &data["type"]), (Some(number), &json!(number), &json!(event)));
    }
    let types: Vec<&str> = events.iter().map(|(_, event, _)| event.as_str()).collect();
    assert_eq!(types, ["accepted", "started", "progress", "output", "completed"]);
}

#[tokio::test]
async fn a_stream_is_resumed_where_it_broke_off() {
    let server = Server::keyless().await;
    let id = server.finish(r#"{"kind": "echo"}"#).await;
    let path = format!("/v1/jobs/{id}/events");
    let by_query = server.call(Method::GET, &format!("{path}?after=2"), &[STREAM], "").await;
    assert!(by_query.text().starts_with("retry: 2000\n\nid: 3\nevent: completed\n"), "{}", by_query.text());
    // What the client saw last counts more than where it once began.
    let headers = [STREAM, ("last-event-id", "2")];
    let by_header = server.call(Method::GET, &format!("{path}?after=0"), &headers, "").await;
    assert_eq!(by_header.text(), by_query.text());
    let seen_all = server.call(Method::GET, &path, &[STREAM, ("last-event-id", "3")], "").await;
    assert_eq!((seen_all.status, seen_all.text()), (StatusCode::NO_CONTENT, ""));
    let nonsense = server.call(Method::GET, &path, &[STREAM, ("last-event-id", "x")], "").await;
    assert_eq!(nonsense.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_shows_that_it_is_alive() {
    let settings = ApiSettings { keyless: true, sse_heartbeat: Duration::from_secs(15), ..ApiSettings::default() };
    let server = Server::with(settings, Limits::default()).await;
    let id = server.submit(r#"{"kind": "echo", "delay": 3600}"#).await;
    let mut body = open(&server, &format!("/v1/jobs/{id}/events?after=1")).await;
    next(&mut body).await.unwrap();
    let began = tokio::time::Instant::now();
    // The comment stands alone: it does not follow an `id:` line.
    assert_eq!(next(&mut body).await.unwrap(), ": \n\n");
    assert_eq!(began.elapsed().as_secs(), 15);
    assert_eq!(next(&mut body).await.unwrap(), ": \n\n");
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "echo", "delay": 3600}"#).await;
    let mut body = open(&server, &format!("/v1/jobs/{id}/events")).await;
    assert_eq!(next(&mut body).await.unwrap(), "retry: 2000\n\n");
    assert!(next(&mut body).await.unwrap().starts_with("id: 1\nevent: accepted\n"));
    server.closing.cancel();
    assert_eq!(next(&mut body).await, None);
}

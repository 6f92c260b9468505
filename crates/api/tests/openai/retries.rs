use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::json;
use tower::ServiceExt;

use super::passed::{CHAT, Upstream, server};
use super::{RESPONSES, call};
use crate::support::{Server, request};

const FIRST: (&str, &str) = ("x-stainless-retry-count", "0");
const SECOND: (&str, &str) = ("x-stainless-retry-count", "1");

#[tokio::test]
async fn an_sdk_that_asks_once_more_is_given_the_response_that_is_being_made() {
    let server = Server::dialects().await;
    let body = json!({ "model": "m", "input": "wait", "background": true });
    let first = call(&server, Method::POST, RESPONSES, &[FIRST], &body).await;
    let again = call(&server, Method::POST, RESPONSES, &[SECOND], &body).await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::ACCEPTED, &first.json()["id"]));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    // Whoever asks for the first time wants an answer of their own, and so does one who asks for something else.
    let other = call(&server, Method::POST, RESPONSES, &[FIRST], &body).await;
    assert_ne!(other.json()["id"], first.json()["id"]);
    let body = json!({ "model": "m", "input": "hello", "background": true });
    let else_ = call(&server, Method::POST, RESPONSES, &[SECOND], &body).await;
    assert_ne!(else_.json()["id"], first.json()["id"]);
    let key = [SECOND, ("idempotency-key", "mine")];
    let keyed = call(&server, Method::POST, RESPONSES, &key, &body).await;
    assert_ne!(keyed.json()["id"], else_.json()["id"], "a key of the caller's own says what is the same");
    let keyed_again = call(&server, Method::POST, RESPONSES, &key, &body).await;
    assert_eq!(keyed_again.json()["id"], keyed.json()["id"]);
}

#[tokio::test]
async fn requests_of_another_key_are_never_the_same() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let (one, other) =
        (server.key("voice", &[Scope::Submit], None).await, server.key("voice", &[Scope::Submit], None).await);
    let body = json!({ "model": "m", "input": "hello", "background": true });
    let ids = [(&one, FIRST), (&other, SECOND), (&one, SECOND)].map(async |(key, count)| {
        call(&server, Method::POST, RESPONSES, &[count, ("authorization", key)], &body).await.json()["id"].clone()
    });
    let [first, second, third] = ids;
    let (first, second, third) = (first.await, second.await, third.await);
    assert_ne!(first, second);
    assert_eq!(first, third);
}

#[tokio::test(start_paused = true)]
async fn an_sdk_that_lost_its_connection_is_given_the_call_that_is_being_made() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[FIRST], &body);
    // Its client gives up while it waits.
    assert!(tokio::time::timeout(Duration::from_secs(5), first).await.is_err());
    let again = call(&server, Method::POST, CHAT, &[SECOND], &body);
    let (again, ()) = tokio::join!(again, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        upstream.gate.notify_one();
    });
    assert_eq!((again.status, upstream.calls.load(Ordering::SeqCst)), (StatusCode::OK, 1));
    // What was taken is not given again.
    upstream.gate.notify_one();
    call(&server, Method::POST, CHAT, &[SECOND], &body).await;
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_took_waits_for_the_sdk_to_ask_again() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[FIRST], &body);
    assert!(tokio::time::timeout(Duration::from_secs(5), first).await.is_err());
    upstream.gate.notify_one();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(call(&server, Method::POST, CHAT, &[SECOND], &body).await.status, StatusCode::OK);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_more_is_given_up() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[FIRST], &body);
    assert!(tokio::time::timeout(Duration::from_secs(5), first).await.is_err());
    tokio::time::sleep(Duration::from_secs(31)).await;
    upstream.gate.notify_one();
    assert_eq!(call(&server, Method::POST, CHAT, &[SECOND], &body).await.status, StatusCode::OK);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_that_happen_to_be_the_same_are_each_made() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let let_go = async {
        for _ in 0..2 {
            upstream.arrived.notified().await;
        }
        upstream.gate.notify_waiters();
        upstream.gate.notify_one();
        upstream.gate.notify_one();
    };
    let one = call(&server, Method::POST, CHAT, &[FIRST], &body);
    let other = call(&server, Method::POST, CHAT, &[FIRST], &body);
    let (one, other, ()) = tokio::join!(one, other, let_go);
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}

/// The answer to a streamed call, which is let go by the gate of its upstream.
async fn streamed(server: &Server, headers: &[(&str, &str)]) -> Response<Body> {
    streamed_of(server, headers, "stream").await
}

async fn streamed_of(server: &Server, headers: &[(&str, &str)], model: &str) -> Response<Body> {
    let body = json!({ "model": model, "stream": true, "messages": [] }).to_string();
    server.router.clone().oneshot(request(Method::POST, CHAT, headers, &body)).await.unwrap()
}

async fn piece(response: &mut Response<Body>) -> String {
    let piece = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    String::from_utf8(piece.to_vec()).unwrap()
}

async fn rest(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The rest as another client reads it, in a task of its own.
#[expect(clippy::disallowed_methods, reason = "a client is none of the engine's tasks")]
fn rest_elsewhere(response: Response<Body>) -> tokio::task::JoinHandle<String> {
    tokio::spawn(rest(response))
}

const WHOLE: &str = "data: {}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn an_sdk_that_asks_once_more_is_given_the_stream_that_is_being_made() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let mut first = streamed(&server, &[FIRST]).await;
    assert_eq!(piece(&mut first).await, "data: {}\n\n");
    // Its connection broke, and nobody has noticed yet.
    let again = streamed(&server, &[SECOND]).await;
    assert_eq!((again.status(), upstream.calls.load(Ordering::SeqCst)), (StatusCode::OK, 1));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.headers()["content-type"], "text/event-stream");
    let again = rest_elsewhere(again);
    tokio::task::yield_now().await;
    upstream.gate.notify_one();
    assert_eq!(rest(first).await, "data: [DONE]\n\n");
    assert_eq!(again.await.unwrap(), WHOLE, "from its beginning");
    // What was taken is not given again.
    upstream.gate.notify_one();
    assert_eq!(rest(streamed(&server, &[SECOND]).await).await, WHOLE);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_has_read_is_kept_and_one_that_was_left_in_the_middle_is_ended() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    drop(streamed(&server, &[FIRST]).await);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut again = streamed(&server, &[SECOND]).await;
    assert_eq!((piece(&mut again).await.as_str(), upstream.calls.load(Ordering::SeqCst)), ("data: {}\n\n", 1));
    drop(again);
    tokio::task::yield_now().await;
    drop(streamed(&server, &[SECOND]).await);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2, "who reads some of it and goes wants no more");
    tokio::time::sleep(Duration::from_secs(31)).await;
    drop(streamed(&server, &[SECOND]).await);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_callers_own_says_what_is_the_same_call() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let key = ("idempotency-key", "order-1");
    let body = json!({ "model": "m", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[key], &body).await;
    let sent = upstream.last_key();
    for count in [FIRST, SECOND] {
        let again = call(&server, Method::POST, CHAT, &[key, count], &body).await;
        assert_eq!(
            (again.status, again.text(), again.header("idempotency-replayed")),
            (StatusCode::OK, first.text(), Some("true"))
        );
    }
    assert_eq!((first.header("idempotency-replayed"), upstream.calls.load(Ordering::SeqCst)), (None, 1));
    let other = call(&server, Method::POST, CHAT, &[key], &json!({ "model": "other", "messages": [] })).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", other.text());
    assert_eq!(other.json()["error"]["code"], "idempotency_key_reused");
    // Its answer is kept for a while only.
    tokio::time::sleep(Duration::from_secs(121)).await;
    call(&server, Method::POST, CHAT, &[key], &body).await;
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
    assert_eq!(upstream.last_key(), sent, "the upstream knows it by the same name");
    // A call without one has a name of its own.
    for _ in 0..2 {
        call(&server, Method::POST, CHAT, &[], &body).await;
    }
    let keys = upstream.keys.lock().unwrap();
    assert_eq!((keys.len(), keys[2] != keys[3], keys[3].is_empty()), (4, true, false), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_with_one_key_are_one_call_also_while_it_is_under_way_and_as_a_stream() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let key = [("idempotency-key", "order-2")];
    let body = json!({ "model": "wait", "messages": [] });
    let calls = [(); 3].map(|()| call(&server, Method::POST, CHAT, &key, &body));
    let [one, two, three] = calls;
    let (one, two, three, ()) = tokio::join!(one, two, three, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        upstream.gate.notify_one();
    });
    assert_eq!((one.text(), two.text(), upstream.calls.load(Ordering::SeqCst)), (three.text(), three.text(), 1));
    let key = [("idempotency-key", "order-3")];
    let mut first = streamed(&server, &key).await;
    piece(&mut first).await;
    drop(first);
    let again = rest_elsewhere(streamed(&server, &key).await);
    tokio::task::yield_now().await;
    upstream.gate.notify_one();
    assert_eq!(again.await.unwrap(), WHOLE, "who comes back with the key has all of it");
    assert_eq!((rest(streamed(&server, &key).await).await.as_str(), upstream.calls.load(Ordering::SeqCst)), (WHOLE, 2));
}

#[tokio::test]
async fn streams_with_one_key_that_begin_together_are_one_call_and_another_body_is_refused() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let key = [("idempotency-key", "order-4")];
    let (one, two) = tokio::join!(streamed(&server, &key), streamed(&server, &key));
    let replayed = |answer: &Response<Body>| answer.headers().contains_key("idempotency-replayed");
    assert_eq!([replayed(&one), replayed(&two)].iter().filter(|is| **is).count(), 1);
    let other = streamed_of(&server, &key, "other").await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let error = serde_json::from_str::<serde_json::Value>(&rest(other).await).unwrap()["error"].clone();
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!("idempotency_key_reused"), &json!("invalid_request_error")),
        "{error}"
    );
    upstream.gate.notify_one();
    assert_eq!(tokio::join!(rest(one), rest(two)), (WHOLE.to_owned(), WHOLE.to_owned()));
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 1);
    // And so when it has ended.
    assert_eq!(streamed_of(&server, &key, "other").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(rest(streamed(&server, &key).await).await, WHOLE);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stream_that_broke_off_is_not_attached_to() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    for (headers, calls) in [(vec![FIRST], 1), (vec![SECOND], 2), (vec![("idempotency-key", "a")], 3)] {
        for more in 0..2 {
            let broken = streamed_of(&server, &headers, "breaks").await;
            let told = broken.into_body().collect().await.map(|body| body.to_bytes());
            assert!(told.is_err(), "it seems whole: {told:?}");
            // By whomever it is asked for again, and under whatever key.
            assert_eq!(upstream.calls.load(Ordering::SeqCst), 2 * (calls - 1) + more + 1, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_longer_than_is_kept_is_made_anew() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let mut first = streamed_of(&server, &[FIRST], "long").await;
    let mut read = 0;
    while read <= 256 << 10 {
        read += first.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    let again = streamed_of(&server, &[SECOND], "long").await;
    assert_eq!((again.headers().get("idempotency-replayed"), upstream.calls.load(Ordering::SeqCst)), (None, 2));
    let (first, again) = tokio::join!(rest(first), rest(again));
    assert_eq!((read + first.len(), again.len()), (640 << 10, 640 << 10), "each has all of its own");
}

/// The door with keys, in front of an upstream.
async fn locked(upstream: &Upstream) -> Server {
    let doors = raincheck_api::Doors { passage: Some(std::sync::Arc::new(upstream.clone())), ..Default::default() };
    Server::dialects_with(ApiSettings { doors, ..ApiSettings::default() }).await
}

#[tokio::test]
async fn an_idempotency_key_is_the_tenants_and_a_repeated_request_the_api_keys() {
    let upstream = Upstream::default();
    let server = locked(&upstream).await;
    let mut keys = Vec::new();
    for tenant in ["one", "one", "two"] {
        keys.push(server.key(tenant, &[Scope::Submit], None).await);
    }
    let body = json!({ "model": "m", "messages": [] });
    let replayed = async |key: &str, header: (&str, &str)| {
        let reply = call(&server, Method::POST, CHAT, &[("authorization", key), header], &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.header("idempotency-replayed").is_some()
    };
    // As with jobs.
    let mine = ("idempotency-key", "mine");
    assert!(!replayed(&keys[0], mine).await && replayed(&keys[1], mine).await && !replayed(&keys[2], mine).await);
    // A stream that the first is reading is given to nobody else who sends the same bytes.
    let stream = async |key: &str, count| streamed(&server, &[("authorization", key), count]).await;
    let reading = stream(&keys[0], FIRST).await;
    for (key, is_given) in [(&keys[1], false), (&keys[2], false), (&keys[0], true)] {
        let again = stream(key, SECOND).await;
        assert_eq!(again.headers().contains_key("idempotency-replayed"), is_given);
    }
    drop(reading);
}

#[tokio::test]
async fn keys_of_other_tenants_are_other_keys() {
    let upstream = Upstream::default();
    let server = locked(&upstream).await;
    let body = json!({ "model": "m", "messages": [] });
    for tenant in ["one", "two"] {
        let key = server.key(tenant, &[Scope::Submit], None).await;
        let headers = [("authorization", key.as_str()), ("idempotency-key", "mine")];
        assert_eq!(call(&server, Method::POST, CHAT, &headers, &body).await.header("idempotency-replayed"), None);
    }
    let keys = upstream.keys.lock().unwrap();
    assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
}

//! The table of docs/upstreams.md, for calls that are passed through: each row with and without a fallback.

use std::time::Duration;

use bytes::Bytes;
use raincheck_upstream::{
    CallFailure, OnAmbiguous, PassFailure, Patience, Protocol, Request, UpstreamConfig, Upstreams,
};
use serde_json::json;

use crate::support::{Reply, Server, config, upstreams};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// Made again by the first, and then by the fallback.
    Again,
    /// Made by the fallback at once.
    Elsewhere,
    /// Its caller is told at once.
    Told,
}

fn good() -> Reply {
    Reply::json(200, &json!({}))
}

fn coded(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": "no"}}))
}

/// Makes a call whose first upstream always answers so.
async fn row(what: &str, reply: Reply, becomes: Becomes, change: impl Fn(&mut UpstreamConfig)) {
    for has_fallback in [false, true] {
        let (first, second) = (Server::start(vec![reply.clone()]).await, Server::start(vec![good()]).await);
        let mut one = config(&first.url);
        change(&mut one);
        one.fallback = if has_fallback { vec!["two".into()] } else { Vec::new() };
        let upstreams = upstreams(vec![("one", one), ("two", config(&second.url))]);
        let routes = upstreams.routes(Protocol::Openai, "m", Some("one")).unwrap();
        let request = |_: &_| Request::post("/chat/completions", Bytes::from_static(b"{}"));
        let passed = upstreams.pass(&routes, 1, Duration::from_secs(5), request).await;
        let (first, second) = (first.asked().len(), second.asked().len());
        let goes_on = has_fallback && becomes != Becomes::Told;
        assert_eq!(
            (passed.is_ok(), second),
            (goes_on, usize::from(goes_on)),
            "{what}, with a fallback: {has_fallback}"
        );
        assert!(matches!(passed, Ok(_) | Err(PassFailure::Failed(_))), "{what}");
        let tries = if becomes == Becomes::Again { 2..=3 } else { 1..=1 };
        assert!(tries.contains(&first), "{what}: {first} calls of the first");
    }
}

#[tokio::test]
async fn each_refusal_becomes_what_the_table_says() {
    use Becomes::{Again, Elsewhere, Told};
    for (status, becomes) in [
        (500, Again),
        (502, Again),
        (504, Again),
        (520, Again),
        (599, Again),
        (408, Again),
        (409, Again),
        (402, Elsewhere),
        (401, Elsewhere),
        (403, Elsewhere),
        (404, Elsewhere),
        (410, Elsewhere),
        (451, Elsewhere),
        (301, Elsewhere),
        (304, Elsewhere),
        (307, Elsewhere),
        (400, Told),
        (413, Told),
        (414, Told),
        (415, Told),
        (422, Told),
    ] {
        row(&status.to_string(), Reply::json(status, &json!({})), becomes, |_| ()).await;
    }
    for (status, code) in [
        (429, "insufficient_quota"),
        (400, "billing_error"),
        (400, "content_policy_violation"),
        (400, "content_filter"),
    ] {
        row(code, coded(status, code), Elsewhere, |_| ()).await;
    }
    // Both say when to come back, and the gate heeds it.
    for status in [429, 503, 529] {
        let reply = Reply::json(status, &json!({})).with("retry-after-ms", "10");
        row(&status.to_string(), reply, Again, |_| ()).await;
    }
}

#[tokio::test]
async fn a_redirect_is_told_as_what_it_is() {
    let elsewhere = Reply::json(302, &json!({})).with("location", "http://127.0.0.1:1/login");
    let server = Server::start(vec![elsewhere]).await;
    let failure = failed(&upstreams(vec![("one", config(&server.url))])).await;
    assert_eq!(failure.status, Some(302));
    assert!(failure.detail.contains("a redirect, which is not followed; its base_url is"), "{failure}");
}

#[tokio::test]
async fn who_is_told_of_an_outage_is_told_when_it_is_worth_coming_back() {
    let server = Server::start(vec![Reply::json(500, &json!({}))]).await;
    let upstreams = upstreams(vec![("one", config(&server.url))]);
    let mut last = failed(&upstreams).await;
    for _ in 0..30 {
        if last.retry_after.is_some() {
            break;
        }
        last = failed(&upstreams).await;
    }
    let wait = last.retry_after.expect("its breaker is open by now");
    assert!((Duration::from_millis(1)..=Duration::from_secs(15)).contains(&wait), "{wait:?}");
}

/// What a call comes to that no upstream serves.
async fn failed(upstreams: &Upstreams) -> CallFailure {
    let routes = upstreams.routes(Protocol::Openai, "m", None).unwrap();
    let request = |_: &_| Request::post("/x", Bytes::new());
    match upstreams.pass(&routes, 1, Duration::from_millis(50), request).await {
        Err(PassFailure::Failed(failure)) => failure,
        Err(PassFailure::Closed(closed)) => panic!("{closed:?}"),
        Ok(_) => panic!("it is served"),
    }
}

/// Nobody knows whether it was done: it is made nowhere else, whatever jobs do.
#[tokio::test]
async fn what_may_have_been_done_is_told_and_not_done_elsewhere() {
    let short = Duration::from_millis(100);
    for policy in [OnAmbiguous::Retry, OnAmbiguous::Fail] {
        let late = Reply { wait: Duration::from_secs(9), ..good() };
        row("no first byte", late, Becomes::Told, |config| {
            config.patience = Patience { first_byte: short, ..Patience::default() };
            config.on_ambiguous = policy;
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_there_is_asked_again_and_then_the_fallback() {
    let second = Server::start(vec![good()]).await;
    for has_fallback in [false, true] {
        let mut one = config("http://127.0.0.1:1/v1");
        one.fallback = if has_fallback { vec!["two".into()] } else { Vec::new() };
        let upstreams = upstreams(vec![("one", one), ("two", config(&second.url))]);
        let routes = upstreams.routes(Protocol::Openai, "m", Some("one")).unwrap();
        let request = |_: &_| Request::post("/x", Bytes::new());
        assert_eq!(upstreams.pass(&routes, 1, Duration::from_secs(5), request).await.is_ok(), has_fallback);
    }
}

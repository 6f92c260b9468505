use std::time::Duration;

use bytes::Bytes;
use raincheck_core::gate::Then;
use raincheck_upstream::{
    Answer, CallFailure, PassFailure, Patience, Protocol, Request, Secret, Try, UpstreamConfig, Upstreams, Usage, Why,
};
use serde_json::json;

use crate::support::{Reply, Server, config, upstreams};

const MODEL: &str = "gpt-5";

fn request() -> Request {
    Request::post("/chat/completions", Bytes::from_static(b"{}"))
}

async fn pass(upstreams: &Upstreams, patience: Duration) -> Result<Answer, PassFailure> {
    let routes = upstreams.routes(Protocol::Openai, MODEL, None).unwrap();
    upstreams.pass(&routes, 10, patience, |_| request()).await
}

async fn failure(server: &Server, change: impl FnOnce(&mut UpstreamConfig)) -> CallFailure {
    let mut config = config(&server.url);
    change(&mut config);
    let upstreams = upstreams(vec![("one", config)]);
    let route = upstreams.routes(Protocol::Openai, MODEL, None).unwrap().remove(0);
    let permit = route.gate().try_enter(1, Try::First).unwrap();
    let failure = match route.send(permit, &request()).await {
        Ok(answer) => answer.read(1_000).await.unwrap_err(),
        Err(failure) => failure,
    };
    assert_eq!(route.gate().status().under_way, 0);
    failure
}

fn good() -> Reply {
    Reply::json(200, &json!({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}))
}

#[tokio::test]
async fn a_call_is_addressed_signed_and_counted() {
    let server = Server::start(vec![good()]).await;
    let mut config = config(&server.url);
    config.api_key = Some(Secret::new("sk-canary".into()));
    let shown = format!("{config:?}");
    let upstreams = upstreams(vec![("one", config)]);
    let route = upstreams.routes(Protocol::Openai, MODEL, Some("one")).unwrap().remove(0);
    let request = Request { idempotency_key: Some("job_1".into()), ..request() };
    let mut answer = route.send(route.gate().try_enter(10, Try::First).unwrap(), &request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.served.upstream.as_str()), (200, "one"));
    assert_eq!(route.gate().status().under_way, 1, "its body is still coming");
    while let Some(piece) = answer.body.next().await {
        piece.unwrap();
    }
    assert_eq!(answer.body.usage(), Some(Usage { input: 3, output: 4 }));
    assert_eq!(route.gate().status().under_way, 0);
    let asked = server.asked().remove(0);
    let header = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    assert_eq!((asked.path.as_str(), &asked.body[..]), ("/v1/chat/completions", &b"{}"[..]));
    assert_eq!((header("authorization"), header("idempotency-key")), ("Bearer sk-canary".into(), "job_1".into()));
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn a_refusal_is_told_with_what_the_upstream_said() {
    let body = json!({"error": {"message": "bad model", "type": "invalid_request_error", "code": "model_not_found"}});
    let reply = Reply::json(404, &body).with("x-request-id", "req_1");
    let failure = failure(&Server::start(vec![reply]).await, |_| ()).await;
    assert_eq!(failure.headers["x-request-id"], "req_1");
    assert_eq!((failure.status, failure.verdict.then, failure.body), (Some(404), Then::Elsewhere, Some(body)));
    assert_eq!(failure.detail, "one answered 404: bad model");
}

#[tokio::test]
async fn what_comes_too_late_or_breaks_off_is_told_apart() {
    let short = Duration::from_millis(100);
    let late = Reply { wait: Duration::from_secs(9), ..good() };
    let patient = |patience: Patience| move |config: &mut UpstreamConfig| config.patience = patience;
    let first_byte = Patience { first_byte: short, ..Patience::default() };
    let told = failure(&Server::start(vec![late]).await, patient(first_byte)).await;
    assert!(told.detail.contains("did not answer within") && told.verdict.is_ambiguous, "{told}");
    let stalls = Reply { pieces: vec![(Duration::ZERO, "{".into()), (Duration::from_secs(9), "}".into())], ..good() };
    let gap = Patience { gap: short, ..Patience::default() };
    let told = failure(&Server::start(vec![stalls.clone()]).await, patient(gap)).await;
    assert!(told.detail.contains("nothing more of the answer came"), "{told}");
    let total = Patience { total: short, ..Patience::default() };
    let told = failure(&Server::start(vec![stalls]).await, patient(total)).await;
    assert!(told.detail.contains("longer than it may"), "{told}");
    let broken = Reply { breaks_off: true, ..good() };
    let told = failure(&Server::start(vec![broken]).await, |_| ()).await;
    assert!(told.detail.contains("broke off") && told.verdict.then == Then::Retry, "{told}");
    let told = failure(
        &Server::start(vec![Reply { pieces: vec![(Duration::ZERO, vec![b'x'; 2_000].into())], ..good() }]).await,
        |_| (),
    )
    .await;
    assert!(told.detail.contains("more than 1000 bytes"), "{told}");
}

#[tokio::test]
async fn nobody_there_is_tried_again_and_then_the_next_upstream_serves() {
    let server = Server::start(vec![good()]).await;
    let gone = "http://127.0.0.1:1/v1";
    let mut first = config(gone);
    first.fallback = vec!["two:gpt-4".into()];
    first.models = vec![MODEL.into()];
    let upstreams = upstreams(vec![("one", first), ("two", config(&server.url))]);
    let answer = pass(&upstreams, Duration::from_secs(5)).await.ok().unwrap();
    assert_eq!((answer.served.upstream.as_str(), answer.served.model.as_str()), ("two", "gpt-4"));
    drop(answer);
    for _ in 0..5 {
        drop(pass(&upstreams, Duration::from_secs(5)).await.ok().unwrap());
    }
    let routes = upstreams.routes(Protocol::Openai, MODEL, None).unwrap();
    assert!(routes[0].gate().is_down(), "five in a row reached nobody");
    let opening = upstreams.openings().known[routes[0].gate().lane()];
    assert!(opening > 0, "its jobs are called at the other");
}

#[tokio::test]
async fn a_429_shuts_the_gate_for_as_long_as_it_says() {
    let limit = Reply::json(429, &json!({"error": {"code": "rate_limit_exceeded"}})).with("retry-after-ms", "300");
    let server = Server::start(vec![limit, good()]).await;
    let upstreams = upstreams(vec![("one", config(&server.url))]);
    let route = upstreams.routes(Protocol::Openai, MODEL, None).unwrap().remove(0);
    let failure = route.send(route.gate().try_enter(1, Try::First).unwrap(), &request()).await.err().unwrap();
    assert_eq!((failure.verdict.then, failure.retry_after), (Then::Wait, Some(Duration::from_millis(300))));
    let closed = route.gate().try_enter(1, Try::First).err().unwrap();
    assert_eq!((closed.why, route.gate().free()), (Why::Throttled, 0));
    assert!(closed.wait <= Duration::from_millis(300));
    assert!(pass(&upstreams, Duration::from_secs(5)).await.is_ok(), "who waits is let through when it opens");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_passing_failure_is_not_shown_to_who_waits() {
    let server = Server::start(vec![Reply::json(500, &json!({})), good()]).await;
    let upstreams = upstreams(vec![("one", config(&server.url))]);
    assert!(pass(&upstreams, Duration::from_secs(5)).await.is_ok());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_empty_account_is_not_asked_again() {
    let body = json!({"error": {"code": "insufficient_quota", "message": "pay"}});
    let server = Server::start(vec![Reply::json(429, &body)]).await;
    let upstreams = upstreams(vec![("one", config(&server.url))]);
    assert!(matches!(pass(&upstreams, Duration::from_secs(5)).await, Err(PassFailure::Failed(_))));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_good_answer_that_says_the_key_again_is_passed_on_without_it() {
    let piece = |text: &'static str| (Duration::from_millis(20), Bytes::from_static(text.as_bytes()));
    let pieces = vec![piece("data: {\"said\": \"Bearer sk-ca"), piece("nary-1\"}\n\n"), piece("data: [DONE]\n\n")];
    let stream = Reply { pieces, ..good() }.with("x-said", "sk-canary-1");
    let object =
        Reply::json(200, &json!({"said": "sk-canary-1", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}));
    for (reply, expected) in [
        (stream, "data: {\"said\": \"Bearer [key]\"}\n\ndata: [DONE]\n\n"),
        (object, r#"{"said":"[key]","usage":{"completion_tokens":4,"prompt_tokens":3}}"#),
    ] {
        let server = Server::start(vec![reply]).await;
        let mut config = config(&server.url);
        config.api_key = Some(Secret::new("sk-canary-1".into()));
        let answer = pass(&upstreams(vec![("one", config)]), Duration::from_secs(5)).await.ok().unwrap();
        assert!(answer.headers.values().all(|value| !value.as_bytes().windows(6).any(|part| part == b"canary")));
        assert_eq!(answer.read(1_000).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_path_leads_nowhere_else() {
    let server = Server::start(vec![good()]).await;
    let upstreams = upstreams(vec![("one", config(&server.url))]);
    let route = upstreams.routes(Protocol::Openai, MODEL, None).unwrap().remove(0);
    let send = async |path: &str| {
        let request = Request::post(path, Bytes::new());
        route.send(route.gate().try_enter(1, Try::First).unwrap(), &request).await
    };
    for path in
        ["@evil.example/", "//evil.example/x", "http://evil.example/", "/a..b/...", "/x?to=../y", "/.well-known"]
    {
        let _ = send(path).await;
    }
    assert!(server.asked().iter().all(|asked| asked.path.starts_with("/v1/")), "{:?}", server.asked());
    let before = server.asked().len();
    assert!(before >= 3, "dots in names and queries are nothing to refuse");
    for path in [
        "/../admin?x=1",
        "..",
        "a/..",
        "a/./b",
        "/%2e%2E/admin",
        "/.%2e/admin",
        "/%252e%252e/admin",
        "/..%2fadmin",
        "\\..\\admin",
        "/..%5cadmin",
        "/..;x/admin",
    ] {
        let refused = send(path).await.err().unwrap();
        assert!(refused.detail.starts_with("the path ") && refused.verdict.then == Then::Never, "{refused}");
    }
    assert_eq!(server.asked().len(), before);
}

#[tokio::test]
async fn what_an_upstream_does_not_take_is_told_as_that() {
    let listing = |models: &[String]| UpstreamConfig { models: models.to_vec(), ..config("http://127.0.0.1:1") };
    let many: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
    let upstreams = upstreams(vec![("few", listing(&["a".into(), "b".into()])), ("many", listing(&many))]);
    let told = |name: &str| upstreams.routes(Protocol::Openai, "c", Some(name)).err().unwrap().to_string();
    assert_eq!(told("few"), "the upstream \"few\" does not take the model \"c\"; it takes a, b");
    assert!(told("many").ends_with("m14, m15 and 4 more"), "{}", told("many"));
    assert_eq!(told("none"), "there is no upstream \"none\" that speaks openai; there are: few, many");
}

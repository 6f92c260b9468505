//! What only a real socket shows: time-outs, limits, framing, and how the server stops.

use axum::body::Body;
use axum::http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use raincheck_api::ApiSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::listening::{PATIENCE, SHORT, listen, rest, until};

#[tokio::test]
async fn who_sends_no_whole_head_is_hung_up_on() {
    let listening = listen(ApiSettings { header_timeout: SHORT, ..ApiSettings::default() }).await;
    for beginning in [
        "",
        "P",
        "PR",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/1.1\r\n",
        "GET / HT",
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: ",
    ] {
        let reply = listening.talk(beginning.as_bytes()).await;
        let may_be_silent = beginning.is_empty() || beginning == "PRI * HTTP/1.1\r\n";
        let told = reply.starts_with("HTTP/1.1 408") && reply.contains("request-timeout");
        assert!(told || (may_be_silent && reply.is_empty()), "{beginning:?}: {reply}");
    }
    // Not even by sending a little now and then.
    let mut stream = listening.connect().await;
    let dripping = async {
        while stream.write_all(b"G").await.is_ok() {
            tokio::time::sleep(SHORT / 3).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("it was not closed");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let listening = listen(ApiSettings { header_timeout: SHORT, ..ApiSettings::default() }).await;
    let reply = listening.talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[tokio::test]
async fn large_heads_are_refused() {
    let listening = listen(ApiSettings::default()).await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    let reply = listening.talk(long.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431") && reply.contains("problem:head-too-large"), "{reply}");
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(101));
    let reply = listening.talk(many.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431") && reply.contains("problem:head-too-large"), "{reply}");
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let listening = listen(ApiSettings { header_timeout: SHORT, ..ApiSettings::default() }).await;
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for framing in [
        "content-length: 4\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "content-length: +4\r\n\r\n0\r\n\r\n",
        "x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    ] {
        let reply = listening.talk(format!("{head}{framing}{smuggled}").as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("malformed-request"), "{framing:?}: {reply}");
        assert_eq!(
            reply.matches("HTTP/1.1 4").count() + reply.matches("HTTP/1.1 2").count(),
            1,
            "{framing:?}: the connection goes on: {reply}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_in_time() {
    let listening = listen(ApiSettings { body_timeout: SHORT, ..ApiSettings::default() }).await;
    let head =
        "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let reply = listening.talk(head.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 408") && reply.contains("request-timeout"), "{reply}");
}

#[tokio::test]
async fn a_large_body_is_refused_unread() {
    let listening = listen(ApiSettings::default()).await;
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n";
    let reply = listening.talk(head.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413") && reply.contains("body-too-large"), "{reply}");
}

#[tokio::test]
async fn connections_above_the_limit_are_turned_away() {
    let listening = listen(ApiSettings { connections_max: 2, ..ApiSettings::default() }).await;
    let mut held = [listening.connect().await, listening.connect().await];
    for stream in &mut held {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        until(stream, "ok").await;
    }
    let mut third = listening.connect().await;
    let reply = rest(&mut third).await;
    assert!(
        reply.starts_with("HTTP/1.1 503") && reply.contains("retry-after") && reply.ends_with("\"rejected\"}"),
        "{reply}"
    );
    drop(held);
    let served = async {
        while !listening
            .talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await
            .contains("200 OK")
        {}
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn who_takes_nothing_is_given_up() {
    let settings = ApiSettings {
        write_timeout: SHORT,
        input_bytes_max: 64 << 20,
        body_bytes_max: 64 << 20,
        connections_max: 1,
        ..ApiSettings::default()
    };
    let listening = listen(settings).await;
    // More than the sockets' buffers hold.
    let id = listening.server.finish(&format!(r#"{{"kind": "echo", "input": "{}"}}"#, "x".repeat(32 << 20))).await;
    let mut stream = listening.connect().await;
    let request = format!("GET /v1/jobs/{id}/result HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // Its place becomes free although it is never closed from this side.
    let served = async {
        while !listening
            .talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await
            .contains("200 OK")
        {
            tokio::time::sleep(SHORT / 3).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_streams_and_lets_requests_finish() {
    let listening = listen(ApiSettings::default()).await;
    let id = listening.server.submit(r#"{"kind": "gate"}"#).await;
    let (mut stream, mut waiting, mut idle) =
        (listening.connect().await, listening.connect().await, listening.connect().await);
    let follow = format!("GET /v1/jobs/{id}/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(follow.as_bytes()).await.unwrap();
    until(&mut stream, "event: started").await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    until(&mut idle, "ok").await;
    let wait = format!("GET /v1/jobs/{id}?wait=60 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    waiting.write_all(wait.as_bytes()).await.unwrap();
    // Its request has surely been read once a later one on another connection was answered.
    listening.talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    listening.server.closing.cancel();
    assert!(rest(&mut stream).await.ends_with("0\r\n\r\n"), "the stream ends, and is not cut off");
    let answer = rest(&mut waiting).await;
    assert!(answer.is_empty() || answer.contains("\"state\":\"running\""), "{answer}");
    assert_eq!(rest(&mut idle).await, "");
    tokio::time::timeout(PATIENCE, listening.serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(listening.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn http_2_is_spoken_to_who_begins_with_it() {
    let listening = listen(ApiSettings::default()).await;
    let io = TokioIo::new(listening.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), io).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    drop(tokio::spawn(connection));
    let request = |host: &str| Request::get(format!("http://{host}/v1/kinds")).body(Body::empty()).unwrap();
    let reply = sender.send_request(request("localhost")).await.unwrap();
    assert_eq!((reply.status(), reply.version()), (StatusCode::OK, Version::HTTP_2));
    assert!(!reply.into_body().collect().await.unwrap().to_bytes().is_empty());
    let rebound = sender.send_request(request("evil.example")).await.unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    let listening = listen(ApiSettings { header_timeout: SHORT, ..ApiSettings::default() }).await;
    // One that says nothing after its preface.
    let mut silent = listening.connect().await;
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let _ = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await.expect("it was not closed");
    // And one that has been answered, however long that took.
    let id = listening.server.submit(r#"{"kind": "gate"}"#).await;
    let io = TokioIo::new(listening.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), io).await.unwrap();
    let request = Request::get(format!("http://localhost/v1/jobs/{id}?wait=1")).body(Body::empty()).unwrap();
    let asking = async {
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert!(!reply.into_body().collect().await.unwrap().to_bytes().is_empty());
    };
    let closed = tokio::time::timeout(PATIENCE, async { tokio::join!(connection, asking) }).await;
    closed.expect("it was not closed").0.unwrap();
}

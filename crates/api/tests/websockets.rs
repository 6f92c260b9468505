//! Jobs followed by a WebSocket, by a client of another hand than ours.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use raincheck_api::ApiSettings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};

use crate::support::listening::{Listening, PATIENCE, SHORT, listen};

/// Follows a job.
async fn follow(listening: &Listening, path: &str) -> WebSocketStream<TcpStream> {
    let uri = format!("ws://{}{path}", listening.address).parse().unwrap();
    let request = ClientRequestBuilder::new(uri);
    tokio_tungstenite::client_async(request, listening.connect().await).await.unwrap().0
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing came");
    message.expect("it ended without a good-bye").unwrap()
}

/// All events that come, and the code with which the server says good-bye.
async fn rest(socket: &mut WebSocketStream<TcpStream>) -> (Vec<Value>, CloseCode) {
    let mut events = Vec::new();
    loop {
        match next(socket).await {
            Message::Text(text) => events.push(serde_json::from_str(&text).unwrap()),
            Message::Close(goodbye) => return (events, goodbye.unwrap().code),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_socket_follows_a_job_to_its_end() {
    let listening = listen(ApiSettings::default()).await;
    let server = &listening.server;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    let mut socket = follow(&listening, &format!("/v1/jobs/{id}/events")).await;
    server.until(&id, "output").await;
    server.gate.notify_one();
    let (events, code) = rest(&mut socket).await;
    assert_eq!(code, CloseCode::Normal);
    let page = server.get(&format!("/v1/jobs/{id}/events")).await.json();
    assert_eq!(page["events"], json!(events));
    assert_eq!(events.last().unwrap()["type"], "completed");
    // Who comes back goes on behind what was seen; who has seen it all is told so.
    let mut again = follow(&listening, &format!("/v1/jobs/{id}/events?after=3")).await;
    assert_eq!(rest(&mut again).await, (events[3..].to_vec(), CloseCode::Normal));
    let mut again = follow(&listening, &format!("/v1/jobs/{id}/events?after={}", events.len())).await;
    assert_eq!(rest(&mut again).await, (Vec::new(), CloseCode::Normal));
}

#[tokio::test]
async fn a_quiet_socket_shows_that_it_lives_and_ends_with_the_server() {
    let listening = listen(ApiSettings { sse_heartbeat: Duration::from_millis(20), ..ApiSettings::default() }).await;
    let id = listening.server.submit(r#"{"kind": "gate"}"#).await;
    let mut socket = follow(&listening, &format!("/v1/jobs/{id}/events")).await;
    while !matches!(next(&mut socket).await, Message::Ping(_)) {}
    // A sign of life from the other side changes nothing.
    socket.send(Message::Ping("there?".into())).await.unwrap();
    while !matches!(next(&mut socket).await, Message::Pong(_)) {}
    listening.server.closing.cancel();
    assert_eq!(rest(&mut socket).await.1, CloseCode::Away);
    tokio::time::timeout(PATIENCE, listening.serving).await.expect("the server waits for the socket").unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_listened_to() {
    let listening = listen(ApiSettings::default()).await;
    let id = listening.server.submit(r#"{"kind": "gate"}"#).await;
    for said in [Message::text("cancel!"), Message::binary(vec![0; 4_096])] {
        let mut socket = follow(&listening, &format!("/v1/jobs/{id}/events")).await;
        socket.send(said).await.unwrap();
        assert_eq!(rest(&mut socket).await.1, CloseCode::Policy);
    }
    let mut socket = follow(&listening, &format!("/v1/jobs/{id}/events")).await;
    socket.send(Message::binary(vec![0; 1 << 20])).await.unwrap();
    let ended = async { while socket.next().await.is_some_and(|heard| heard.is_ok()) {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it is listened to for ever");
}

#[tokio::test]
async fn sockets_count_as_connections() {
    let listening = listen(ApiSettings { connections_max: 1, ..ApiSettings::default() }).await;
    let id = listening.server.submit(r#"{"kind": "gate"}"#).await;
    let mut socket = follow(&listening, &format!("/v1/jobs/{id}/events")).await;
    let reply = listening.talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
    socket.close(None).await.unwrap();
    let freed = async {
        while !listening.talk(b"GET /healthz HTTP/1.0\r\nhost: localhost\r\n\r\n").await.starts_with("HTTP/1.0 200") {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("the connection is still counted");
}

#[tokio::test]
async fn what_is_no_good_handshake_is_refused_with_words() {
    let listening = listen(ApiSettings::default()).await;
    let id = listening.server.submit(r#"{"kind": "gate"}"#).await;
    let path = format!("/v1/jobs/{id}/events");
    let ask = async |path: &str, headers: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost:1\r\nupgrade: websocket\r\n{headers}\r\n");
        listening.talk(head.as_bytes()).await
    };
    const GOOD: &str =
        "connection: upgrade, close\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (path, headers, status, words) in [
        (&*path, GOOD.replace("13", "8"), 400, "version 13"),
        (&path, GOOD.replace("-key", "-kex"), 400, "Sec-WebSocket-Key"),
        (&path, format!("{GOOD}origin: http://elsewlocalhost:1\r\n"), 403, "pages from there"),
        (&path, format!("{GOOD}origin: null\r\n"), 403, "pages from there"),
        ("/v1/jobs/job_00000000000070008000000000000000/events", GOOD.to_owned(), 404, "not-found"),
    ] {
        let reply = ask(path, &headers).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")) && reply.contains(words), "{reply}");
    }
    // A page of this server's own may.
    let mut stream = listening.connect().await;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost:1\r\nupgrade: websocket\r\n{GOOD}origin: https://localhost:1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = [0; 512];
    let length = stream.read(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply[..length]);
    assert!(reply.starts_with("HTTP/1.1 101") && reply.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{reply}");
}

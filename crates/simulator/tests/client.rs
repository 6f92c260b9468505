//! HTTP as bytes.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Silence for longer is a stall.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should.
    Whole,
    /// The connection was reset.
    Reset,
    /// The connection was closed too early.
    Cut,
    /// Nothing came any more.
    Stalled,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The data of each event of a stream.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    request(address, "GET", path, &[], b"").await
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &Value) -> Reply {
    post_with(address, path, &[], body).await
}

pub(crate) async fn post_with(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let json = [&[("content-type", "application/json")], headers].concat();
    request(address, "POST", path, &json, body.to_string().as_bytes()).await
}

/// Sends a request on a connection of its own, and takes what comes.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut stream = send(address, method, path, headers, body).await;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let end = loop {
        let read = tokio::time::timeout(SILENCE_MAX, stream.read(&mut buffer)).await;
        match read.unwrap_or_else(|_| Err(Error::from(ErrorKind::TimedOut))) {
            Ok(0) => break End::Whole,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::TimedOut => break End::Stalled,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) => panic!("{error}"),
        }
    };
    parse(&bytes, end)
}

/// Sends a request, and leaves the rest to the caller.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    stream
}

fn parse(bytes: &[u8], end: End) -> Reply {
    let Some(place) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Reply { status: 0, headers: BTreeMap::new(), body: Vec::new(), end };
    };
    let head = std::str::from_utf8(&bytes[..place]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = head.lines().skip(1).filter_map(header).collect();
    let rest = &bytes[place + 4..];
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let (body, whole) = if chunked { unchunked(rest) } else { (rest.to_vec(), true) };
    let end = if end == End::Whole && !whole { End::Cut } else { end };
    Reply { status, headers, body, end }
}

/// A body, and whether its end was there.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if length == 0 {
            return (body, true);
        }
        let have = length.min(rest.len());
        body.extend_from_slice(&rest[..have]);
        rest = rest.get(length + 2..).unwrap_or_default();
    }
    (body, false)
}

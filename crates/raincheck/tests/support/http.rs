use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that is silent for longer hangs.
const READ_MAX: Duration = Duration::from_secs(60);

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    request(address, "GET", path, &[], "")
}

pub(crate) fn delete(address: SocketAddr, path: &str) -> Reply {
    request(address, "DELETE", path, &[], "")
}

/// The bytes of an answer that is no text.
pub(crate) fn get_bytes(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    send(address, "GET", path, &[], "").read_to_end(&mut bytes).expect("the answer can be read");
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    bytes.split_off(head + 4)
}

/// `POST` of JSON; of nothing, if `body` is empty.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Reply {
    let json = [("content-type", "application/json")];
    request(address, "POST", path, if body.is_empty() { &[] } else { &json }, body)
}

/// Sends a request on a connection of its own, and takes the whole answer.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut stream = send(address, method, path, headers, body);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the answer can be read");
    parse(&bytes)
}

/// Reads a stream of events until a line begins with `line`; gives all whole events before that.
pub(crate) fn read_until(address: SocketAddr, path: &str, line: &str) -> String {
    let stream = BufReader::new(send(address, "GET", path, &[("accept", "text/event-stream")], ""));
    let mut events = String::new();
    for read in stream.lines().map(|line| line.expect("the stream can be read")) {
        if read.starts_with(line) {
            return events;
        }
        events.push_str(&read);
        events.push('\n');
    }
    panic!("the stream ended without {line:?}");
}

fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(READ_MAX)).expect("a socket has a time-out");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).expect("the server takes the request");
    stream
}

fn parse(bytes: &[u8]) -> Reply {
    let text = String::from_utf8(bytes.to_vec()).expect("the answer is UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Reply { status: status.expect("a status line"), headers, body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).expect("the length of a chunk");
        if length == 0 {
            break;
        }
        body.push_str(&after[..length]);
        rest = &after[length + 2..];
    }
    body
}

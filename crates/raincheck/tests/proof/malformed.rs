//! Promise: a request that cannot be read, is too large or too slow is refused with a problem that names what is wrong;
//! it stores nothing, and harms nobody but whoever sent it.

use std::time::{Duration, Instant};

use super::http::{Answer, Http};
use super::job;
use super::server::{Launch, Server};
use super::trial::{allowed, now, percentile, rounds};
use crate::support::Place;

/// A request as bytes, and how it should be answered.
struct Bad {
    what: &'static str,
    bytes: Vec<u8>,
    status: u16,
    /// The problem's type.
    problem: &'static str,
}

fn bad(what: &'static str, bytes: impl Into<Vec<u8>>, status: u16, problem: &'static str) -> Bad {
    Bad { what, bytes: bytes.into(), status, problem }
}

/// `POST /v1/jobs` with these headers and this body, whose length is told unless the headers tell how long it is.
fn post(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let told = headers.contains("content-length") || headers.contains("transfer-encoding");
    let length = if told { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

fn post_json(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("content-type: application/json\r\n", body)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

const GOOD: &str = r#"{"kind": "echo"}"#;

fn broken_framing() -> Vec<Bad> {
    let json = "content-type: application/json\r\n";
    vec![
        bad("no HTTP at all", "HELLO\r\n\r\n", 400, "malformed-request"),
        bad(
            "bytes of another protocol",
            [0x16, 0x03, 0x01, 0x00, 0xFF, 0x0D, 0x0A, 0x0D, 0x0A],
            400,
            "malformed-request",
        ),
        bad("an unknown version", "GET / HTTP/9.9\r\n\r\n", 400, "malformed-request"),
        bad(
            "a method with forbidden characters",
            "G(T / HTTP/1.1\r\nhost: localhost\r\n\r\n",
            400,
            "malformed-request",
        ),
        bad("a header without a name", "GET /healthz HTTP/1.1\r\n: x\r\n\r\n", 400, "malformed-request"),
        bad(
            "a header name with a space",
            "GET /healthz HTTP/1.1\r\nhost : localhost\r\n\r\n",
            400,
            "malformed-request",
        ),
        bad("NUL in a header", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n", 400, "malformed-request"),
        bad("NUL in the path", "GET /v1/\0jobs HTTP/1.1\r\nhost: localhost\r\n\r\n", 400, "malformed-request"),
        bad(
            "a length that is no number",
            post(&format!("{json}content-length: ten\r\n"), GOOD),
            400,
            "malformed-request",
        ),
        bad("a negative length", post(&format!("{json}content-length: -1\r\n"), GOOD), 400, "malformed-request"),
        bad(
            "two lengths",
            post(&format!("{json}content-length: 16\r\ncontent-length: 17\r\n"), GOOD),
            400,
            "malformed-request",
        ),
        bad("an unknown coding", post(&format!("{json}transfer-encoding: rot13\r\n"), GOOD), 400, "malformed-request"),
        bad(
            "a header of 40 KB",
            format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(40_000)),
            431,
            "head-too-large",
        ),
        bad("200 headers", format!("GET /healthz HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), 431, "head-too-large"),
        bad("a path of 70 KB", get(&format!("/{}", "x".repeat(70_000))), 431, "head-too-large"),
        bad("a chunk size that is no number", chunked("zz\r\nhello\r\n0\r\n\r\n"), 400, "malformed-request"),
        bad("a chunk size beyond all measure", chunked("fffffffffffffffff\r\n"), 400, "malformed-request"),
        bad("a chunk that is longer than it says", chunked("2\r\nhello\r\n0\r\n\r\n"), 400, "malformed-request"),
        bad(
            "two Host headers",
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
            400,
            "malformed-request",
        ),
        bad("no Host header", "GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed-request"),
        bad("an empty Host header", "GET /healthz HTTP/1.1\r\nhost:\r\n\r\n", 400, "malformed-request"),
        bad("another host's name", "GET /healthz HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403, "forbidden"),
    ]
}

fn chunked(body: &str) -> Vec<u8> {
    post("content-type: application/json\r\ntransfer-encoding: chunked\r\n", body)
}

fn broken_paths() -> Vec<Bad> {
    let job = "/v1/jobs/job_00000000000070008000000000000000";
    vec![
        bad("nothing there", get("/nothing"), 404, "not-found"),
        bad("an unknown job", get(job), 404, "not-found"),
        bad("what is no job id", get("/v1/jobs/17"), 404, "not-found"),
        bad("up and out", get("/v1/jobs/..%2f..%2fetc%2fpasswd"), 404, "not-found"),
        bad("a path that is no UTF-8", get("/v1/jobs/%FF%FE"), 400, "malformed-request"),
        bad("an encoded NUL in the path", get("/v1/jobs/job_%00"), 404, "not-found"),
        bad("a query that is no UTF-8", get("/v1/jobs?state=%FF"), 400, "malformed-request"),
        bad("a query with a broken escape", get("/v1/jobs?state=%zz"), 400, "malformed-request"),
        bad("an unknown parameter", get("/v1/jobs?stat=queued"), 400, "malformed-request"),
        bad("a parameter given twice", get("/v1/jobs?limit=1&limit=2"), 400, "malformed-request"),
        bad("a limit that is no number", get("/v1/jobs?limit=many"), 400, "malformed-request"),
        bad("a limit of nothing", get("/v1/jobs?limit=0"), 400, "malformed-request"),
        bad("a cursor nobody gave", get("/v1/jobs?cursor=17"), 400, "malformed-request"),
        bad("a wait beyond all measure", get(&format!("{job}?wait=99999999999999999999")), 400, "malformed-request"),
        bad("a negative wait", get(&format!("{job}?wait=-1")), 400, "malformed-request"),
        bad(
            "a method that is not there",
            "PATCH /v1/jobs HTTP/1.1\r\nhost: localhost\r\n\r\n",
            405,
            "method-not-allowed",
        ),
        bad("TRACE", "TRACE / HTTP/1.1\r\nhost: localhost\r\n\r\n", 404, "not-found"),
    ]
}

fn broken_headers() -> Vec<Bad> {
    let json = "content-type: application/json\r\n";
    let events = "GET /v1/jobs/job_00000000000070008000000000000000/events HTTP/1.1\r\nhost: localhost\r\n";
    vec![
        bad("no content type", post("", GOOD), 415, "unsupported-media-type"),
        bad(
            "a form",
            post("content-type: application/x-www-form-urlencoded\r\n", "kind=echo"),
            415,
            "unsupported-media-type",
        ),
        bad("text", post("content-type: text/plain\r\n", GOOD), 415, "unsupported-media-type"),
        bad("gzip", post(&format!("{json}content-encoding: gzip\r\n"), gzip()), 415, "unsupported-media-type"),
        bad("an empty idempotency key", post(&format!("{json}idempotency-key: \r\n"), GOOD), 400, "malformed-request"),
        bad(
            "an idempotency key of 256 characters",
            post(&format!("{json}idempotency-key: {}\r\n", "k".repeat(256)), GOOD),
            400,
            "malformed-request",
        ),
        bad(
            "two idempotency keys",
            post(&format!("{json}idempotency-key: a\r\nidempotency-key: b\r\n"), GOOD),
            400,
            "malformed-request",
        ),
        bad("a Last-Event-ID that is no number", format!("{events}last-event-id: x\r\n\r\n"), 400, "malformed-request"),
        bad(
            "a key that is none",
            post(&format!("{json}authorization: Bearer secret\r\n"), GOOD),
            401,
            "unauthenticated",
        ),
        bad("another scheme", post(&format!("{json}authorization: Basic eDp5\r\n"), GOOD), 401, "unauthenticated"),
        bad(
            "a page of another origin",
            post(&format!("{json}origin: https://evil.example\r\n"), GOOD),
            403,
            "forbidden",
        ),
    ]
}

/// `{"kind": "echo"}`, stored without compression.
fn gzip() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 16, 0, 0xEF, 0xFF];
    bytes.extend_from_slice(GOOD.as_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

fn broken_bodies() -> Vec<Bad> {
    let malformed = |what, body: Vec<u8>| bad(what, post_json(body), 400, "malformed-request");
    let invalid = |what, body: &str| bad(what, post_json(body), 422, "invalid-request");
    vec![
        malformed("an empty body", Vec::new()),
        malformed("no JSON", b"hello".to_vec()),
        malformed("half a document", br#"{"kind": "ec"#.to_vec()),
        malformed("two documents", br#"{"kind": "echo"} {"kind": "echo"}"#.to_vec()),
        malformed("a NUL in the document", b"{\"kind\": \"echo\"\0}".to_vec()),
        malformed("text that is no UTF-8", b"{\"kind\": \"echo\", \"input\": \"\xFF\xFE\"}".to_vec()),
        malformed("no number at all", br#"{"kind": "echo", "input": NaN}"#.to_vec()),
        malformed("100,000 brackets", [br#"{"kind": "echo", "input": "#.to_vec(), vec![b'['; 100_000]].concat()),
        invalid("an array", "[1]"),
        invalid("null", "null"),
        invalid("no kind", "{}"),
        invalid("a kind that is a number", r#"{"kind": 1}"#),
        invalid("a kind that can be none", r#"{"kind": "../echo"}"#),
        invalid("an unknown field", r#"{"kind": "echo", "prioritty": "P1"}"#),
        invalid("a field given twice", r#"{"kind": "echo", "kind": "sleep"}"#),
        invalid("half a character", r#"{"kind": "echo", "input": "\ud800"}"#),
        invalid("a priority that is a number", r#"{"kind": "echo", "priority": 10}"#),
        invalid("a priority that is none", r#"{"kind": "echo", "priority": "P10"}"#),
        invalid("a time that is none", r#"{"kind": "echo", "run_at": "tomorrow"}"#),
        invalid("a negative delay", r#"{"kind": "echo", "delay": -1}"#),
        invalid("a delay of centuries", r#"{"kind": "echo", "delay": 1e12}"#),
        invalid("no attempts", r#"{"kind": "echo", "max_attempts": 0}"#),
        invalid("too many attempts", r#"{"kind": "echo", "max_attempts": 4294967296}"#),
        invalid("run_at and delay", r#"{"kind": "echo", "run_at": "2030-01-01T00:00:00Z", "delay": 1}"#),
        invalid("an empty concurrency key", r#"{"kind": "echo", "concurrency_key": ""}"#),
        invalid("labels that are a list", r#"{"kind": "echo", "labels": ["a"]}"#),
        invalid("a label with a colon", r#"{"kind": "echo", "labels": {"a:b": "c"}}"#),
        invalid(
            "an input 65 levels deep",
            &format!(r#"{{"kind": "echo", "input": {}{}}}"#, "[".repeat(65), "]".repeat(65)),
        ),
        bad("an unknown kind", post_json(r#"{"kind": "nothing"}"#), 422, "unknown-kind"),
        bad(
            "an input that does not fit",
            post_json(r#"{"kind": "sleep", "input": {"seconds": "x"}}"#),
            422,
            "invalid-input",
        ),
        bad(
            "an input beyond the limits",
            post_json(r#"{"kind": "sleep", "input": {"seconds": -1}}"#),
            422,
            "invalid-input",
        ),
        bad(
            "an input of 2 MiB",
            post_json(format!(r#"{{"kind": "echo", "input": "{}"}}"#, "x".repeat(2 << 20))),
            413,
            "body-too-large",
        ),
        bad(
            "a body that says it has 9 GB",
            post("content-type: application/json\r\ncontent-length: 9000000000\r\n", ""),
            413,
            "body-too-large",
        ),
        bad("a body of 9 MiB whose length is not told", chunked(&endless_chunks()), 413, "body-too-large"),
    ]
}

fn endless_chunks() -> String {
    format!("100000\r\n{}\r\n", "x".repeat(0x10_0000)).repeat(9)
}

/// Sends the bytes and takes the answer; what cannot be sent any more because the answer is already there is left.
fn told(server: &Server, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut http = server.http();
    let _ = http.send(bytes);
    http.answer()
}

/// What is wrong with the answer to a bad request, if anything is.
fn fault(server: &Server, Bad { what, bytes, status, problem }: &Bad) -> Option<String> {
    let answer = match told(server, bytes) {
        Ok(answer) => answer,
        Err(error) => return Some(format!("{what}: no answer, {error}")),
    };
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    let as_problem = answer.header("content-type") == Some("application/problem+json")
        && answer.outcome() == "rejected"
        && !detail.is_empty()
        && !detail.contains("src/");
    let right = answer.status == *status && answer.problem() == *problem && as_problem;
    (!right).then(|| format!("{what}: {status} {problem} expected, not {answer}"))
}

#[test]
fn every_sort_of_bad_request_is_refused_by_name_and_stores_nothing() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let cases: Vec<Bad> =
        [broken_framing(), broken_paths(), broken_headers(), broken_bodies()].into_iter().flatten().collect();
    let faults: Vec<String> = cases.iter().filter_map(|case| fault(&server, case)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(server.is_alive());
    assert_eq!(job::all(&mut server.http()), [""; 0], "a refused request was stored");
    let mut http = server.http();
    let id = http.submit("", GOOD).expect("an answer").id();
    assert_eq!(job::check_ended(&mut http, &id)["state"], "completed");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    println!("{} sorts of bad requests", cases.len());
}

/// A length and chunks together can make two servers in a row see two different requests.
#[test]
fn a_request_that_could_be_read_in_two_ways_smuggles_nothing() {
    let place = Place::new();
    let server = Launch::at(&place).start();
    let smuggled = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    );
    let body = format!("0\r\n\r\n{smuggled}");
    let headers =
        format!("content-type: application/json\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n", body.len());
    let mut http = server.http();
    http.send(&post(&headers, &body)).expect("send");
    let answer = http.answer().expect("an answer");
    assert_eq!(answer.status, 400, "{answer}");
    assert!(http.answer().is_err(), "the rest was taken for another request");
    assert_eq!(job::all(&mut server.http()), [""; 0]);
}

/// A body that ends early is no request, and nobody may take the half that came for one.
#[test]
fn a_request_cut_off_in_its_body_stores_nothing() {
    let place = Place::new();
    let server = Launch::at(&place).start();
    let whole = post_json(GOOD);
    for length in 0..whole.len() {
        let mut http = server.http();
        http.send(&whole[..length]).expect("send");
        http.finish_sending().expect("shut down");
        if let Ok(answer) = http.answer() {
            // The first letters could become those of HTTP/2, and are waited for until their time is up.
            let right = answer.status == 400 || (answer.status == 408 && answer.problem() == "request-timeout");
            assert!(right, "cut off after {length} bytes: {answer}");
        }
    }
    assert_eq!(job::all(&mut server.http()), [""; 0]);
    println!("cut off after each of {} bytes", whole.len());
}

/// The time for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// More than enough for the server to notice that it is over.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(60);

/// A client that sends a head byte by byte, and never all of it.
struct Slow {
    http: Http,
    head: &'static [u8],
    sent: usize,
    since: Instant,
}

impl Slow {
    fn connect(server: &Server, head: &'static [u8]) -> Self {
        let since = now();
        Self { http: server.http(), head, sent: 0, since }
    }

    /// Sends the next byte. Where the machine is so busy that the time for a head is over by then, the server has given
    /// this client up as it should, and another takes its place: there are always as many.
    fn send(&mut self, server: &Server) {
        while let Err(error) = self.http.send(&self.head[self.sent..=self.sent]) {
            assert!(self.since.elapsed() >= HEAD_TIME, "given up after {:?}: {error}", self.since.elapsed());
            *self = Self::connect(server, self.head);
        }
        self.sent += 1;
    }

    /// Waits until the server has given it up; gives after how long, and with which status if it said anything.
    fn given_up(mut self) -> (Duration, Option<u16>) {
        self.http.set_read_timeout(GIVEN_UP_WITHIN);
        let told = self.http.answer().map(|answer| answer.status);
        let after = self.since.elapsed();
        assert!(after >= HEAD_TIME, "given up after {after:?}: {told:?}");
        let silent = told.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!silent && told.as_ref().map_or(true, |status| *status == 408), "not given up: {told:?}");
        (after, told.ok())
    }
}

/// A thousand clients that send the head of a request byte by byte, and a thousand that send the first letter of one, which
/// could be the first of HTTP/2 as well.
#[test]
fn a_thousand_slow_clients_slow_nobody_else() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let server = Launch::at(&place).start();
    let idle = Launch::at(&elsewhere).start();
    let clients = |head| -> Vec<Slow> { (0..1_000).map(|_| Slow::connect(&server, head)).collect() };
    let mut slow = clients(b"GET /healthz HTTP/1.1\r\nx: ");
    let mut one_letter = clients(b"P");
    one_letter.iter_mut().for_each(|client| client.send(&server));
    let (mut busy, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..(10 * rounds(1)).min(slow[0].head.len()) {
        slow.iter_mut().for_each(|client| client.send(&server));
        let (mut http, mut idle) = (server.http(), idle.http());
        for _ in 0..100 {
            busy.push(latency(&mut http));
            beside.push(latency(&mut idle));
        }
    }
    busy.sort();
    beside.sort();
    let (busy, beside) = (percentile(&busy, 99), percentile(&beside, 99));
    println!("GET /healthz p99: {busy:?} beside 2,000 slow clients, {beside:?} of an idle server meanwhile");
    let limit = allowed(Duration::from_millis(100), beside);
    assert!(busy < limit, "{busy:?}, and no more than {limit:?} is allowed beside {beside:?} of an idle server");
    for client in [slow.swap_remove(0), one_letter.swap_remove(0)] {
        let (after, status) = client.given_up();
        println!("a slow client was given up after {after:?}, with {status:?}");
    }
}

fn latency(http: &mut Http) -> Duration {
    let start = now();
    assert_eq!(http.get("/healthz").expect("an answer").status, 200);
    start.elapsed()
}

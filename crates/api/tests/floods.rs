//! What HTTP/2 makes cheap for whoever attacks: each ends the connection it comes by, and no other.

use raincheck_api::ApiSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::listening::{Listening, PATIENCE, listen};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// Of `HEADERS`: there is no body, and the headers are whole.
const WHOLE: u8 = 0x1 | 0x4;
/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 0xb;
/// `GET http://localhost/` in HPACK: three entries of the static table, and one literal.
const GET: &[u8] = b"\x82\x86\x84\x41\x09localhost";

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends these frames, after what begins a connection; gives the frames that come back until the server closes it.
async fn flood(listening: &Listening, frames: Vec<Vec<u8>>) -> Vec<(u8, Vec<u8>)> {
    let mut stream = listening.connect().await;
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    let (mut reading, mut writing) = stream.split();
    let mut bytes = Vec::new();
    let talking = async {
        tokio::join!(reading.read_to_end(&mut bytes), async {
            // Closed before everything is sent, it is hoped.
            let _ = writing.write_all(&[begin, frames.concat()].concat()).await;
        })
    };
    let _ = tokio::time::timeout(PATIENCE, talking).await.expect("it was not closed");
    let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
    while let [a, b, c, kind, _, _, _, _, _, more @ ..] = rest
        && let Some((payload, more)) = more.split_at_checked(u32::from_be_bytes([0, *a, *b, *c]) as usize)
    {
        frames.push((*kind, payload.to_vec()));
        rest = more;
    }
    frames
}

/// Checks that the connection was ended for one of these reasons, and that the server goes on.
async fn assert_ended(listening: &Listening, frames: Vec<(u8, Vec<u8>)>, reasons: &[u32]) {
    let ended = frames.iter().find(|(kind, _)| *kind == GOAWAY).map(|(_, payload)| &payload[4..8]);
    let reason = ended.map(|code| u32::from_be_bytes(code.try_into().unwrap()));
    assert!(reason.is_some_and(|reason| reasons.contains(&reason)), "{reason:?} in {frames:?}");
    let reply = listening.talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

/// CVE-2023-44487: requests that are taken back at once cost the client nothing, and are never too many at a time.
#[tokio::test]
async fn requests_that_are_taken_back_end_the_connection() {
    let listening = listen(ApiSettings::default()).await;
    let request = |number: u32| {
        let stream = 2 * number + 1;
        [frame(HEADERS, WHOLE, stream, GET), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let frames = flood(&listening, (0..5_000).map(request).collect()).await;
    assert_ended(&listening, frames, &[ENHANCE_YOUR_CALM]).await;
}

/// CVE-2024-27316: headers that never end are kept until they do.
#[tokio::test]
async fn headers_without_end_end_the_connection() {
    let listening = listen(ApiSettings::default()).await;
    // A literal header `x: xxx…`, again and again.
    let header = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x7c][..], &[b'x'; 16_000]].concat();
    let mut frames = vec![frame(HEADERS, 0x1, 1, GET)];
    frames.extend((0..2_000).map(|_| frame(CONTINUATION, 0, 1, &header)));
    let frames = flood(&listening, frames).await;
    assert_ended(&listening, frames, &[ENHANCE_YOUR_CALM]).await;
}

/// CVE-2025-8671: frames that the server must answer with a reset of the stream, which frees its place for the next.
#[tokio::test]
async fn mistakes_that_are_answered_with_resets_end_the_connection() {
    const WINDOW_UPDATE: u8 = 8;
    let listening = listen(ApiSettings::default()).await;
    let request = |number: u32| {
        let stream = 2 * number + 1;
        // A window beyond 2^31 is an error of the stream.
        [frame(HEADERS, 0x4, stream, GET), frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())].concat()
    };
    let frames = flood(&listening, (0..5_000).map(request).collect()).await;
    assert_ended(&listening, frames, &[ENHANCE_YOUR_CALM]).await;
}

/// One stream's head beyond the limit is its own affair.
#[tokio::test]
async fn a_head_that_is_too_large_ends_its_stream_alone() {
    let listening = listen(ApiSettings::default()).await;
    let header = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x7c][..], &[b'x'; 16_000]].concat();
    let frames = vec![
        frame(HEADERS, 0x1, 1, GET),
        frame(CONTINUATION, 0, 1, &header),
        frame(CONTINUATION, 0, 1, &header),
        frame(CONTINUATION, 0x4, 1, &header),
        frame(PING, 0, 0, b"are you?"),
        // Ends the connection, for this test.
        frame(GOAWAY, 0, 0, &[0; 8]),
    ];
    let frames = flood(&listening, frames).await;
    // `:status: 431` has no entry of its own: it is told as a literal of 3 characters.
    let answered = frames.iter().any(|(kind, payload)| *kind == HEADERS && !payload.is_empty());
    let alive = frames.iter().any(|(kind, payload)| *kind == PING && payload == b"are you?");
    assert!(answered && alive, "{frames:?}");
}

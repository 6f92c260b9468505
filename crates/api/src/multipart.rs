use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use bytes::{Buf, BytesMut};
use raincheck_core::ProblemType;
use tokio::time::Instant;

use crate::api::Api;
use crate::body::{next_piece, patience};
use crate::problem::ApiError;

/// The head of a part, in bytes.
const HEAD_MAX: usize = 8 * 1024;
/// The longest boundary (RFC 2046).
const BOUNDARY_MAX: usize = 70;
/// What may come before the first part and is of no meaning, in bytes.
const PREAMBLE_MAX: usize = 8 * 1024;

/// A body of parts (RFC 7578), read part by part and piece by piece, so that a large one takes no memory.
pub(crate) struct Multipart {
    body: Body,
    api: Arc<Api>,
    begun: Instant,
    arrived: usize,
    /// What stands before each part: a line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    is_at_delimiter: bool,
}

/// What the head of a part says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
}

impl Multipart {
    /// The parts of a body, if its head says that it has any.
    pub(crate) fn new(api: &Arc<Api>, headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(value).ok_or_else(|| {
            let detail = "send the body as multipart/form-data, with a boundary";
            ApiError::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail)
        })?;
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter has no line before it whose break it could be.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        let (api, begun) = (Arc::clone(api), Instant::now());
        Ok(Self { body, api, begun, arrived: 0, delimiter, buffer, is_at_delimiter: false })
    }

    /// The head of the next part; `None` behind the last. What is left of the one before is skipped.
    pub(crate) async fn part(&mut self) -> Result<Option<Part>, ApiError> {
        let mut skipped = 0;
        while let Some(piece) = self.piece().await? {
            skipped += piece.len();
            if skipped > PREAMBLE_MAX {
                return Err(malformed("a part has more than is read of it"));
            }
        }
        while self.buffer.len() < self.delimiter.len() + 2 {
            self.more().await?;
        }
        self.buffer.advance(self.delimiter.len());
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(malformed("the head of a part is too long"));
            }
            self.more().await?;
        };
        let head = self.buffer.split_to(end + 4);
        self.is_at_delimiter = false;
        part(&head).map(Some).ok_or_else(|| malformed("a part should say Content-Disposition: form-data; name=\"…\""))
    }

    /// The next bytes of the part; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if self.is_at_delimiter {
                return Ok(None);
            }
            if let Some(place) = find(&self.buffer, &self.delimiter) {
                self.is_at_delimiter = true;
                let rest = self.buffer.split_to(place).freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            // The end of what is there may be the beginning of the delimiter.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.more().await?;
        }
    }

    /// The part as short text.
    pub(crate) async fn text(&mut self, max: usize) -> Result<String, ApiError> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece().await? {
            text.extend_from_slice(&piece);
            if text.len() > max {
                return Err(malformed("a part is longer than what it holds may be"));
            }
        }
        String::from_utf8(text).map_err(|_| malformed("a part is not UTF-8"))
    }

    async fn more(&mut self) -> Result<(), ApiError> {
        let until = self.begun + patience(&self.api, self.arrived);
        let piece = next_piece(&mut self.body, until).await?;
        let piece = piece.ok_or_else(|| malformed("the body ends before its last part does"))?;
        self.arrived += piece.len();
        self.buffer.extend_from_slice(&piece);
        Ok(())
    }
}

fn malformed(detail: &str) -> ApiError {
    ApiError::new(ProblemType::MALFORMED_REQUEST, format!("{detail} (multipart/form-data)"))
}

/// Where `what` begins in `bytes`.
fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    // Most bytes are no line break: looked for by the first byte alone.
    while let Some(place) = bytes.get(from..)?.iter().position(|byte| *byte == what[0]) {
        if bytes[from + place..].starts_with(what) {
            return Some(from + place);
        }
        from += place + 1;
    }
    None
}

fn boundary(content_type: &str) -> Option<String> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    let is_good = |byte: u8| (0x20..0x7f).contains(&byte);
    ((1..=BOUNDARY_MAX).contains(&boundary.len()) && boundary.bytes().all(is_good)).then_some(boundary)
}

fn part(head: &[u8]) -> Option<Part> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then(|| value.trim())
    })?;
    let (kind, parameters) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    Some(Part { name: parameter(parameters, "name")?, filename: parameter(parameters, "filename") })
}

/// The value of a parameter: a token, or quoted text in which a backslash stands before quotes and backslashes.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (key, value) = rest.split_once('=')?;
        let (value, behind) = value_of(value)?;
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind;
    }
}

fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    loop {
        match letters.next()? {
            (at, '"') => return Some((value, &quoted[at + 1..])),
            (_, '\\') => match letters.next()?.1 {
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            (_, letter) => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_clients_write_them() {
        let head = b"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a; \\\"b\\\".jsonl\"\r\nContent-Type: x\r\n\r\n";
        let filename = Some("a; \"b\".jsonl".to_owned());
        assert_eq!(part(head), Some(Part { name: "file".into(), filename }));
        assert_eq!(part(b"\r\ncontent-disposition: form-data; name=purpose\r\n\r\n").unwrap().name, "purpose");
        assert_eq!(part(b"\r\n\r\n"), None);
        assert_eq!(part(b"\r\nContent-Disposition: form-data; name=\"open\r\n\r\n"), None);
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        assert_eq!(boundary("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=x; boundary=\"a b\"").as_deref(), Some("a b"));
        for bad in ["multipart/form-data", "application/json; boundary=a", "multipart/form-data; boundary="] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }
}

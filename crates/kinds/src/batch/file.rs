use std::io::{self, SeekFrom};

use raincheck_blob::{Local, Reserved};
use raincheck_core::Json;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader};
use tokio::sync::Mutex;

use super::CustomIds;

/// Calls of a batch, in number.
const LINES_MAX: usize = 50_000;
/// The longest line, in bytes.
const LINE_MAX: u64 = 8 << 20;
/// The longest `custom_id`, in bytes.
const CUSTOM_ID_MAX: usize = 512;
/// Mistakes that are told of one file.
const MISTAKES_MAX: usize = 100;
/// What is read of a file at once.
const CHUNK: usize = 256 << 10;

/// The calls of a file: found once, and read when their turn comes, so that a large file takes no memory.
pub(super) struct Calls {
    endpoint: String,
    /// Where each begins, and its length.
    places: Vec<(u64, usize)>,
    file: Mutex<File>,
    /// What the file takes on this disk, if it is a copy.
    _room: Reserved,
}

/// A call as a line says it.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub(super) custom_id: String,
    method: String,
    url: String,
    pub(super) body: Json,
}

/// Something wrong with a line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mistake {
    code: String,
    line: usize,
    message: String,
    param: Option<String>,
}

impl Mistake {
    fn new(line: usize, code: &str, param: Option<&str>, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), line, message: message.into(), param: param.map(str::to_owned) }
    }

    pub(super) fn told(&self) -> String {
        format!("line {}: {}", self.line, self.message)
    }
}

impl Calls {
    /// Looks through a file; gives everything that is wrong with it if it is not good.
    pub(super) async fn read(local: Local, endpoint: &str) -> io::Result<Result<Self, Vec<Mistake>>> {
        let Local { file, room } = local;
        let mut lines = BufReader::with_capacity(CHUNK, file);
        let (mut places, mut known, mut mistakes) = (Vec::new(), CustomIds::new(), Vec::new());
        let (mut at, mut number, mut line) = (0, 0, Vec::new());
        while mistakes.len() < MISTAKES_MAX {
            line.clear();
            let read = (&mut lines).take(LINE_MAX + 1).read_until(b'\n', &mut line).await?;
            if read == 0 {
                break;
            }
            number += 1;
            let (begin, length) = (at, line.trim_ascii_end().len());
            at += read as u64;
            if read as u64 > LINE_MAX {
                mistakes.push(Mistake::new(number, "line_too_long", None, format!("a line may have {LINE_MAX} bytes")));
                break;
            }
            if length == 0 {
                continue;
            }
            match check(&line[..length], number, endpoint, &mut known) {
                Ok(()) => places.push((begin, length)),
                Err(mistake) => mistakes.push(mistake),
            }
            if places.len() > LINES_MAX {
                mistakes.push(Mistake::new(
                    number,
                    "too_many_tasks",
                    None,
                    format!("a batch may have {LINES_MAX} lines"),
                ));
                break;
            }
        }
        if places.is_empty() && mistakes.is_empty() {
            mistakes.push(Mistake::new(1, "empty_file", None, "the file has no lines"));
        }
        let (endpoint, file) = (endpoint.to_owned(), Mutex::new(lines.into_inner()));
        Ok(if mistakes.is_empty() { Ok(Self { endpoint, places, file, _room: room }) } else { Err(mistakes) })
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(super) async fn get(&self, number: usize) -> io::Result<Call> {
        let (begin, length) = self.places[number];
        let mut line = vec![0; length];
        {
            let mut file = self.file.lock().await;
            file.seek(SeekFrom::Start(begin)).await?;
            file.read_exact(&mut line).await?;
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

fn check(line: &[u8], number: usize, endpoint: &str, known: &mut CustomIds) -> Result<(), Mistake> {
    let invalid = |param: &str, message: String| Err(Mistake::new(number, "invalid_request", Some(param), message));
    let call: Call = serde_json::from_slice(line)
        .map_err(|error| Mistake::new(number, "invalid_json_line", None, format!("it is no call: {error}")))?;
    if !(1..=CUSTOM_ID_MAX).contains(&call.custom_id.len()) {
        return invalid("custom_id", format!("a custom_id has 1 to {CUSTOM_ID_MAX} bytes"));
    }
    if call.method != "POST" {
        return invalid("method", "the method should be POST".into());
    }
    if call.url != endpoint {
        return Err(Mistake::new(
            number,
            "mismatched_url",
            Some("url"),
            format!("the url should be {endpoint}, as the batch says"),
        ));
    }
    if !call.body.as_str().starts_with('{') {
        return invalid("body", "the body should be an object".into());
    }
    if !known.insert(call.custom_id) {
        return Err(Mistake::new(
            number,
            "duplicate_custom_id",
            Some("custom_id"),
            "the custom_id stands for another line already",
        ));
    }
    Ok(())
}

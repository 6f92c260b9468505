use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Either, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use raincheck_core::gate::Fault;
use serde_json::Value;
use tokio::time::Instant;

use crate::config::Patience;
use crate::gate::Permit;
use crate::{CallFailure, Request, Route};

/// Where OpenAI takes files, below its base URL.
const PATH: &str = "/files";
/// An answer to an upload may have so many bytes.
const ANSWER_MAX: usize = 1 << 20;

/// A file for an upstream that takes files as OpenAI does (`POST /files`).
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its name.
    pub filename: String,
    /// What it is for, in the upstream's word.
    pub purpose: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits. It parts the form: no file holds its own.
    pub sha256: String,
}

impl Upload {
    fn boundary(&self) -> String {
        format!("raincheck-{}", self.sha256.get(..48).unwrap_or(&self.sha256))
    }

    /// What stands before the file's bytes, and behind them.
    fn form(&self, expire_after: Option<Duration>) -> (String, String) {
        let boundary = self.boundary();
        let mut head = String::new();
        let mut field = |name: &str, value: &str| {
            head.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        };
        field("purpose", &self.purpose);
        if let Some(after) = expire_after {
            field("expires_after[anchor]", "created_at");
            field("expires_after[seconds]", &after.as_secs().to_string());
        }
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: \
             application/octet-stream\r\n\r\n",
            quoted(&self.filename)
        ));
        (head, format!("\r\n--{boundary}--\r\n"))
    }
}

/// A name as it stands in a form (RFC 7578, as browsers write it).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

impl Route {
    /// Uploads a file whose bytes are read while they are sent: it is never whole in memory. Gives the upstream's name for it.
    /// Each piece must be taken, and the answer begin, as quickly as of any call.
    ///
    /// # Errors
    /// As of [`Route::send`], and if the answer names no file.
    pub async fn upload(
        &self,
        permit: Permit,
        upload: &Upload,
        content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<String, CallFailure> {
        let (head, tail) = upload.form(self.config().files_expire_after);
        let length = head.len() as u64 + upload.bytes + tail.len() as u64;
        let mut request = Request::post(PATH, Bytes::new());
        let form = format!("multipart/form-data; boundary={}", upload.boundary());
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_str(&form).expect("hexadecimal digits"));
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let pulse = Pulse::new();
        let beat = pulse.clone();
        let pieces = stream::once(async { Ok(Bytes::from(head)) })
            .chain(content)
            .chain(stream::once(async { Ok(Bytes::from(tail)) }))
            .map(move |piece: io::Result<Bytes>| {
                beat.beat(piece.as_ref().map_or(0, |piece| piece.len() as u64), length);
                piece.map(Frame::data)
            });
        let body = Either::Right(StreamBody::new(pieces).boxed_unsync());
        let http = self.upstream.http_request(&request, body, self.own_key.as_ref())?;
        let answer = self.make(Some(permit), http, &pulse).await?.read(ANSWER_MAX).await?;
        let file: Option<Value> = serde_json::from_slice(&answer).ok();
        let id = file.as_ref().and_then(|file| file.get("id")?.as_str()).map(str::to_owned);
        id.ok_or_else(|| CallFailure::malformed(format!("{} took a file and gave it no id", self.upstream.name)))
    }
}

/// When the last piece of a body was taken that is read while it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Option<Arc<Mutex<Beat>>>);

#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Instant,
    taken: u64,
    is_last: bool,
}

/// How a call without an answer was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// No more of the body was taken.
    Untaken(Duration),
    /// All of it was, and no answer began.
    Unanswered(Duration),
    /// It took too long in all.
    TooLong(Duration),
}

impl Stalled {
    pub(crate) fn told(self) -> (Fault<'static>, String) {
        match self {
            Self::Untaken(gap) => (Fault::Stalled, format!("took nothing more of the file for {} s", gap.as_secs())),
            Self::Unanswered(first) => (Fault::FirstByte, format!("did not answer within {} s", first.as_secs())),
            Self::TooLong(total) => (Fault::TooLong, format!("had not answered after {} s", total.as_secs())),
        }
    }
}

impl Pulse {
    fn new() -> Self {
        Self(Some(Arc::new(Mutex::new(Beat { at: Instant::now(), taken: 0, is_last: false }))))
    }

    fn beat(&self, bytes: u64, length: u64) {
        if let Some(beat) = &self.0 {
            let beat = &mut *beat.lock().unwrap_or_else(PoisonError::into_inner);
            beat.taken += bytes;
            (beat.at, beat.is_last) = (Instant::now(), beat.taken >= length);
        }
    }

    fn last(&self) -> Option<Beat> {
        self.0.as_ref().map(|beat| *beat.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When all of the body had been taken; `None` if it was there whole, or has not been.
    pub(crate) fn sent_at(&self) -> Option<Instant> {
        self.last().filter(|beat| beat.is_last).map(|beat| beat.at)
    }

    /// Until when something must happen, and what it means if it does not.
    fn due(&self, patience: &Patience, began: Instant) -> (Instant, Stalled) {
        let (due, stalled) = match self.last() {
            Some(Beat { at, is_last: false, .. }) => {
                (at.max(began) + patience.connect + patience.gap, Stalled::Untaken(patience.gap))
            }
            Some(Beat { at, .. }) => (at + patience.first_byte, Stalled::Unanswered(patience.first_byte)),
            None => (began + patience.first_byte, Stalled::Unanswered(patience.first_byte)),
        };
        let end = began + patience.total;
        if due <= end { (due, stalled) } else { (end, Stalled::TooLong(patience.total)) }
    }

    /// Waits for the answer to a call that began at `began`, as long as it makes headway.
    pub(crate) async fn watch<T>(
        &self,
        answer: impl Future<Output = T>,
        patience: &Patience,
        began: Instant,
    ) -> Result<T, Stalled> {
        let mut answer = std::pin::pin!(answer);
        loop {
            let (due, stalled) = self.due(patience, began);
            match tokio::time::timeout_at(due, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.due(patience, began).0 > due => {}
                Err(_) => return Err(stalled),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_as_long_as_it_says_and_its_name_does_not_break_it() {
        let upload = Upload {
            filename: "a\"b\r\n.txt".into(),
            purpose: "user_data".into(),
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        };
        let (head, tail) = upload.form(Some(Duration::from_secs(3_600)));
        assert!(head.contains("name=\"file\"; filename=\"a%22b%0D%0A.txt\"\r\n"), "{head}");
        assert!(head.contains("name=\"expires_after[seconds]\"\r\n\r\n3600\r\n"), "{head}");
        assert!(tail.starts_with("\r\n--raincheck-ba7816bf") && tail.ends_with("--\r\n"));
        assert!(!upload.form(None).0.contains("expires_after"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_take_long_as_long_as_it_goes_on() {
        let seconds = Duration::from_secs;
        let patience = Patience { connect: seconds(1), first_byte: seconds(10), gap: seconds(4), total: seconds(100) };
        let (pulse, began) = (Pulse::new(), Instant::now());
        let slowly = async {
            for _ in 0..10 {
                tokio::time::sleep(seconds(4)).await;
                pulse.beat(1, 10);
            }
            tokio::time::sleep(seconds(9)).await;
        };
        assert_eq!(pulse.watch(slowly, &patience, began).await, Ok(()));
        assert_eq!(pulse.sent_at().map(|at| at - began), Some(seconds(40)));
        let silent = std::future::pending::<()>();
        assert_eq!(pulse.watch(silent, &patience, began).await, Err(Stalled::Unanswered(seconds(10))));
        let (half, began) = (Pulse::new(), Instant::now());
        half.beat(1, 10);
        let never = std::future::pending::<()>();
        assert_eq!(half.watch(never, &patience, began).await, Err(Stalled::Untaken(seconds(4))));
        let whole = Pulse::default().watch(std::future::pending::<()>(), &patience, Instant::now()).await;
        assert_eq!(whole, Err(Stalled::Unanswered(seconds(10))));
    }
}

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use raincheck_core::gate::{Fault, Sign};
use tokio::time::Instant;

use crate::gate::{End, Permit};
use crate::mask::Mask;
use crate::tokens::Tokens;
use crate::written::written;
use crate::{CallFailure, Frame, Frames, Usage};

/// The usage of an answer that is one object is looked for in so many bytes; a longer one costs what was estimated.
const OBJECT_MAX: usize = 4 << 20;

/// The body of an answer on its way through: held to its time, and looked at for what it cost. While it comes the call is under
/// way.
pub struct Metered {
    body: Incoming,
    permit: Option<Permit>,
    /// It has ended, well or not.
    is_over: bool,
    first_byte: Duration,
    gap: Duration,
    deadline: Instant,
    mask: Mask,
    tap: Tap,
    usage: Option<Usage>,
    /// The text of a stream so far, if it matters how much there is.
    written: Tokens,
}

/// How the usage is found without holding up or keeping what passes.
enum Tap {
    Stream {
        frames: Frames,
        /// The provider said that this is all.
        is_whole: bool,
    },
    Object(Vec<u8>),
    Nothing,
}

impl Metered {
    pub(crate) fn new(
        body: Incoming,
        permit: Option<Permit>,
        (first_byte, gap, deadline): (Duration, Duration, Instant),
        is_stream: bool,
        mask: Mask,
    ) -> Self {
        let tap = if is_stream {
            Tap::Stream { frames: Frames::default(), is_whole: false }
        } else {
            Tap::Object(Vec::new())
        };
        Self {
            body,
            permit,
            is_over: false,
            first_byte,
            gap,
            deadline,
            mask,
            tap,
            usage: None,
            written: Tokens::default(),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If it does not come in time, or the connection breaks off. The call has ended then.
    pub async fn next(&mut self) -> Option<Result<Bytes, CallFailure>> {
        if self.is_over {
            return None;
        }
        loop {
            let patience = self.gap.min(self.deadline.saturating_duration_since(Instant::now()));
            match tokio::time::timeout(patience, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.look(&data);
                    match self.mask.pass(data) {
                        held if held.is_empty() => continue,
                        passed => return Some(Ok(passed)),
                    }
                }
                Ok(None) => {
                    self.end();
                    return Some(self.mask.rest()).filter(|rest| !rest.is_empty()).map(Ok);
                }
                Ok(Some(Err(error))) => {
                    return Some(Err(self.give_up(Fault::CutOff, format!("the answer broke off: {error}"))));
                }
                Err(_) if Instant::now() >= self.deadline => {
                    return Some(Err(self.give_up(Fault::TooLong, "the answer took longer than it may".into())));
                }
                Err(_) => {
                    let detail = format!("nothing more of the answer came for {} s", self.gap.as_secs());
                    return Some(Err(self.give_up(Fault::Stalled, detail)));
                }
            }
        }
    }

    /// What it cost, as far as it has said.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// It is not what it should be: the call has failed.
    pub fn fail(&mut self, detail: &str) -> CallFailure {
        self.give_up(Fault::Malformed, detail.to_owned())
    }

    /// The upstream says in a good answer that it failed.
    pub fn refuse(&mut self, code: Option<&str>, detail: &str) -> CallFailure {
        let status = if code == Some("rate_limit_exceeded") { 429 } else { 500 };
        self.give_up(Fault::Status { status, code }, detail.to_owned())
    }

    fn give_up(&mut self, fault: Fault<'_>, detail: String) -> CallFailure {
        let failure = CallFailure::unanswered(fault, detail);
        self.is_over = true;
        if let Some(permit) = self.permit.take() {
            permit.settle(&End { usage: self.usage, ..failure.end() });
        }
        failure
    }

    fn end(&mut self) {
        self.is_over = true;
        if let Tap::Object(bytes) = &self.tap {
            self.usage = Usage::of_object(bytes);
        }
        let is_cut_short = matches!(self.tap, Tap::Stream { is_whole: false, .. });
        let sign = if is_cut_short { Sign::Bad } else { Sign::Good };
        let first_byte = matches!(self.tap, Tap::Stream { .. }).then_some(self.first_byte);
        if let Some(permit) = self.permit.take() {
            permit.settle(&End { sign, first_byte, usage: self.usage, ..End::GONE });
        }
    }

    fn look(&mut self, data: &Bytes) {
        match &mut self.tap {
            Tap::Stream { frames, is_whole } => match frames.feed(data) {
                Ok(found) => {
                    *is_whole = *is_whole || found.iter().any(says_that_it_is_all);
                    // Most events say nothing of it, and are not parsed for that.
                    for frame in found.iter().filter(|frame| frame.data.contains("\"usage\"")) {
                        if let Some(usage) = serde_json::from_str(&frame.data).ok().as_ref().and_then(Usage::read) {
                            self.usage = Some(self.usage.unwrap_or_default().updated(usage));
                        }
                    }
                    if let Some(permit) = self.permit.as_mut().filter(|permit| permit.counts_tokens()) {
                        let deltas = found.iter().filter(|frame| frame.data.contains("\"delta\""));
                        let events = deltas.filter_map(|frame| serde_json::from_str(&frame.data).ok());
                        self.written = events.map(|event| written(&event)).fold(self.written, Tokens::plus);
                        permit.spend(self.written.count());
                    }
                }
                Err(_) => self.tap = Tap::Nothing,
            },
            Tap::Object(bytes) if bytes.len() + data.len() <= OBJECT_MAX => bytes.extend_from_slice(data),
            Tap::Object(_) => self.tap = Tap::Nothing,
            Tap::Nothing => {}
        }
    }
}

/// Whether a provider ends its stream with this event: `[DONE]`, the reason why a chat finished, or a last event of its dialect.
/// What ends without any is cut short, however orderly its connection was closed.
fn says_that_it_is_all(frame: &Frame) -> bool {
    const LAST: [&str; 5] = ["response.completed", "response.incomplete", "response.failed", "message_stop", "error"];
    let is_last = |name: &str| LAST.contains(&name);
    let mut types = frame.data.split("\"type\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    frame.data == "[DONE]"
        || frame.event.as_deref().is_some_and(is_last)
        || frame.data.contains("\"finish_reason\":\"")
        || types.any(is_last)
}

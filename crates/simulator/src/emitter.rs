//! Sends a stream, piece by piece, with whatever is to go wrong on the way.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::answer::{BEFORE_RESET, Chunk, DRIP_WAIT, Frame, Frames, GARBAGE, drops};
use crate::fault::{Fault, FaultKind};
use crate::jobs::Job;
use crate::ledger::End;
use crate::line::Line;
use crate::plan::Plan;
use crate::requests;
use crate::work::Running;

/// Sends frames when they are due, until a fault has its turn.
pub(crate) struct Emitter {
    frames: Frames,
    error: Frame,
    plan: Plan,
    fault: Option<Fault>,
    /// The work, where it depends on the stream.
    running: Option<Running>,
    /// The job, where it does not.
    watched: Option<Arc<Job>>,
    line: Line,
    cancel: CancellationToken,
    /// When the last token was due.
    due: Instant,
    tokens: u32,
    /// What is sent next, of a slow drip.
    ready: VecDeque<Bytes>,
    /// Nothing more is sent.
    over: bool,
}

impl Emitter {
    pub(crate) fn new(
        frames: Frames,
        error: Frame,
        plan: Plan,
        fault: Option<Fault>,
        line: Line,
        cancel: CancellationToken,
    ) -> Self {
        let due = Instant::now();
        let (ready, running, watched) = (VecDeque::new(), None, None);
        Self { frames, error, plan, fault, running, watched, line, cancel, due, tokens: 0, ready, over: false }
    }

    /// The stream of this work: it ends with the last frame, and is aborted if that is not sent.
    pub(crate) fn of(self, running: Running) -> Self {
        Self { running: Some(running), ..self }
    }

    /// The stream of a job that goes on without it.
    pub(crate) fn watching(self, job: Arc<Job>) -> Self {
        Self { watched: Some(job), ..self }
    }

    /// The next piece.
    pub(crate) async fn next(mut self) -> Option<(Chunk, Self)> {
        if let Some(piece) = self.ready.pop_front() {
            let wait = self.fault.as_ref().and_then(Fault::wait);
            tokio::time::sleep(wait.unwrap_or(DRIP_WAIT)).await;
            return Some((Ok(piece), self));
        }
        if self.over {
            return None;
        }
        let Some(frame) = self.frames.next() else {
            self.end(if self.is(FaultKind::Fails) { End::Failed } else { End::Completed });
            return None;
        };
        if frame.is_token
            && self.is_due()
            && let Some(sent) = self.go_wrong(&frame).await
        {
            return Some((sent, self));
        }
        if !self.wait_for(&frame).await {
            return None;
        }
        // Who is told of its end finds that in the ledger, too.
        if let Some(job) = &self.watched {
            job.stage(Instant::now());
        }
        let bytes = Bytes::from(frame.text);
        if self.is(FaultKind::SlowDrip) {
            self.ready.extend(drops(&bytes));
            let first = self.ready.pop_front().unwrap_or_default();
            return Some((Ok(first), self));
        }
        Some((Ok(bytes), self))
    }

    /// Waits until a frame is due; false if it is not to be sent any more.
    async fn wait_for(&mut self, frame: &Frame) -> bool {
        if frame.is_token {
            self.due += self.plan.gap(self.tokens);
            self.tokens += 1;
        }
        let due = frame.at.or(frame.is_token.then_some(self.due));
        let Some(due) = due.filter(|due| *due > Instant::now()) else {
            self.wrote(self.tokens);
            return !self.cancel.is_cancelled();
        };
        let in_time = self.cancel.run_until_cancelled(sleep_until(due)).await.is_some();
        if in_time {
            self.wrote(self.tokens);
        }
        in_time
    }

    fn wrote(&mut self, tokens: u32) {
        if let Some(running) = &mut self.running {
            running.wrote(u64::from(tokens));
        }
    }

    fn end(&mut self, end: End) {
        if let Some(mut running) = self.running.take() {
            running.end(end);
        }
    }

    fn is(&self, kind: FaultKind) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.kind == kind)
    }

    /// Whether the fault comes now; at the last token at the latest.
    fn is_due(&self) -> bool {
        let after = |fault: &Fault| self.tokens == fault.after_tokens.min(self.plan.tokens - 1);
        self.fault.as_ref().is_some_and(after)
    }

    /// What is sent instead of a frame; `None` if it is sent after all.
    async fn go_wrong(&mut self, frame: &Frame) -> Option<Chunk> {
        let fault = self.fault.clone()?;
        match fault.kind {
            FaultKind::ResetMid => Some(self.reset().await),
            FaultKind::LostAnswer => {
                // The provider writes to the end, and bills it.
                self.wrote(self.plan.tokens);
                self.end(End::Completed);
                Some(self.reset().await)
            }
            FaultKind::Stall => match fault.wait() {
                Some(wait) => {
                    tokio::time::sleep(wait).await;
                    self.due = Instant::now();
                    None
                }
                None => std::future::pending().await,
            },
            FaultKind::Truncate => {
                self.over = true;
                let half = requests::beginning(&frame.text, frame.text.len() / 2);
                Some(Ok(Bytes::copy_from_slice(half.as_bytes())))
            }
            FaultKind::Malformed => {
                // The token is lost in it.
                self.fault = None;
                Some(Ok(Bytes::from(format!("data: {GARBAGE}\n\n"))))
            }
            FaultKind::ErrorMid => {
                self.over = true;
                self.end(End::Failed);
                Some(Ok(Bytes::from(self.error.text.clone())))
            }
            _ => None,
        }
    }

    async fn reset(&mut self) -> Chunk {
        tokio::time::sleep(BEFORE_RESET).await;
        self.line.reset();
        self.over = true;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

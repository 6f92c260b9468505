use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use raincheck_core::{EventBody, EventType, Json, Time};
use raincheck_upstream::Frames;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Ask, Client};
use crate::exit::{Exit, Failure};

/// An event of a job's log, as the server tells it.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its number in the log.
    pub(crate) seq: u64,
    /// When it was recorded.
    pub(crate) at: Time,
    /// The attempt it belongs to.
    pub(crate) attempt: u32,
    /// What happened; `None` if a newer server tells of what this program does not know.
    pub(crate) body: Option<EventBody>,
    /// The event as it came.
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct Told<'a> {
    seq: u64,
    #[serde(rename = "type")]
    event_type: String,
    at: Time,
    #[serde(default)]
    attempt: u32,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Event {
    fn read(text: String) -> Result<Self, Lost> {
        let told: Told<'_> = serde_json::from_str(&text).map_err(|error| Lost::not_ours(&error.to_string()))?;
        let body = told.event_type.parse::<EventType>().ok().and_then(|event_type| {
            let data = Json::from_text(told.data.get().into()).ok()?;
            EventBody::from_parts(event_type, &data).ok()
        });
        let (seq, at, attempt) = (told.seq, told.at, told.attempt);
        Ok(Self { seq, at, attempt, body, text })
    }
}

/// Why events stopped coming.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It may go on in a while.
    ForNow(Failure),
    /// It will not get better.
    ForGood(Failure),
}

impl Lost {
    fn of(failure: Failure) -> Self {
        match failure.exit {
            Exit::Unreachable | Exit::ServerFailed => Self::ForNow(failure),
            _ => Self::ForGood(failure),
        }
    }

    fn not_ours(reason: &str) -> Self {
        let message = format!("the server's events cannot be understood: {reason}");
        Self::ForGood(Failure::new(Exit::ServerFailed, message))
    }
}

/// The events of a job, as they happen.
pub(crate) struct Events {
    body: Incoming,
    frames: Frames,
    arrived: VecDeque<Event>,
    patience: Duration,
}

impl Client {
    /// Reads a job's events from after number `after`.
    ///
    /// # Errors
    /// If there is no such job, or the server cannot be reached.
    pub(crate) async fn events(&self, job: &str, after: u64) -> Result<Events, Lost> {
        let ask = Ask::get(format!("/v1/jobs/{}/events", super::encoded(job)))
            .header("accept", "text/event-stream")
            .header("last-event-id", after.to_string());
        let response = self.send(ask).await.map_err(Lost::of)?;
        if response.status() == StatusCode::NO_CONTENT {
            let message = format!("{job} has ended, and its log holds nothing after event {after}");
            return Err(Lost::ForGood(Failure::new(Exit::Failed, message)));
        }
        if !response.status().is_success() {
            let refused = self.take(response).await.err();
            return Err(Lost::of(refused.unwrap_or_else(|| self.silent())));
        }
        let (arrived, patience) = (VecDeque::new(), self.read_timeout);
        Ok(Events { body: response.into_body(), frames: Frames::default(), arrived, patience })
    }
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// If the stream ends or breaks off.
    pub(crate) async fn next(&mut self) -> Result<Event, Lost> {
        let lost = |reason: String| Lost::ForNow(Failure::new(Exit::Unreachable, reason));
        loop {
            if let Some(event) = self.arrived.pop_front() {
                return Ok(event);
            }
            let frame = match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_) => return Err(lost("the server has gone silent".into())),
                Ok(None) => return Err(lost("the server ended the stream".into())),
                Ok(Some(Err(error))) => return Err(lost(format!("the connection broke off: {error}"))),
                Ok(Some(Ok(frame))) => frame,
            };
            let bytes = frame.into_data().unwrap_or_default();
            for frame in self.frames.feed(&bytes).map_err(|error| Lost::not_ours(&error.to_string()))? {
                self.arrived.push_back(Event::read(frame.data)?);
            }
        }
    }
}

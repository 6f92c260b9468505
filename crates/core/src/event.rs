use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::{FollowUp, Json, Outcome, Problem, Progress, Spec, StepRecord, Time, WorkerId};

/// One entry of a job's log.
///
/// In JSON: `{"seq": 3, "type": "progress", "at": "…", "attempt": 1, "data": {…}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Counts from 1 within the job, without gaps.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// The attempt it belongs to; 0 before the first.
    pub attempt: u32,
    /// What happened.
    pub body: EventBody,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 5)?;
        event.serialize_field("seq", &self.seq)?;
        event.serialize_field("type", self.body.event_type().as_str())?;
        event.serialize_field("at", &self.at)?;
        event.serialize_field("attempt", &self.attempt)?;
        event.serialize_field("data", &self.body.data())?;
        event.end()
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventBody {
    /// The job was accepted: always the first event.
    Accepted(Arc<Spec>),
    /// An attempt started.
    Started(WorkerId),
    /// The attempt said how far it is.
    Progress(Progress),
    /// The attempt gave a piece of output.
    Output(Json),
    /// A step's result was recorded.
    Step(StepRecord),
    /// The attempt, about to complete, asked for another job.
    FollowUp(FollowUp),
    /// The attempt failed; the next may start at this time.
    RetryScheduled(Problem, Time),
    /// The attempt found closed what it needs, at no cost to the job; the next may start at this time.
    Postponed(Problem, Time),
    /// The attempt lost its lease: its worker died or stalled.
    LeaseLost(WorkerId),
    /// The attempt was handed back, to be run by somebody else.
    Released(WorkerId),
    /// Somebody asked the running attempt to stop.
    CancelRequested(Option<String>),
    /// The log holds as many events as it may, which is this many: progress and output that come later are left out.
    LogFull(u64),
    /// The job ended: always the last event.
    Finished(Outcome),
}

/// What a running attempt adds to its log.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// How far it is.
    Progress(Progress),
    /// A piece of output.
    Output(Json),
    /// A step's result.
    Step(StepRecord),
    /// A job that it asked for. Only a store makes this note, of an attempt that completes.
    FollowUp(FollowUp),
}

macro_rules! event_types {
    ($($variant:ident => $name:literal),+ $(,)?) => {
        /// The sort of an event, as it is named in JSON and in the `event:` field of SSE.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is documented at the variant of EventBody or Outcome of the same name")]
        pub enum EventType { $($variant),+ }

        impl EventType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

event_types! {
    Accepted => "accepted",
    Started => "started",
    Progress => "progress",
    Output => "output",
    Step => "step",
    FollowUp => "follow_up",
    RetryScheduled => "retry_scheduled",
    Postponed => "postponed",
    LeaseLost => "lease_lost",
    Released => "released",
    CancelRequested => "cancel_requested",
    LogFull => "log_full",
    Completed => "completed",
    Failed => "failed",
    Cancelled => "cancelled",
    Expired => "expired",
}

impl EventType {
    /// Whether this is what a running attempt adds by itself: a [`Note`].
    #[must_use]
    pub fn is_note(self) -> bool {
        matches!(self, Self::Progress | Self::Output | Self::Step)
    }

    /// Whether this ends the log.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that is no event, found where a log was read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// An unknown type.
    #[error("unknown event type {0:?}")]
    Type(String),
    /// A body that does not fit its type.
    #[error("malformed event body: {0}")]
    Body(#[from] serde_json::Error),
}

impl FromStr for EventType {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| EventError::Type(text.to_owned()))
    }
}

#[derive(Serialize, Deserialize)]
struct Worker {
    worker: WorkerId,
}
#[derive(Serialize, Deserialize)]
struct Retry {
    error: Problem,
    run_at: Time,
}
#[derive(Serialize, Deserialize)]
struct Reason {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}
#[derive(Serialize, Deserialize)]
struct Full {
    limit: u64,
}
#[derive(Serialize, Deserialize)]
struct ResultData {
    result: Json,
}
#[derive(Serialize, Deserialize)]
struct ErrorData {
    error: Problem,
}
#[derive(Serialize, Deserialize)]
struct Nothing {}

impl EventBody {
    /// The sort of event.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Accepted(_) => EventType::Accepted,
            Self::Started(_) => EventType::Started,
            Self::Progress(_) => EventType::Progress,
            Self::Output(_) => EventType::Output,
            Self::Step(_) => EventType::Step,
            Self::FollowUp(_) => EventType::FollowUp,
            Self::RetryScheduled(..) => EventType::RetryScheduled,
            Self::Postponed(..) => EventType::Postponed,
            Self::LeaseLost(_) => EventType::LeaseLost,
            Self::Released(_) => EventType::Released,
            Self::CancelRequested(_) => EventType::CancelRequested,
            Self::LogFull(_) => EventType::LogFull,
            Self::Finished(Outcome::Completed(_)) => EventType::Completed,
            Self::Finished(Outcome::Failed(_)) => EventType::Failed,
            Self::Finished(Outcome::Cancelled(_)) => EventType::Cancelled,
            Self::Finished(Outcome::Expired) => EventType::Expired,
        }
    }

    /// The event's data as JSON; [`EventBody::from_parts`] reads it back.
    #[must_use]
    pub fn data(&self) -> Json {
        let data = match self {
            Self::Accepted(spec) => Json::from_value(spec),
            Self::Started(worker) | Self::LeaseLost(worker) | Self::Released(worker) => {
                Json::from_value(&Worker { worker: worker.clone() })
            }
            Self::Progress(progress) => Json::from_value(progress),
            Self::Output(output) => Ok(output.clone()),
            Self::Step(step) => Json::from_value(step),
            Self::FollowUp(follow_up) => Json::from_value(follow_up),
            Self::RetryScheduled(error, run_at) | Self::Postponed(error, run_at) => {
                Json::from_value(&Retry { error: error.clone(), run_at: *run_at })
            }
            Self::CancelRequested(reason) | Self::Finished(Outcome::Cancelled(reason)) => {
                Json::from_value(&Reason { reason: reason.clone() })
            }
            Self::LogFull(limit) => Json::from_value(&Full { limit: *limit }),
            Self::Finished(Outcome::Completed(result)) => Json::from_value(&ResultData { result: result.clone() }),
            Self::Finished(Outcome::Failed(error)) => Json::from_value(&ErrorData { error: error.clone() }),
            Self::Finished(Outcome::Expired) => Json::from_value(&Nothing {}),
        };
        // Text keys and finite numbers throughout: nothing here can be without a JSON form.
        data.unwrap_or_default()
    }

    /// Reads what [`EventBody::event_type`] and [`EventBody::data`] wrote.
    ///
    /// # Errors
    /// If the data do not fit the type.
    pub fn from_parts(event_type: EventType, data: &Json) -> Result<Self, EventError> {
        Ok(match event_type {
            EventType::Accepted => Self::Accepted(Arc::new(data.parse()?)),
            EventType::Started => Self::Started(data.parse::<Worker>()?.worker),
            EventType::Progress => Self::Progress(data.parse()?),
            EventType::Output => Self::Output(data.clone()),
            EventType::Step => Self::Step(data.parse()?),
            EventType::FollowUp => Self::FollowUp(data.parse()?),
            EventType::RetryScheduled => {
                let Retry { error, run_at } = data.parse()?;
                Self::RetryScheduled(error, run_at)
            }
            EventType::Postponed => {
                let Retry { error, run_at } = data.parse()?;
                Self::Postponed(error, run_at)
            }
            EventType::LeaseLost => Self::LeaseLost(data.parse::<Worker>()?.worker),
            EventType::Released => Self::Released(data.parse::<Worker>()?.worker),
            EventType::CancelRequested => Self::CancelRequested(data.parse::<Reason>()?.reason),
            EventType::LogFull => Self::LogFull(data.parse::<Full>()?.limit),
            EventType::Completed => Self::Finished(Outcome::Completed(data.parse::<ResultData>()?.result)),
            EventType::Failed => Self::Finished(Outcome::Failed(data.parse::<ErrorData>()?.error)),
            EventType::Cancelled => Self::Finished(Outcome::Cancelled(data.parse::<Reason>()?.reason)),
            EventType::Expired => Self::Finished(Outcome::Expired),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Became, Minter, ProblemType};

    #[test]
    fn every_body_is_read_back_as_it_was_written() {
        let problem = Problem::new(ProblemType::HANDLER_FAILED, "it broke").at("/path");
        let worker = WorkerId::new("local");
        let job = Minter::after(None).mint(Time::EPOCH, 7);
        let bodies = [
            EventBody::Started(worker.clone()),
            EventBody::Progress(Progress::counted(450, 1000, "Processing file 450/1000")),
            EventBody::Output(serde_json::json!({"text": "ja"}).into()),
            EventBody::Step(StepRecord { name: "embed".into(), result: serde_json::json!([1, 2]).into() }),
            EventBody::FollowUp(FollowUp { kind: "echo".parse().unwrap(), became: Became::Job(job) }),
            EventBody::FollowUp(FollowUp { kind: "echo".parse().unwrap(), became: Became::Error(problem.clone()) }),
            EventBody::RetryScheduled(problem.clone(), Time::from_millis(5)),
            EventBody::Postponed(problem.clone(), Time::from_millis(5)),
            EventBody::LeaseLost(worker.clone()),
            EventBody::Released(worker),
            EventBody::CancelRequested(Some("changed my mind".into())),
            EventBody::LogFull(100_000),
            EventBody::Finished(Outcome::Completed(serde_json::json!(42).into())),
            EventBody::Finished(Outcome::Failed(problem)),
            EventBody::Finished(Outcome::Cancelled(None)),
            EventBody::Finished(Outcome::Expired),
        ];
        for body in bodies {
            assert_eq!(EventBody::from_parts(body.event_type(), &body.data()).unwrap(), body);
        }
        assert!(EventType::ALL.iter().all(|kind| kind.as_str().parse::<EventType>().unwrap() == *kind));
    }

    #[test]
    fn numbers_in_output_keep_their_digits() {
        let output = Json::from_text("[1.10, 12345678901234567890123]".into()).unwrap();
        let event = Event { seq: 2, at: Time::EPOCH, attempt: 1, body: EventBody::Output(output) };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"seq":2,"type":"output","at":"1970-01-01T00:00:00.000Z","attempt":1,"data":[1.10, 12345678901234567890123]}"#
        );
    }
}

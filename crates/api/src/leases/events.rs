use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Fence, Json, Note, Progress, Refusal, STEPS_MAX, StepRecord};
use raincheck_store::Append;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempt;
use super::claim::invalid;
use crate::api::Api;
use crate::auth::{Caller, Worker};
use crate::body::JsonBody;
use crate::jobs::StepView;
use crate::json::Object;
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// Events in one request.
const EVENTS_MAX: usize = 1_000;

/// What an attempt adds to its job's log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppendRequest {
    /// The attempt's token.
    #[schemars(with = "u64")]
    fence: Fence,
    /// The `last_seq` that the attempt was told last; 0 if none. As many of the events as the attempt has added since are
    /// there already, and are not added again. Without it, all are added.
    after: Option<u64>,
    /// What it adds, in order.
    #[schemars(length(min = 1, max = 1000))]
    events: Vec<Object<Added>>,
}

/// One thing that an attempt adds: exactly one of the three.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Added {
    /// How far it is: `percent`, or `current` of `total`.
    progress: Option<Object<Reported>>,
    /// A piece of output.
    #[schemars(with = "Option<serde_json::Value>")]
    output: Option<Json>,
    /// A part that is done, and not to be done again by a later attempt.
    #[schemars(with = "Option<StepView>")]
    step: Option<StepRecord>,
}

/// How far an attempt is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reported {
    /// 0 to 100; counted from the other two if left out.
    percent: Option<f64>,
    /// How many of `total` are done.
    current: Option<u64>,
    /// How many there are to do.
    total: Option<u64>,
    /// What is being done, for people: cut after 500 bytes.
    #[serde(default)]
    message: String,
}

/// Where a log now ends.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AppendReply {
    /// The number of its last event.
    last_seq: u64,
}

/// `POST /v1/leases/{job}/events`: adds to the log of a job that is being run.
pub(crate) async fn append(
    State(api): State<Arc<Api>>,
    caller: Caller<Worker>,
    JobPath(job): JobPath,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let AppendRequest { fence, after, events } = body.parse()?;
    drop(body);
    if !(1..=EVENTS_MAX).contains(&events.len()) {
        return Err(invalid("/events", "from 1 to 1000 events are added in one request"));
    }
    let notes = events.into_iter().enumerate().map(|(number, Object(added))| {
        note(added)
            .ok_or_else(|| invalid(&format!("/events/{number}"), "give exactly one of progress, output and step"))
    });
    let notes = notes.collect::<Result<_, _>>()?;
    attempt::leased(&api, &caller, job).await?;
    let appends = vec![Append { job, fence, notes, after }];
    let appended = api.engine.store().append(appends, api.engine.clock().now()).await?.pop();
    match appended {
        Some(Ok(last_seq)) => Ok(reply::json(StatusCode::OK, &AppendReply { last_seq })),
        Some(Err(Refusal::StepsFull)) => {
            let detail = format!("a job records {STEPS_MAX} steps at most; nothing of this request was recorded");
            Err(invalid("/events", &detail))
        }
        _ => Err(attempt::lost()),
    }
}

fn note(added: Added) -> Option<Note> {
    match added {
        Added { progress: Some(Object(reported)), output: None, step: None } => {
            Some(Note::Progress(progress(reported)))
        }
        Added { progress: None, output: Some(output), step: None } => Some(Note::Output(output)),
        Added { progress: None, output: None, step: Some(step) } => Some(Note::Step(step)),
        _ => None,
    }
}

fn progress(reported: Reported) -> Progress {
    let Reported { percent, current, total, message } = reported;
    match (percent, current, total) {
        (None, Some(current), Some(total)) => Progress::counted(current, total, message),
        (percent, current, total) => Progress { percent: percent.unwrap_or_default(), current, total, message },
    }
}

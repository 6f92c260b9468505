use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Ending, Fence, Json, Problem, ProblemType, Retry, State as JobState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempt;
use super::claim::invalid;
use crate::api::Api;
use crate::auth::{Caller, Worker};
use crate::body::JsonBody;
use crate::jobs::StateSchema;
use crate::json::Object;
use crate::number::Seconds;
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// How an attempt ends: exactly one of `result`, `error` and `released`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishRequest {
    /// The attempt's token.
    #[schemars(with = "u64")]
    fence: Fence,
    /// What it gave; `null` is a result, too.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "serde_json::Value")]
    result: Option<Json>,
    /// What went wrong.
    error: Option<Object<Wrong>>,
    /// `true` hands the job back, to be run by somebody else. Costs it nothing.
    #[serde(default)]
    released: bool,
}

/// What went wrong in an attempt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wrong {
    /// What it was, and how to mend it.
    detail: String,
    /// Whether another attempt might succeed; yes if left out.
    retry: Option<bool>,
    /// No sooner than so many seconds from now.
    #[schemars(with = "Option<f64>", range(min = 0, max = 31_622_400))]
    retry_after: Option<Seconds>,
}

/// What became of a job.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FinishReply {
    /// Its state: final, or `waiting` for another attempt, or `queued` again.
    #[schemars(with = "StateSchema")]
    state: JobState,
}

/// `POST /v1/leases/{job}/finish`: ends an attempt.
pub(crate) async fn finish(
    State(api): State<Arc<Api>>,
    caller: Caller<Worker>,
    JobPath(job): JobPath,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let request: FinishRequest = body.parse()?;
    drop(body);
    let fence = request.fence;
    let ending = ending(request).ok_or_else(|| invalid("", "give exactly one of result, error and released"))?;
    let leased = attempt::leased(&api, &caller, job).await?;
    match api.engine.settle(job, &leased.spec.kind, fence, ending).await? {
        Ok(life) => {
            let state = life.state_at(api.engine.clock().now());
            Ok(reply::json(StatusCode::OK, &FinishReply { state }))
        }
        Err(_) => Err(attempt::lost()),
    }
}

fn ending(request: FinishRequest) -> Option<Ending> {
    match request {
        FinishRequest { result: Some(result), error: None, released: false, .. } => Some(Ending::Completed(result)),
        FinishRequest { result: None, error: None, released: true, .. } => Some(Ending::Released),
        FinishRequest { result: None, error: Some(Object(wrong)), released: false, .. } => {
            let retry = match (wrong.retry, wrong.retry_after) {
                (Some(false), _) => Retry::Never,
                (_, Some(Seconds(after))) => Retry::After(after),
                _ => Retry::Backoff,
            };
            Some(Ending::Failed { problem: Problem::new(ProblemType::HANDLER_FAILED, wrong.detail), retry })
        }
        _ => None,
    }
}

/// Tells `null`, which is a result, from a field that is not there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

use std::borrow::Cow;

use raincheck_core::{JobId, Outcome, Problem, ProblemType};
use serde_json::{Value, json};

use crate::dialect::{anthropic_type, upstream_error};
use crate::jobs;
use crate::problem::ApiError;

/// Why a job gave nothing.
fn problem(outcome: &Outcome) -> Problem {
    let none = || Problem::new(ProblemType::INTERNAL, "the job has ended without a result");
    jobs::error(outcome).map_or_else(none, Cow::into_owned)
}

/// The answer to whoever asks for what a job did not give.
pub(super) fn error(job: JobId, outcome: &Outcome) -> ApiError {
    ApiError::of_job(job, problem(outcome))
}

/// An error as it stands in a stream or in a batch's results.
pub(super) fn envelope(outcome: &Outcome) -> Value {
    let problem = problem(outcome);
    let upstream = upstream_error(&problem);
    let own = upstream.as_ref().and_then(|upstream| upstream.error?.parse::<Value>().ok());
    if let Some(envelope) = own.filter(|own| own["type"] == "error") {
        return envelope;
    }
    let status = upstream.map_or(500, |upstream| upstream.status);
    json!({ "type": "error", "error": { "type": anthropic_type(status), "message": problem.detail } })
}

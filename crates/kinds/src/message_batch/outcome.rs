use raincheck_core::{Json, Problem, Retry};
use raincheck_engine::{Context, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The result of a request, as it stands in a line of results.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    r#type: Type,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Json>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Succeeded,
    Errored,
}

impl Entry {
    pub(super) fn succeeded(message: Json) -> Self {
        Self { r#type: Type::Succeeded, message: Some(message), error: None }
    }

    /// In the upstream's own words, if it has said any.
    pub(super) fn errored(problem: &Problem) -> Self {
        let own = problem.upstream_error.as_deref().filter(|error| {
            error.parse::<Value>().is_ok_and(|error| error["type"] == "error" && error["error"].is_object())
        });
        let made = || json!({ "type": "error", "error": { "type": "api_error", "message": problem.detail } }).into();
        Self { r#type: Type::Errored, message: None, error: Some(own.cloned().unwrap_or_else(made)) }
    }
}

/// How many requests ended in which way: the job's result.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    succeeded: u64,
    errored: u64,
}

impl Counts {
    pub(super) fn add(&mut self, entry: &Entry) {
        match entry.r#type {
            Type::Succeeded => self.succeeded += 1,
            Type::Errored => self.errored += 1,
        }
    }
}

/// Whether a failure is the request's result: it would come again, or there is no other attempt in which it could go better.
pub(super) fn is_final(context: &Context, failure: &Failure) -> bool {
    let job = context.job();
    match failure.retry {
        Retry::Never => true,
        Retry::Postpone(_) => false,
        _ => context.stop_reason().is_none() && job.life.failures + 1 >= job.spec.max_attempts,
    }
}

/// The failure that the attempt ends with when several requests have one: what costs the job an attempt counts for more than
/// what only has it wait, and of waits the longest.
pub(super) fn longer(one: Option<Failure>, other: Failure) -> Failure {
    match (one, &other.retry) {
        (None, _) => other,
        (Some(one), Retry::Postpone(wait)) => match one.retry {
            Retry::Postpone(earlier) if earlier < *wait => other,
            _ => one,
        },
        (Some(_), _) => other,
    }
}

use raincheck_core::{Job, Outcome, Progress, State, Time};
use raincheck_recipes::JobFacts;
use serde_json::{Value, json};

use crate::api::Api;
use crate::jobs;

/// What a recipe's answers can say of a job.
pub(super) fn facts(api: &Api, job: &Job) -> JobFacts {
    let life = &job.life;
    let state = life.state_at(api.engine.clock().now());
    let place = if state == State::Queued { api.engine.place(job) } else { None };
    let done = matches!(job.outcome, Some(Outcome::Completed(_)));
    let Progress { percent, current, total, message } = life.progress.clone().unwrap_or_default();
    let result: Option<Value> = match &job.outcome {
        Some(Outcome::Completed(result)) => result.parse().ok(),
        _ => None,
    };
    let error = job
        .outcome
        .as_ref()
        .and_then(jobs::error)
        .map(|problem| json!({ "name": problem.name(), "title": problem.title, "detail": problem.detail }));
    let time = |time: Option<Time>| time.map(|time| time.to_string());
    JobFacts {
        id: job.id.to_string(),
        uuid: job.id.uuid(),
        state: state.to_string(),
        position: place.map(|(place, _)| place.ahead + 1),
        percent: if done { 100.0 } else { percent },
        current,
        total,
        message,
        attempt: life.attempt,
        result,
        error,
        times: [Some(job.spec.created_at.to_string()), time(life.started_at), time(life.finished_at)],
    }
}

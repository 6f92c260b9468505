use raincheck_core::{Event, EventBody, Job, JobId, Outcome, State, StepRecord, Tenant, Time};
use raincheck_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;
use crate::dialect;

/// The kind of job that a batch becomes.
pub(super) const KIND: &str = "llm.message_batch";
/// What a batch's id begins with.
pub(super) const ID: &str = "msgbatch_";
/// What the names of the steps begin with that hold the results of requests; the rest is the request's `custom_id`.
const STEP: &str = "request:";
/// The label that says how many requests a batch has.
pub(super) const REQUESTS: &str = "requests";
/// Events of a log that are read at once.
const PAGE: usize = 100;

/// The job of a batch's id.
pub(super) fn job_of(id: &str) -> Option<JobId> {
    dialect::job_of(ID, id)
}

/// A batch's id.
pub(super) fn id_of(job: JobId) -> String {
    format!("{ID}{}", dialect::hex(job))
}

/// How the requests of a batch ended.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    #[serde(default)]
    processing: u64,
    #[serde(default)]
    succeeded: u64,
    #[serde(default)]
    errored: u64,
    #[serde(default)]
    canceled: u64,
    #[serde(default)]
    expired: u64,
}

/// The result of a request, if an event is one: its `custom_id`, and the result as it stands in a line of results.
pub(super) fn result_of(event: &Event) -> Option<(&str, &StepRecord)> {
    match &event.body {
        EventBody::Step(step) => step.name.strip_prefix(STEP).map(|custom_id| (custom_id, step)),
        _ => None,
    }
}

/// A batch as its readers see it; `results_url` is where its results are.
pub(super) async fn view(
    api: &Api,
    job: &Job,
    tenant: Option<&Tenant>,
    results_url: &str,
) -> Result<Value, StoreError> {
    let life = &job.life;
    let is_over = life.state.is_final();
    let total = job.spec.labels.get(REQUESTS).and_then(|number| number.parse().ok()).unwrap_or(0);
    // Most batches are not cancelled and complete: only of the others the log is looked at.
    let survey = if life.cancel_requested || (is_over && life.state != State::Completed) {
        Some(survey(api, job.id, tenant).await?)
    } else {
        None
    };
    let counts = match (&job.outcome, &survey) {
        _ if !is_over => Counts { processing: total, ..Counts::default() },
        (Some(Outcome::Completed(result)), _) => result.parse().unwrap_or_default(),
        (_, Some(survey)) => survey.counts(life.state, total),
        (_, None) => Counts::default(),
    };
    let status = match is_over {
        true => "ended",
        false if life.cancel_requested => "canceling",
        false => "in_progress",
    };
    let cancelled_at = survey.and_then(|survey| survey.cancelled_at);
    Ok(json!({
        "id": id_of(job.id),
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        "created_at": job.spec.created_at,
        "expires_at": job.spec.deadline,
        "ended_at": life.finished_at,
        "cancel_initiated_at": cancelled_at,
        "archived_at": null,
        "results_url": is_over.then_some(results_url),
    }))
}

/// What the log says of a batch that did not complete.
struct Survey {
    succeeded: u64,
    errored: u64,
    cancelled_at: Option<Time>,
}

impl Survey {
    fn counts(&self, state: State, total: u64) -> Counts {
        let rest = total.saturating_sub(self.succeeded + self.errored);
        let mut counts = Counts { succeeded: self.succeeded, errored: self.errored, ..Counts::default() };
        match state {
            State::Cancelled => counts.canceled = rest,
            State::Expired => counts.expired = rest,
            _ => counts.errored += rest,
        }
        counts
    }
}

async fn survey(api: &Api, job: JobId, tenant: Option<&Tenant>) -> Result<Survey, StoreError> {
    let mut survey = Survey { succeeded: 0, errored: 0, cancelled_at: None };
    let mut seen = 0;
    loop {
        let page = api.engine.store().read_log(job, tenant, seen, PAGE).await?.unwrap_or_default();
        for event in &page.events {
            match (&event.body, result_of(event)) {
                (_, Some((_, step))) if has_succeeded(step) => survey.succeeded += 1,
                (_, Some(_)) => survey.errored += 1,
                (EventBody::CancelRequested(_) | EventBody::Finished(Outcome::Cancelled(_)), None) => {
                    survey.cancelled_at = survey.cancelled_at.or(Some(event.at));
                }
                _ => {}
            }
        }
        match page.events.last() {
            Some(last) if last.seq < page.last_seq => seen = last.seq,
            _ => return Ok(survey),
        }
    }
}

fn has_succeeded(step: &StepRecord) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    step.result.parse::<Typed>().is_ok_and(|result| result.r#type == "succeeded")
}

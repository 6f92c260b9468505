use raincheck_core::{Job, Json, Outcome, State, Tenant};
use raincheck_store::StoreError;
use serde_json::{Value, json};

use super::create::MODEL;
use crate::api::Api;
use crate::dialect::{self, Base, Fields, Line};
use crate::jobs;

/// What stands for the version of a model that is called by its name.
const NO_VERSION: &str = "hidden";

/// A prediction with its logs.
pub(super) async fn view(api: &Api, job: &Job, tenant: Option<&Tenant>, base: &Base) -> Result<Value, StoreError> {
    let input = api.engine.store().input(job.id).await?;
    let mut view = of(api, job, &arguments(input.as_ref()), base);
    let lines = dialect::lines(api, job.id, tenant, job.life.last_seq).await?;
    view["logs"] = json!(logs(&lines));
    Ok(view)
}

/// The caller's arguments in the input of the kind.
fn arguments(input: Option<&Json>) -> Json {
    let fields = input.and_then(|input| Fields::of(input.as_str()));
    let arguments = fields.as_ref().and_then(|fields| fields.get("input"));
    arguments.and_then(|text| Json::from_text(text.to_owned()).ok()).unwrap_or_default()
}

/// A prediction as Replicate's clients see it, without its logs.
pub(super) fn of(api: &Api, job: &Job, input: &Json, base: &Base) -> Value {
    let id = dialect::hex(job.id);
    let url = format!("{}/replicate/v1/predictions/{id}", base.0);
    let (life, spec) = (&job.life, &job.spec);
    let named = spec.labels.get(MODEL).map(String::as_str).unwrap_or_default();
    let (model, version) = match named.split_once(':') {
        Some((model, version)) => (model, version),
        None if named.contains('/') => (named, NO_VERSION),
        None => ("", named),
    };
    let took = life.started_at.zip(life.finished_at).map(|(began, ended)| ended.since(began).as_secs_f64());
    json!({
        "id": id,
        "model": model,
        "version": version,
        "input": input,
        "output": job.outcome.as_ref().map_or(Value::Null, output),
        "logs": "",
        "error": job.outcome.as_ref().and_then(error),
        "status": status(life.state_at(api.engine.clock().now()), life.started_at.is_some()),
        "created_at": spec.created_at,
        "started_at": life.started_at,
        "completed_at": life.finished_at,
        "data_removed": false,
        "source": "api",
        "metrics": took.map(|took| json!({ "predict_time": took })).unwrap_or_else(|| json!({})),
        "urls": { "get": url, "cancel": format!("{url}/cancel"), "stream": format!("{url}/stream") },
    })
}

fn status(state: State, has_started: bool) -> &'static str {
    match state {
        State::Completed => "succeeded",
        State::Failed | State::Expired => "failed",
        State::Cancelled => "canceled",
        // One that waits for its next attempt too: a prediction does not start anew.
        _ if has_started => "processing",
        _ => "starting",
    }
}

/// What a prediction gave: of a provider's own prediction its output, of anything else all of it.
pub(super) fn output(outcome: &Outcome) -> Value {
    let Outcome::Completed(result) = outcome else { return Value::Null };
    let mut value: Value = result.parse().unwrap_or_default();
    let is_prediction = value.get("status").is_some_and(Value::is_string) && value.get("output").is_some();
    if is_prediction { value["output"].take() } else { value }
}

/// Why it gave nothing.
pub(super) fn error(outcome: &Outcome) -> Option<String> {
    jobs::error(outcome).map(|problem| problem.detail.clone())
}

/// Lines as one text.
pub(super) fn logs(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{}\n", line.message)).collect()
}

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use raincheck_core::{JobId, Outcome, ProblemType, Tenant};
use raincheck_store::StoreError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::batch::result_of;
use super::{batches, failed};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;

/// Events of a log that are read at once.
const PAGE: usize = 100;

/// `GET /v1/messages/batches/{id}/results`: a line for each request, in the order in which they ended; those that did not come
/// to their turn at the end. Read from the log while it is sent, so that a large batch takes no memory.
pub(super) async fn results(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = batches::find(&api, &id, caller.sees()).await?;
    let Some(outcome) = job.outcome else {
        let detail = "the batch has not ended yet; its results_url says when there are results";
        return Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail));
    };
    let rest = match &outcome {
        Outcome::Completed(_) => None,
        Outcome::Cancelled(_) => Some(json!({ "type": "canceled" })),
        Outcome::Expired => Some(json!({ "type": "expired" })),
        Outcome::Failed(_) => Some(json!({ "type": "errored", "error": failed::envelope(&outcome) })),
    };
    let tenant = caller.sees().cloned();
    let lines = Lines { api, job: job.id, tenant, seen: 0, told: HashSet::new(), rest, is_read: false };
    let body = Body::from_stream(stream::try_unfold(lines, Lines::next));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-jsonl"));
    Ok(response)
}

struct Lines {
    api: Arc<Api>,
    job: JobId,
    tenant: Option<Tenant>,
    /// How far the log is read.
    seen: u64,
    /// Whose results were told, while the others' are needed.
    told: HashSet<String>,
    /// The result of those that did not come to their turn, if there are any.
    rest: Option<Value>,
    is_read: bool,
}

impl Lines {
    /// The next lines, until there are no more. An error cuts the answer off, so that nobody takes it for whole.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            let lines = if self.is_read {
                let Some(rest) = self.rest.take() else { return Ok(None) };
                self.of_the_rest(&rest).await?
            } else {
                self.of_the_log().await?
            };
            if !lines.is_empty() {
                return Ok(Some((lines.into(), self)));
            }
        }
    }

    async fn of_the_log(&mut self) -> Result<Vec<u8>, StoreError> {
        let store = self.api.engine.store();
        let page = store.read_log(self.job, self.tenant.as_ref(), self.seen, PAGE).await?.unwrap_or_default();
        let mut lines = Vec::new();
        for (custom_id, step) in page.events.iter().filter_map(result_of) {
            line(custom_id, step.result.as_str(), &mut lines);
            if self.rest.is_some() {
                self.told.insert(custom_id.to_owned());
            }
        }
        match page.events.last() {
            Some(last) if last.seq < page.last_seq => self.seen = last.seq,
            _ => self.is_read = true,
        }
        Ok(lines)
    }

    async fn of_the_rest(&self, result: &Value) -> Result<Vec<u8>, StoreError> {
        #[derive(Deserialize)]
        struct Input {
            requests: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            custom_id: String,
        }
        let input = self.api.engine.store().input(self.job).await?;
        let requests =
            input.and_then(|input| input.parse::<Input>().ok()).map_or_else(Vec::new, |input| input.requests);
        let mut lines = Vec::new();
        for Named { custom_id } in requests.iter().filter(|request| !self.told.contains(&request.custom_id)) {
            line(custom_id, &result.to_string(), &mut lines);
        }
        Ok(lines)
    }
}

/// A line: the result is JSON already, and has no line breaks of its own unless an upstream made them, where a space will do.
fn line(custom_id: &str, result: &str, lines: &mut Vec<u8>) {
    let result = result.replace(['\n', '\r'], " ");
    // Memory does not fail to be written to.
    let _ = writeln!(lines, "{{\"custom_id\":{},\"result\":{result}}}", json!(custom_id));
}

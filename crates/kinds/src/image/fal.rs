use async_trait::async_trait;
use raincheck_upstream::{CallFailure, Request, Route};
use serde_json::{Value, json};

use crate::calling::{OBJECT_MAX, object};
use crate::remote::{Remote, Seen, Stage, is_passing};

/// A request in FAL's queue.
pub(super) struct Fal<'a> {
    route: &'a Route,
    arguments: Value,
    /// The part of the endpoint under which its requests are found: owner and alias.
    app: String,
}

impl<'a> Fal<'a> {
    pub(super) fn new(route: &'a Route, arguments: Value) -> Self {
        Self { route, arguments, app: app(route.model()) }
    }

    async fn get(&self, path: String) -> Result<Value, CallFailure> {
        object(&self.route.send_aside(&Request::get(path)).await?.read(OBJECT_MAX).await?)
    }

    /// How completed work ended. It says by the status of its result how it failed; but that the result could not be fetched just
    /// now says nothing of the work, which is done and paid for.
    async fn ended(&self, id: &str, status: &Value) -> Stage {
        let error = status.get("error").filter(|error| !error.is_null());
        match (self.get(format!("/{}/requests/{id}", self.app)).await, error) {
            (Ok(result), _) => Stage::Ended(Ok(result)),
            (Err(failure), None) if is_passing(&failure) => Stage::Unfetched(failure),
            (Err(failure), Some(error)) if is_passing(&failure) && failure.status != Some(500) => {
                let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
                let said = json!({"message": text, "type": status.get("error_type")});
                Stage::Ended(Err(CallFailure::said(&said)))
            }
            (Err(failure), _) => Stage::Ended(Err(failure)),
        }
    }
}

/// `fal-ai/flux` of `fal-ai/flux/dev`; of workflows and the like the namespace too.
fn app(endpoint: &str) -> String {
    let parts = if ["workflows/", "comfy/"].iter().any(|space| endpoint.starts_with(space)) { 3 } else { 2 };
    endpoint.split('/').take(parts).collect::<Vec<_>>().join("/")
}

#[async_trait]
impl Remote for Fal<'_> {
    async fn start(&self, key: &str) -> Result<String, CallFailure> {
        let body = serde_json::to_vec(&self.arguments).unwrap_or_default();
        let mut request = Request::post(format!("/{}", self.route.model()), body.into());
        request.idempotency_key = Some(key.to_owned());
        let queued = object(&self.route.send_aside(&request).await?.read(OBJECT_MAX).await?)?;
        let id = queued.get("request_id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| CallFailure::malformed("the answer has no request_id".into()))
    }

    async fn look(&self, id: &str) -> Result<Seen, CallFailure> {
        let status = self.get(format!("/{}/requests/{id}/status?logs=1", self.app)).await?;
        let seen = match status.get("status").and_then(Value::as_str).unwrap_or_default() {
            "IN_QUEUE" => {
                let ahead = status.get("queue_position").and_then(Value::as_u64).unwrap_or(0);
                Seen::goes(format!("In the upstream's queue, {ahead} ahead"))
            }
            "IN_PROGRESS" => Seen::goes("The upstream is at work"),
            "COMPLETED" => Seen::at(self.ended(id, &status).await),
            other => return Err(CallFailure::malformed(format!("the upstream tells of a status {other:?}"))),
        };
        let lines = lines(&status).into_iter().map(|line| self.route.without_key(line));
        Ok(seen.with(lines.collect()))
    }

    async fn cancel(&self, id: &str) -> Result<(), CallFailure> {
        self.route.send_aside(&Request::put(format!("/{}/requests/{id}/cancel", self.app))).await.map(drop)
    }
}

/// What the work has said so far.
fn lines(status: &Value) -> Vec<String> {
    let logs = status.get("logs").and_then(Value::as_array).into_iter().flatten();
    logs.filter_map(|log| log.get("message")?.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_under_owner_and_alias() {
        assert_eq!(app("fal-ai/flux/dev"), "fal-ai/flux");
        assert_eq!(app("workflows/me/mine/x"), "workflows/me/mine");
    }
}

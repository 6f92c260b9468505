use async_trait::async_trait;
use bytes::Bytes;
use raincheck_core::Progress;
use raincheck_upstream::{CallFailure, Request, Route};
use serde_json::{Map, Value, json};

use crate::calling::{OBJECT_MAX, object};
use crate::remote::{Remote, Seen};

/// A response that the upstream makes in OpenAI's background mode.
pub(super) struct Background<'a> {
    pub(super) route: &'a Route,
    pub(super) body: &'a Map<String, Value>,
}

#[async_trait]
impl Remote for Background<'_> {
    async fn start(&self, key: &str) -> Result<String, CallFailure> {
        let mut body = self.body.clone();
        ["upstream", "on_ambiguous", "stream"].iter().for_each(|name| drop(body.remove(*name)));
        body.insert("model".into(), self.route.model().into());
        body.insert("background".into(), true.into());
        // Without it the answer is forgotten minutes after it is there.
        body.insert("store".into(), true.into());
        let mut request = Request::post("/responses", serde_json::to_vec(&body).unwrap_or_default().into());
        request.idempotency_key = Some(key.to_owned());
        let response = object(&self.route.send_aside(&request).await?.read(OBJECT_MAX).await?)?;
        let id = response.get("id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| CallFailure::malformed("the answer has no id".into()))
    }

    async fn look(&self, id: &str) -> Result<Seen, CallFailure> {
        let request = Request::get(format!("/responses/{id}"));
        let response = object(&self.route.send_aside(&request).await?.read(OBJECT_MAX).await?)?;
        Ok(match response.get("status").and_then(Value::as_str).unwrap_or_default() {
            "queued" => Seen::Goes(Progress::percent(0.0, "The upstream has queued it")),
            "in_progress" => Seen::Goes(Progress::percent(0.0, "The upstream is at work")),
            "completed" | "incomplete" => Seen::Ended(Ok(response)),
            _ => Seen::Ended(Err(CallFailure::said(&response.get("error").cloned().unwrap_or(json!({}))))),
        })
    }

    async fn cancel(&self, id: &str) -> Result<(), CallFailure> {
        self.route.send_aside(&Request::post(format!("/responses/{id}/cancel"), Bytes::new())).await.map(drop)
    }
}

use async_trait::async_trait;
use bytes::Bytes;
use raincheck_core::Progress;
use raincheck_upstream::{CallFailure, Request, Route};
use serde_json::{Value, json};

use crate::calling::{OBJECT_MAX, object};
use crate::remote::{Remote, Seen};

/// A prediction of Replicate's.
pub(super) struct Replicate<'a> {
    pub(super) route: &'a Route,
    pub(super) input: Value,
}

#[async_trait]
impl Remote for Replicate<'_> {
    async fn start(&self, key: &str) -> Result<String, CallFailure> {
        let model = self.route.model();
        // A version is called by itself, a model by its owner's name and its own.
        let (path, body) = match model.split_once('/') {
            Some(_) if !model.contains(':') => (format!("/models/{model}/predictions"), json!({"input": self.input})),
            _ => ("/predictions".to_owned(), json!({"version": model, "input": self.input})),
        };
        let mut request = Request::post(path, body.to_string().into());
        request.idempotency_key = Some(key.to_owned());
        let prediction = object(&self.route.send_aside(&request).await?.read(OBJECT_MAX).await?)?;
        let id = prediction.get("id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| CallFailure::malformed("the answer has no id".into()))
    }

    async fn look(&self, id: &str) -> Result<Seen, CallFailure> {
        let request = Request::get(format!("/predictions/{id}"));
        let prediction = object(&self.route.send_aside(&request).await?.read(OBJECT_MAX).await?)?;
        Ok(match prediction.get("status").and_then(Value::as_str).unwrap_or_default() {
            "starting" => Seen::Goes(Progress::percent(0.0, "The upstream is starting")),
            "processing" => Seen::Goes(Progress::percent(0.0, "The upstream is at work")),
            "succeeded" => Seen::Ended(Ok(prediction)),
            _ => Seen::Ended(Err(CallFailure::said(&json!({"message": prediction.get("error")})))),
        })
    }

    async fn cancel(&self, id: &str) -> Result<(), CallFailure> {
        self.route.send_aside(&Request::post(format!("/predictions/{id}/cancel"), Bytes::new())).await.map(drop)
    }
}

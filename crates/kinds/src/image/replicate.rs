use async_trait::async_trait;
use bytes::Bytes;
use raincheck_upstream::{CallFailure, Request, Route};
use serde_json::{Value, json};

use crate::calling::{OBJECT_MAX, object};
use crate::remote::{Remote, Seen, Stage};

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
        let status = prediction.get("status").and_then(Value::as_str).unwrap_or_default();
        let is_over = !matches!(status, "starting" | "processing");
        let lines = lines(&prediction, is_over).into_iter().map(|line| self.route.without_key(line)).collect();
        let seen = match status {
            "starting" => Seen::goes("The upstream is starting"),
            "processing" => Seen::goes("The upstream is at work"),
            "succeeded" => Seen::at(Stage::Ended(Ok(prediction))),
            "failed" | "canceled" | "aborted" => {
                let said = json!({"message": prediction.get("error")});
                Seen::at(Stage::Ended(Err(CallFailure::said(&said))))
            }
            other => return Err(CallFailure::malformed(format!("the upstream tells of a status {other:?}"))),
        };
        Ok(seen.with(lines))
    }

    async fn cancel(&self, id: &str) -> Result<(), CallFailure> {
        self.route.send_aside(&Request::post(format!("/predictions/{id}/cancel"), Bytes::new())).await.map(drop)
    }
}

/// The lines of a prediction's logs. While it works, the last may not be whole yet.
fn lines(prediction: &Value, is_over: bool) -> Vec<String> {
    let logs = prediction.get("logs").and_then(Value::as_str).unwrap_or_default();
    logs.split_inclusive('\n').filter(|line| is_over || line.ends_with('\n')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_when_it_is_whole() {
        let prediction = json!({"logs": "loading\npain"});
        assert_eq!(lines(&prediction, false), ["loading\n"]);
        assert_eq!(lines(&prediction, true), ["loading\n", "pain"]);
        assert!(lines(&json!({"logs": null}), true).is_empty());
    }
}

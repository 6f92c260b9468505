//! Handlers in the place of those that call an upstream: they give what the contract of the kind says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Problem, ProblemType, Progress};
use raincheck_engine::{About, Context, Failure, Handler, Registry};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::llm;

pub(super) fn registry(gate: &Arc<Notify>) -> Registry {
    llm::register(Registry::default().with(Image(Arc::clone(gate))), gate)
}

/// `image.generate`: says what it does, then does what the prompt says.
struct Image(Arc<Notify>);

#[async_trait]
impl Handler for Image {
    fn about(&self) -> About {
        About::new("image.generate".parse().unwrap(), "Makes an image.", json!(true).into())
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input: Value = input.parse().unwrap();
        context.progress(Progress::counted(0, 2, "loading"));
        match input["input"]["prompt"].as_str().unwrap_or_default() {
            "wait" => tokio::select! {
                () = self.0.notified() => {}
                _ = context.cancelled() => return Err(Failure::cancelled()),
            },
            "refused" => {
                let error =
                    json!({ "detail": [{ "loc": ["body", "prompt"], "msg": "too rude", "type": "value_error" }] });
                let problem = Problem::new(ProblemType::HANDLER_FAILED, "the upstream answered 422");
                return Err(Failure::fatal(problem.of_upstream(422, Some(error.into()))));
            }
            "throttled" => {
                let problem = Problem::new(ProblemType::HANDLER_FAILED, "the upstream answered 429");
                return Err(Failure::fatal(problem.of_upstream(429, None)));
            }
            _ => {}
        }
        // What is said at once is recorded as one.
        tokio::time::sleep(Duration::from_millis(50)).await;
        context.progress(Progress::counted(1, 2, "painting"));
        let text = json!({ "images": [{ "url": "https://cdn.example/1.png" }], "asked": input }).to_string();
        Ok(Json::from_text(text.replace("\"images\"", "\"seed\":1.10,\"images\"")).unwrap())
    }
}

//! Handlers in the place of those that call an upstream: they give what the contract of the kind says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Backoff, Json, Problem, ProblemType, Progress};
use raincheck_engine::{About, Context, Failure, Handler, Registry};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::llm;

pub(super) fn registry(gate: &Arc<Notify>) -> Registry {
    let registry =
        Registry::default().with(Image(Arc::clone(gate))).with(Message(Arc::clone(gate))).with(Batch(Arc::clone(gate)));
    llm::register(registry, gate)
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
            "talkative" => {
                for number in 0..40 {
                    context.progress(Progress::counted(number, 40, format!("line {number}")));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
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

/// `llm.message`: writes "Hello, you" in Anthropic's events, or does what the model says.
struct Message(Arc<Notify>);

#[async_trait]
impl Handler for Message {
    fn about(&self) -> About {
        About {
            max_attempts: 2,
            backoff: Backoff { base_ms: 1, cap_ms: 1 },
            ..about("llm.message", "Has a message written.")
        }
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input: Value = input.parse().unwrap();
        let emit = async |event: Value| context.emit(event.into()).await;
        let mut message = json!({
            "id": "msg_provider", "type": "message", "role": "assistant", "model": input["model"], "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 1 },
        });
        emit(json!({ "type": "message_start", "message": message })).await?;
        emit(json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }))
            .await?;
        match input["model"].as_str().unwrap_or_default() {
            "wait" => tokio::select! {
                () = self.0.notified() => {}
                _ = context.cancelled() => return Err(Failure::cancelled()),
            },
            "again" if context.job().life.attempt == 1 => return Err(Failure::transient("it was cut off")),
            "overloaded" => {
                let error =
                    json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
                let problem = Problem::new(ProblemType::HANDLER_FAILED, "the upstream answered 529");
                return Err(Failure::fatal(problem.of_upstream(529, Some(error.into()))));
            }
            _ => {}
        }
        for text in ["Hello,", " you"] {
            emit(json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }))
                .await?;
        }
        emit(json!({ "type": "content_block_stop", "index": 0 })).await?;
        let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
        emit(json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 5 } })).await?;
        emit(json!({ "type": "message_stop" })).await?;
        message["content"] = json!([{ "type": "text", "text": "Hello, you" }]);
        message["stop_reason"] = json!("end_turn");
        Ok(message.into())
    }
}

/// `llm.message_batch`: records a result for each request, and waits before those whose model is "wait".
struct Batch(Arc<Notify>);

#[async_trait]
impl Handler for Batch {
    fn about(&self) -> About {
        about("llm.message_batch", "Has many messages written.")
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let input: Value = input.parse().unwrap();
        if input["requests"].as_array().is_some_and(Vec::is_empty) {
            return Err(Problem::new(ProblemType::INVALID_INPUT, "a batch has 1 to 9 requests").at("/input/requests"));
        }
        Ok(())
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input: Value = input.parse().unwrap();
        let (mut succeeded, mut errored) = (0, 0);
        for request in input["requests"].as_array().unwrap() {
            let model = request["params"]["model"].as_str().unwrap();
            if model == "wait" {
                tokio::select! {
                    () = self.0.notified() => {}
                    _ = context.cancelled() => return Err(Failure::cancelled()),
                }
            }
            let error = json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "no" } });
            let (count, result) = match model {
                "refused" => (&mut errored, json!({ "type": "errored", "error": error })),
                _ => (&mut succeeded, json!({ "type": "succeeded", "message": { "id": "msg_1", "model": model } })),
            };
            *count += 1;
            let name = format!("request:{}", request["custom_id"].as_str().unwrap());
            context.step(&name, async { Ok::<_, Failure>(result) }).await?;
        }
        Ok(json!({ "succeeded": succeeded, "errored": errored }).into())
    }
}

fn about(kind: &str, summary: &'static str) -> About {
    About::new(kind.parse().unwrap(), summary, json!(true).into())
}

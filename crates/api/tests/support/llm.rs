//! Handlers in the place of those that call language models: they do what the request's text says, and give the events that
//! the contract of their kind names.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Backoff, Json, Problem, ProblemType};
use raincheck_engine::{About, Context, Failure, Handler, Registry};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(super) fn register(registry: Registry, gate: &Arc<Notify>) -> Registry {
    registry.with(Response(Arc::clone(gate))).with(Plain("llm.chat")).with(Plain("llm.embed")).with(Batch)
}

/// `llm.response`.
struct Response(Arc<Notify>);

/// The event of an upstream's stream, as it is kept in the log.
async fn say(context: &Context, name: &str, fields: Value) -> Result<(), Failure> {
    let mut event = json!({ "type": name });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    // A number whose digits a parser would change, and a line break between tokens.
    let text = event.to_string().replace("\"type\"", "\"exact\":1.10,\n\"type\"");
    context.emit(Json::from_text(text).unwrap()).await
}

fn item(id: &str, text: &str, status: &str) -> Value {
    let content = if status == "in_progress" { json!([]) } else { json!([part(text)]) };
    json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

async fn begin(context: &Context, id: &str) -> Result<(), Failure> {
    say(context, "response.created", json!({ "response": { "id": "theirs" } })).await?;
    say(context, "response.in_progress", json!({ "response": { "id": "theirs" } })).await?;
    let added = json!({ "output_index": 0, "item": item(id, "", "in_progress") });
    say(context, "response.output_item.added", added).await?;
    let added = json!({ "item_id": id, "output_index": 0, "content_index": 0, "part": part("") });
    say(context, "response.content_part.added", added).await
}

async fn delta(context: &Context, id: &str, text: &str) -> Result<(), Failure> {
    let delta = json!({ "item_id": id, "output_index": 0, "content_index": 0, "delta": text, "logprobs": [] });
    say(context, "response.output_text.delta", delta).await
}

async fn end(context: &Context, id: &str, text: &str) -> Result<Json, Failure> {
    let place = json!({ "item_id": id, "output_index": 0, "content_index": 0 });
    let with = |name: &str, value: Value| {
        let mut fields = place.clone();
        fields[name] = value;
        fields
    };
    let mut done = with("text", text.into());
    done["logprobs"] = json!([]);
    say(context, "response.output_text.done", done).await?;
    say(context, "response.content_part.done", with("part", part(text))).await?;
    let done = json!({ "output_index": 0, "item": item(id, text, "completed") });
    say(context, "response.output_item.done", done).await?;
    say(context, "response.completed", json!({ "response": { "id": "theirs" } })).await?;
    Ok(result(id, text))
}

fn result(id: &str, text: &str) -> Json {
    let usage = json!({ "input_tokens": 3, "output_tokens": 2, "total_tokens": 5 });
    json!({
        "id": "resp_theirs", "object": "response", "created_at": 1, "status": "completed", "model": "served-1",
        "output": [item(id, text, "completed")], "usage": usage, "tools": null, "error": null, "temperature": 0.5,
    })
    .into()
}

#[async_trait]
impl Handler for Response {
    fn about(&self) -> About {
        let about = About::new("llm.response".parse().unwrap(), "Answers.", json!(true).into());
        About { backoff: Backoff { base_ms: 1, cap_ms: 1 }, ..about }
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        match input.parse::<Value>().unwrap()["model"].as_str() {
            None => Err(Problem::new(ProblemType::INVALID_INPUT, "missing field `model`").at("/input/model")),
            Some("unknown") => Err(Problem::new(ProblemType::NO_UPSTREAM, "no upstream takes it").at("/input/model")),
            Some(_) => Ok(()),
        }
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input: Value = input.parse().unwrap();
        let first = context.job().life.attempt == 1;
        match input["input"].as_str().unwrap_or_default() {
            "wait" => {
                begin(&context, "msg_1").await?;
                delta(&context, "msg_1", "a").await?;
                tokio::select! {
                    () = self.0.notified() => {}
                    _ = context.cancelled() => return Err(Failure::cancelled()),
                }
                delta(&context, "msg_1", "b").await?;
                end(&context, "msg_1", "ab").await
            }
            "fail" => {
                let error = json!({ "error": { "message": "too rude", "type": "invalid_request_error", "code": "image_parse_error", "param": "input" } });
                let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, "one answered 400: too rude");
                Err(Failure::fatal(problem.of_upstream(400, Some(error.into()))))
            }
            "fail in the middle" => {
                begin(&context, "msg_1").await?;
                delta(&context, "msg_1", "half").await?;
                Err(Failure::fatal(Problem::new(ProblemType::UPSTREAM_FAILED, "it broke off")))
            }
            // An upstream that is asked twice may give its items the same ids.
            "anew" if first => {
                begin(&context, "msg_1").await?;
                delta(&context, "msg_1", "wrong").await?;
                Err(Failure::transient("it broke off"))
            }
            "silent" => Ok(result("msg_1", "in one piece")),
            "incomplete" => {
                let mut result: Value = result("msg_1", "cut").parse().unwrap();
                result["status"] = "incomplete".into();
                result["incomplete_details"] = json!({ "reason": "max_output_tokens" });
                let mut problem = Problem::new(ProblemType::ANSWER_INCOMPLETE, "the answer is incomplete");
                problem.upstream_error = Some(Box::new(result.into()));
                Err(Failure::fatal(problem))
            }
            _ => {
                let served = json!({ "upstream": "one", "model": "served-1" });
                context.step("served", async { Ok(served) }).await?;
                begin(&context, "msg_1").await?;
                for text in ["Hel", "lo, ", "\"you\"\n"] {
                    delta(&context, "msg_1", text).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                end(&context, "msg_1", "Hello, \"you\"\n").await
            }
        }
    }
}

/// A kind whose answer is one object: what it was asked.
struct Plain(&'static str);

#[async_trait]
impl Handler for Plain {
    fn about(&self) -> About {
        About::new(self.0.parse().unwrap(), "Answers.", json!(true).into())
    }

    async fn run(&self, _: Context, input: Json) -> Result<Json, Failure> {
        let input: Value = input.parse().unwrap();
        if input["model"] == "refused" {
            let error = json!({ "error": { "message": "no credit", "type": "insufficient_quota", "code": "insufficient_quota", "param": null } });
            let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, "one answered 429: no credit");
            return Err(Failure::fatal(problem.of_upstream(429, Some(error.into()))));
        }
        Ok(json!({ "id": "theirs", "object": self.0, "asked": input }).into())
    }
}

/// `llm.batch`: says that it was done.
struct Batch;

#[async_trait]
impl Handler for Batch {
    fn about(&self) -> About {
        About::new("llm.batch".parse().unwrap(), "Makes many calls.", json!(true).into())
    }

    async fn run(&self, _: Context, _: Json) -> Result<Json, Failure> {
        let counts = json!({ "total": 3, "completed": 2, "failed": 1 });
        Ok(json!({ "request_counts": counts, "output_file_id": "file-1", "error_file_id": null }).into())
    }
}

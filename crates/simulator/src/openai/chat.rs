//! Chat Completions.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{model, output_max};
use crate::answer::{Frame, Frames};
use crate::content::tokens_read;
use crate::inbound::Inbound;
use crate::refusal::{No, Refusal, Why};
use crate::work::{Demand, Work, begin};

pub(crate) async fn create(inbound: Inbound) -> Result<Response, Refusal> {
    let demand = demand(&inbound);
    let work = begin(inbound, demand).await?;
    if work.body["stream"] == json!(true) {
        let no = No::new(500, Why::Server, "The server had an error while processing your request. Sorry about that!");
        let error = Frame::event(None, &no.body(work.inbound.dialect, &work.inbound.request_id));
        let frames = frames(&work);
        return Ok(work.stream(frames, error));
    }
    Ok(work.json(StatusCode::OK, completion).await)
}

fn demand(inbound: &Inbound) -> Result<(Value, Demand), Refusal> {
    let body = inbound.json()?;
    let model = model(inbound, &body)?;
    if !body["messages"].is_array() {
        return Err(inbound.refuse(&No::invalid("Missing required parameter: 'messages'.")));
    }
    let input_tokens = tokens_read([body.get("messages"), body.get("tools")]);
    let output_max = output_max(&body, &["max_completion_tokens", "max_tokens"]);
    Ok((body, Demand { model, input_tokens, output_max, writes: true }))
}

fn usage(work: &Work) -> Value {
    let (read, written) = (work.input_tokens, work.output_tokens());
    json!({
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        }
    })
}

fn finish_reason(work: &Work) -> &'static str {
    if work.plan.cut_short { "length" } else { "stop" }
}

fn completion(work: &Work) -> Value {
    let message = json!({"role": "assistant", "content": work.plan.text(), "refusal": null, "annotations": []});
    json!({
        "id": work.id("chatcmpl-", "completion", 29),
        "object": "chat.completion",
        "created": work.inbound.sim.config().epoch,
        "model": work.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(work)}],
        "usage": usage(work),
        "service_tier": "default",
        "system_fingerprint": "fp_simulator"
    })
}

fn frames(work: &Work) -> Frames {
    let with_usage = work.body["stream_options"]["include_usage"] == json!(true);
    let mut chunk = json!({
        "id": work.id("chatcmpl-", "completion", 29),
        "object": "chat.completion.chunk",
        "created": work.inbound.sim.config().epoch,
        "model": work.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
        "choices": []
    });
    let last = with_usage.then(|| {
        let mut last = chunk.clone();
        last["usage"] = usage(work);
        Frame::event(None, &last)
    });
    if with_usage {
        chunk["usage"] = Value::Null;
    }
    let make = move |delta: Value, finish_reason: Value| {
        let mut chunk = chunk.clone();
        chunk["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
        Frame::event(None, &chunk)
    };
    let (plan, finish_reason) = (work.plan.clone(), finish_reason(work));
    let first = make(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null);
    let finish = make(json!({}), json!(finish_reason));
    let tokens = (0..plan.tokens).map(move |place| make(json!({"content": plan.token(place)}), Value::Null).token());
    let done = Frame { text: "data: [DONE]\n\n".into(), is_token: false, at: None };
    Box::new(std::iter::once(first).chain(tokens).chain([finish]).chain(last).chain([done]))
}

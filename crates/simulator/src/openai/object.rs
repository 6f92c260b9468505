//! The Response object and the events that lead to it: both follow from the job and the time.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::answer::Frame;
use crate::jobs::{Job, Stage};
use crate::work::id;

/// A Response as it stands; `text` is what has been written.
pub(crate) fn object(job: &Job, epoch: i64, stage: Stage) -> Value {
    let body = &job.body;
    let or = |name: &str, default: Value| body.get(name).filter(|value| !value.is_null()).cloned().unwrap_or(default);
    let status = status(job, stage);
    let finished = matches!(stage, Stage::Done);
    let error =
        json!({"code": "server_error", "message": "The simulated work failed.", "type": "server_error", "param": null});
    json!({
        "id": job.id,
        "object": "response",
        "created_at": epoch,
        "completed_at": if finished { json!(epoch + seconds(job)) } else { Value::Null },
        "status": status,
        "background": job.background,
        "error": if stage == Stage::Failed { error } else { Value::Null },
        "incomplete_details": if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "instructions": or("instructions", Value::Null),
        "max_output_tokens": or("max_output_tokens", Value::Null),
        "max_tool_calls": or("max_tool_calls", Value::Null),
        "metadata": or("metadata", json!({})),
        "model": job.model,
        "output": if finished { json!([item(job, true)]) } else { json!([]) },
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "presence_penalty": or("presence_penalty", json!(0.0)),
        "frequency_penalty": or("frequency_penalty", json!(0.0)),
        "previous_response_id": or("previous_response_id", Value::Null),
        "prompt_cache_key": or("prompt_cache_key", Value::Null),
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})),
        "safety_identifier": or("safety_identifier", Value::Null),
        "service_tier": "default",
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_logprobs": or("top_logprobs", json!(0)),
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "usage": if finished { usage(job) } else { Value::Null },
        "user": or("user", Value::Null)
    })
}

fn status(job: &Job, stage: Stage) -> &'static str {
    match stage {
        Stage::Queued { .. } => "queued",
        Stage::Running => "in_progress",
        Stage::Done if job.plan.cut_short => "incomplete",
        Stage::Done => "completed",
        Stage::Failed => "failed",
        Stage::Cancelled => "cancelled",
    }
}

fn seconds(job: &Job) -> i64 {
    i64::try_from(job.plan.simulated(job.length()).as_secs()).unwrap_or(i64::MAX)
}

fn usage(job: &Job) -> Value {
    let (read, written) = (job.input_tokens, u64::from(job.plan.tokens));
    json!({
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written
    })
}

fn item_id(job: &Job) -> String {
    id(job.seeds, "msg_", "item", 48)
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The message, when it is begun or when it is whole.
fn item(job: &Job, whole: bool) -> Value {
    let status = match (whole, job.plan.cut_short) {
        (false, _) => "in_progress",
        (true, true) => "incomplete",
        (true, false) => "completed",
    };
    let content = if whole { json!([part(&job.plan.text())]) } else { json!([]) };
    json!({"id": item_id(job), "type": "message", "status": status, "role": "assistant", "content": content})
}

/// What an event of the stream is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Created,
    Queued,
    InProgress,
    ItemAdded,
    PartAdded,
    Delta(u32),
    TextDone,
    PartDone,
    ItemDone,
    Last,
}

/// The steps of a job, in order. One that fails does so in mid-text.
fn steps(job: &Job) -> impl Iterator<Item = Step> + Send + use<> {
    let before = [Step::Created, Step::Queued, Step::InProgress, Step::ItemAdded, Step::PartAdded];
    let (background, fails) = (job.background, job.fails);
    let deltas = if fails { job.plan.tokens / 2 } else { job.plan.tokens };
    let after = [Step::TextDone, Step::PartDone, Step::ItemDone];
    let before = before.into_iter().filter(move |step| background || !matches!(step, Step::Queued));
    let after = after.into_iter().filter(move |_| !fails);
    before.chain((0..deltas).map(Step::Delta)).chain(after).chain([Step::Last])
}

/// The events of a job as frames, from the first on. Those of a background job come at their time, whoever looks when.
pub(crate) fn frames(job: std::sync::Arc<Job>, epoch: i64) -> impl Iterator<Item = Frame> + Send {
    let mut due = job.begun;
    steps(&job).zip(0_u32..).map(move |(step, number)| {
        match step {
            Step::InProgress => due += job.plan.queue,
            Step::Delta(place) => due += job.plan.gap(place),
            Step::Last => due = due.max(job.begun + job.length()),
            _ => {}
        }
        let frame = frame(&job, epoch, step, number);
        Frame { at: job.background.then_some(due), ..frame }
    })
}

fn frame(job: &Job, epoch: i64, step: Step, number: u32) -> Frame {
    let place = |mut data: Value| {
        data["output_index"] = json!(0);
        data["content_index"] = json!(0);
        data["item_id"] = json!(item_id(job));
        data
    };
    let (name, mut data) = match step {
        Step::Created => ("response.created", json!({"response": object(job, epoch, first_stage(job))})),
        Step::Queued => ("response.queued", json!({"response": object(job, epoch, Stage::Queued { place: 0 })})),
        Step::InProgress => ("response.in_progress", json!({"response": object(job, epoch, Stage::Running)})),
        Step::ItemAdded => ("response.output_item.added", json!({"output_index": 0, "item": item(job, false)})),
        Step::PartAdded => ("response.content_part.added", place(json!({"part": part("")}))),
        Step::Delta(token) => {
            ("response.output_text.delta", place(json!({"delta": job.plan.token(token), "logprobs": []})))
        }
        Step::TextDone => ("response.output_text.done", place(json!({"text": job.plan.text(), "logprobs": []}))),
        Step::PartDone => ("response.content_part.done", place(json!({"part": part(&job.plan.text())}))),
        Step::ItemDone => ("response.output_item.done", json!({"output_index": 0, "item": item(job, true)})),
        Step::Last => {
            let stage = if job.fails { Stage::Failed } else { Stage::Done };
            let name = match status(job, stage) {
                "failed" => "response.failed",
                "incomplete" => "response.incomplete",
                _ => "response.completed",
            };
            (name, json!({"response": object(job, epoch, stage)}))
        }
    };
    data["type"] = json!(name);
    data["sequence_number"] = json!(number);
    let frame = Frame::event(Some(name), &data);
    if matches!(step, Step::Delta(_)) { frame.token() } else { frame }
}

fn first_stage(job: &Job) -> Stage {
    if job.background { Stage::Queued { place: 0 } } else { Stage::Running }
}

/// A Response as it stands now.
pub(crate) fn now(job: &Job, epoch: i64) -> Value {
    object(job, epoch, job.stage(Instant::now()))
}

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raincheck_core::{EventBody, Progress};
use raincheck_engine::{Context, Failure};
use raincheck_upstream::{Answer, CallFailure, Frames, Request, Route};
use serde_json::{Map, Value, json};

use super::{Deltas, Dialect};
use crate::calling::{OBJECT_MAX, object};
use crate::remote::{ASK_LAST, Ended, Remote, SILENT_MAX, Seen, Stage, is_passing};
use crate::said;

/// How long a stream that broke off is left before it is asked for again, at first.
const RESUME_FIRST: Duration = Duration::from_millis(200);

/// What is told of a response that waits at the upstream, and of one that is made.
const QUEUED: &str = "The upstream has queued it";
const AT_WORK: &str = "The upstream is at work";

/// A response that the upstream makes in OpenAI's background mode, and tells while it does.
pub(super) struct Background<'a> {
    route: &'a Route,
    body: &'a Map<String, Value>,
    /// The answer to the request that began it.
    begun: Mutex<Option<Told>>,
    shown: Mutex<Shown>,
}

impl<'a> Background<'a> {
    pub(super) fn new(route: &'a Route, body: &'a Map<String, Value>) -> Self {
        Self { route, body, begun: Mutex::default(), shown: Mutex::default() }
    }

    async fn retrieve(&self, id: &str) -> Result<Value, CallFailure> {
        let request = Request::get(format!("/responses/{id}"));
        object(&self.route.send_aside(&request).await?.read(OBJECT_MAX).await?)
    }

    async fn post(&self, body: &Map<String, Value>, key: &str) -> Result<Answer, CallFailure> {
        let mut request = Request::post("/responses", serde_json::to_vec(body).unwrap_or_default().into());
        request.idempotency_key = Some(key.to_owned());
        self.route.send_aside(&request).await
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream behind the event of this number; `None` if the upstream has none.
    async fn resume(&self, id: &str, seen: Option<u64>) -> Result<Option<Told>, CallFailure> {
        let after = seen.map(|seen| format!("&starting_after={seen}")).unwrap_or_default();
        match self.route.send_aside(&Request::get(format!("/responses/{id}?stream=true{after}"))).await {
            Ok(answer) => Ok(is_stream(&answer).then(|| Told::new(answer))),
            Err(failure) if is_passing(&failure) => Err(failure),
            Err(_) => Ok(None),
        }
    }
}

#[async_trait]
impl Remote for Background<'_> {
    async fn start(&self, key: &str) -> Result<String, CallFailure> {
        let mut body = self.body.clone();
        ["upstream", "on_ambiguous"].iter().for_each(|name| drop(body.remove(*name)));
        body.insert("model".into(), self.route.model().into());
        body.insert("background".into(), true.into());
        body.insert("stream".into(), true.into());
        // Without it the answer is forgotten minutes after it is there.
        body.insert("store".into(), true.into());
        let answer = match self.post(&body, key).await {
            // It does not do both at once, or none of its own accord.
            Err(failure) if is_about_streams(&failure) => {
                body.remove("stream");
                self.post(&body, key).await?
            }
            answer => answer?,
        };
        let id = |response: Option<&Value>| response?.get("id")?.as_str().map(str::to_owned);
        let id = if is_stream(&answer) {
            let mut told = Told::new(answer);
            let first = told.next().await.transpose()?;
            let id = id(first.as_ref().and_then(|event| event.get("response")));
            first.into_iter().for_each(|first| told.ready.push_front(first));
            *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
            id
        } else {
            id(Some(&object(&answer.read(OBJECT_MAX).await?)?))
        };
        id.ok_or_else(|| CallFailure::malformed("the answer has no id".into()))
    }

    async fn look(&self, id: &str) -> Result<Seen, CallFailure> {
        let response = self.retrieve(id).await?;
        Ok(match response.get("status").and_then(Value::as_str).unwrap_or_default() {
            "queued" => Seen::goes(QUEUED),
            "in_progress" => Seen::goes(AT_WORK),
            "completed" | "incomplete" => Seen::at(Stage::Ended(Ok(response))),
            "failed" | "cancelled" => Seen::at(Stage::Ended(Err(said(&response)))),
            other => return Err(CallFailure::malformed(format!("the upstream tells of a status {other:?}"))),
        })
    }

    async fn cancel(&self, id: &str) -> Result<(), CallFailure> {
        self.route.send_aside(&Request::post(format!("/responses/{id}/cancel"), Bytes::new())).await.map(drop)
    }

    async fn follow(&self, context: &Context, id: &str, since: &str) -> Result<Option<Ended>, Failure> {
        let mut told = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        if told.is_none() {
            for event in said::since(context, since).await? {
                if let EventBody::Output(output) = event.body {
                    self.shown().add(&output.parse().unwrap_or_default());
                }
            }
        }
        let (mut silent, mut pause) = (0, RESUME_FIRST);
        loop {
            let before = self.shown().last;
            let resumed = match told.take() {
                Some(told) => Ok(Some(told)),
                None => self.resume(id, before).await,
            };
            match resumed {
                Ok(None) => return Ok(None),
                Ok(Some(mut told)) => {
                    if let Some(ended) = self.take_in(context, &mut told).await? {
                        return Ok(Some(ended));
                    }
                }
                Err(_) => {}
            }
            let has_more = self.shown().last > before;
            // It broke off, or ended without saying how the response did, as that of a cancelled one does.
            match self.look(id).await {
                Ok(Seen { stage: Stage::Ended(ended @ Err(_)), .. }) => return Ok(Some(ended)),
                Ok(Seen { stage: Stage::Ended(Ok(_)), .. }) if !has_more => return Ok(None),
                _ => {}
            }
            (silent, pause) = if has_more { (0, RESUME_FIRST) } else { (silent + 1, (pause * 2).min(ASK_LAST)) };
            if silent > SILENT_MAX {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn told(&self, context: &Context, result: &Value) -> Result<(), Failure> {
        let rest = self.shown().rest(result);
        for delta in rest {
            context.emit(delta.into()).await?;
        }
        Ok(())
    }
}

impl Background<'_> {
    /// Takes in the events of a stream: each goes to the job's log with its number, those seen before left out. `None` if it ends
    /// before the response does.
    async fn take_in(&self, context: &Context, told: &mut Told) -> Result<Option<Ended>, Failure> {
        let mut deltas = Deltas::new(Dialect::Response);
        let ended = loop {
            let event = tokio::select! {
                biased;
                event = told.next() => event,
                () = deltas.due() => {
                    if let Some(event) = deltas.take() {
                        context.emit(event.into()).await?;
                    }
                    continue;
                }
            };
            let Some(Ok(event)) = event else { break None };
            let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
            // It says that the stream is over, not how the response ended.
            if name == "error" {
                break None;
            }
            if !self.shown().add(&event) {
                continue;
            }
            if let Some(message) = stage(name) {
                context.progress(Progress::percent(0.0, message));
            }
            let ended = match name {
                "response.completed" | "response.incomplete" => event.get("response").cloned().map(Ok),
                "response.failed" | "response.cancelled" => Some(Err(said(&event["response"]))),
                _ => None,
            };
            for ready in deltas.push(event) {
                context.emit(ready.into()).await?;
            }
            if ended.is_some() {
                break ended;
            }
        };
        if let Some(event) = deltas.take() {
            context.emit(event.into()).await?;
        }
        Ok(ended)
    }
}

/// How far a response is that such an event tells of, for people: until its text comes there is nothing else to see.
fn stage(event: &str) -> Option<&'static str> {
    match event {
        "response.queued" => Some(QUEUED),
        "response.in_progress" => Some(AT_WORK),
        _ => None,
    }
}

/// Whether an upstream refuses because it would have to stream.
fn is_about_streams(failure: &CallFailure) -> bool {
    matches!(failure.status, Some(400 | 422)) && failure.detail.to_lowercase().contains("stream")
}

fn said(response: &Value) -> CallFailure {
    CallFailure::said(response.get("error").filter(|error| !error.is_null()).unwrap_or(&json!({})))
}

fn is_stream(answer: &Answer) -> bool {
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| content_type.starts_with("text/event-stream"))
}

/// The events of a stream as they come.
struct Told {
    answer: Answer,
    frames: Frames,
    ready: VecDeque<Value>,
    /// What came next was no event: what comes behind it would leave a gap.
    is_broken: bool,
}

impl Told {
    fn new(answer: Answer) -> Self {
        Self { answer, frames: Frames::default(), ready: VecDeque::new(), is_broken: false }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Result<Value, CallFailure>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.is_broken {
                return Some(Err(self.answer.body.fail("an event of the stream is no JSON")));
            }
            let bytes = match self.answer.body.next().await? {
                Ok(bytes) => bytes,
                Err(failure) => return Some(Err(failure)),
            };
            let frames = match self.frames.feed(&bytes) {
                Ok(frames) => frames,
                Err(error) => return Some(Err(self.answer.body.fail(&error.to_string()))),
            };
            for frame in frames.into_iter().filter(|frame| frame.data != "[DONE]") {
                let Ok(event) = serde_json::from_str(&frame.data) else {
                    self.is_broken = true;
                    break;
                };
                self.ready.push_back(event);
            }
        }
    }
}

/// What the job's log shows of a response.
#[derive(Default)]
struct Shown {
    /// The number of the last event.
    last: Option<u64>,
    /// The texts, by item and part of it, each with its last delta.
    texts: BTreeMap<(u64, u64), (String, Value)>,
}

impl Shown {
    /// Takes in an event; false if it was there before.
    fn add(&mut self, event: &Value) -> bool {
        let number = event.get("sequence_number").and_then(Value::as_u64);
        if number.is_some() && number <= self.last {
            return false;
        }
        self.last = number.max(self.last);
        if event["type"] == "response.output_text.delta"
            && let (Some(item), Some(part)) = (event["output_index"].as_u64(), event["content_index"].as_u64())
        {
            let (text, last) = self.texts.entry((item, part)).or_default();
            text.push_str(event["delta"].as_str().unwrap_or_default());
            last.clone_from(event);
        }
        true
    }

    /// What it lacks of the texts that it has begun, as one delta each: of a stream that could not be followed to its end.
    fn rest(&self, result: &Value) -> Vec<Value> {
        let mut last = self.last.unwrap_or(0);
        let mut lacking = |((item, part), (text, delta)): (&(u64, u64), &(String, Value))| {
            let whole = result.pointer(&format!("/output/{item}/content/{part}/text"))?.as_str()?;
            let rest = whole.strip_prefix(text.as_str()).filter(|rest| !rest.is_empty())?;
            last += 1;
            let mut delta = delta.clone();
            (delta["delta"], delta["sequence_number"]) = (rest.into(), last.into());
            Some(delta)
        };
        self.texts.iter().filter_map(&mut lacking).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_before_is_not_shown_again_and_what_lacks_is_known() {
        let delta = |number: u64, text: &str| {
            json!({
                "type": "response.output_text.delta", "sequence_number": number, "output_index": 0, "content_index": 0,
                "delta": text,
            })
        };
        let mut shown = Shown::default();
        assert!(shown.add(&json!({"type": "response.created", "sequence_number": 0})));
        assert!(shown.add(&delta(3, "Hel")) && shown.add(&delta(4, "lo")) && !shown.add(&delta(4, "lo")));
        let result = |text: &str| json!({"output": [{"content": [{"text": text}]}]});
        assert_eq!(shown.rest(&result("Hello, you")), [delta(5, ", you")]);
        assert!(shown.rest(&result("Hello")).is_empty() && shown.rest(&result("Other")).is_empty());
    }
}

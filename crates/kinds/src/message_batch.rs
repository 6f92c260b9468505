use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use raincheck_core::{Json, Problem, ProblemType, Progress, STEPS_MAX};
use raincheck_engine::{About, Context, Failure, Handler};
use raincheck_upstream::Upstreams;
use serde::Deserialize;
use serde_json::json;

use crate::input;

mod outcome;
mod written;

use outcome::{Counts, Entry};
use written::Written;

/// Requests of a batch, in number: each is a step.
const REQUESTS_MAX: usize = STEPS_MAX as usize;
/// Requests, in number, of a batch in which none may be asked for twice: that it is sent is a step too, and that it was refused.
const ONCE_MAX: usize = REQUESTS_MAX / 4;
/// Requests of one batch under way at once; how many the upstream takes is its gate's affair.
const CONCURRENCY: usize = 16;
/// The longest `custom_id`, in bytes.
const CUSTOM_ID_MAX: usize = 64;
/// The longest that one attempt may take: as long as a batch may.
const TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// What the names of the steps begin with; the rest is the request's `custom_id`.
const STEP: &str = "request:";

/// Has one message written: what `llm.message_batch` does many times.
#[async_trait]
pub trait Messages: Send + Sync + 'static {
    /// Whether a message of this model could be written: asked before a batch is accepted.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, model: &str, upstream: Option<&str>) -> Result<(), Problem> {
        let _ = (model, upstream);
        Ok(())
    }

    /// Whether the message must not be asked for twice; then each time that it is, is recorded.
    fn is_once(&self, params: &Json, upstream: Option<&str>) -> bool {
        let _ = (params, upstream);
        false
    }

    /// Has the message written, with the retries and waits that the upstream needs. `name` is the request's own in its batch.
    ///
    /// # Errors
    /// Why there is none. What would fail again becomes the request's error; anything else is tried again in the next attempt.
    async fn message(&self, context: &Context, name: &str, request: MessageRequest) -> Result<Json, Failure>;
}

/// A message to be written.
#[derive(Clone, Debug)]
pub struct MessageRequest {
    /// A name that stays the same in every attempt, for upstreams that recognise a call made again.
    pub key: String,
    /// The upstream, if one is asked for.
    pub upstream: Option<String>,
    /// The body of Anthropic's `POST /v1/messages`.
    pub params: Json,
}

/// `llm.message_batch`: many messages as one job, in the form of Anthropic's Message Batches. Each that ends is recorded as a
/// step `request:<custom_id>`, whose result is that of a line of results (`{"type": "succeeded", "message": …}`), so that no
/// crash repeats it. The job's result counts them.
#[derive(Clone)]
pub struct MessageBatch(Arc<dyn Messages>);

impl MessageBatch {
    /// Batches whose messages are written by upstreams that speak Anthropic's protocol.
    #[must_use]
    pub fn by(upstreams: Upstreams) -> Self {
        Self::new(Written(upstreams))
    }

    /// Batches whose messages are written by these.
    #[must_use]
    pub fn new(messages: impl Messages) -> Self {
        Self(Arc::new(messages))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    requests: Vec<Request>,
    #[serde(default)]
    upstream: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    custom_id: String,
    params: Json,
}

/// What is looked at of a message; the rest is the upstream's affair.
#[derive(Debug, Deserialize)]
struct Head {
    model: String,
}

impl Input {
    fn read(input: &Json) -> Result<Self, Problem> {
        let read: Self = input::read(input)?;
        let invalid =
            |detail: String, pointer: String| Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(pointer));
        if read.requests.is_empty() || read.requests.len() > REQUESTS_MAX {
            return invalid(format!("a batch has 1 to {REQUESTS_MAX} requests"), "/input/requests".into());
        }
        let mut known = BTreeSet::new();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        for (number, Request { custom_id, params }) in read.requests.iter().enumerate() {
            let pointer = format!("/input/requests/{number}");
            if !(1..=CUSTOM_ID_MAX).contains(&custom_id.len()) || !custom_id.bytes().all(plain) {
                let detail = "a custom_id is 1 to 64 of A-Z a-z 0-9 _ -".to_owned();
                return invalid(detail, format!("{pointer}/custom_id"));
            }
            if !known.insert(custom_id) {
                let detail = format!("the custom_id {custom_id:?} stands for another request already");
                return invalid(detail, format!("{pointer}/custom_id"));
            }
            if params.parse::<Head>().is_err() {
                let detail = "params is the body of a message request, with a model".to_owned();
                return invalid(detail, format!("{pointer}/params"));
            }
        }
        Ok(read)
    }
}

impl MessageBatch {
    pub(crate) fn described() -> About {
        let kind = "llm.message_batch".parse().expect("a constant name");
        let schema = json!({
            "type": "object",
            "required": ["requests"],
            "additionalProperties": false,
            "properties": {
                "requests": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": REQUESTS_MAX,
                    "items": {
                        "type": "object",
                        "required": ["custom_id", "params"],
                        "additionalProperties": false,
                        "properties": {
                            "custom_id": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" },
                            "params": { "type": "object", "required": ["model"] },
                        },
                    },
                },
                "upstream": { "type": "string" },
            },
        });
        let summary = "Has many messages written, each recorded as it ends (Anthropic's Message Batches).";
        About { timeout: TIMEOUT, ..About::new(kind, summary, schema.into()) }
    }
}

#[async_trait]
impl Handler for MessageBatch {
    fn about(&self) -> About {
        Self::described()
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let Input { requests, upstream } = Input::read(input)?;
        let mut known = BTreeSet::new();
        for (number, Request { params, .. }) in requests.iter().enumerate() {
            let Ok(Head { model }) = params.parse() else { continue };
            if !known.contains(&model) {
                let place = format!("/input/requests/{number}/params/model");
                self.0.check(&model, upstream.as_deref()).map_err(|problem| problem.at(place))?;
                known.insert(model);
            }
        }
        let once = requests.iter().filter(|request| self.0.is_once(&request.params, upstream.as_deref())).count();
        if once > ONCE_MAX {
            let detail = format!("a batch has at most {ONCE_MAX} requests with on_ambiguous = fail; divide it");
            return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/requests"));
        }
        Ok(())
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let Input { requests, upstream } = Input::read(&input)?;
        drop(input);
        let total = requests.len() as u64;
        let entry = |Request { custom_id, params }| {
            let key = format!("{}-{custom_id}", context.key());
            let request = MessageRequest { key, upstream: upstream.clone(), params };
            self.entry(&context, custom_id, request)
        };
        let mut entries = stream::iter(requests).map(entry).buffer_unordered(CONCURRENCY);
        let (mut counts, mut done, mut failure) = (Counts::default(), 0, None);
        let all = async {
            while let Some(entry) = entries.next().await {
                match entry {
                    Ok(entry) => {
                        counts.add(&entry);
                        done += 1;
                        context.progress(Progress::counted(done, total, format!("{done} of {total} messages")));
                    }
                    // The others go on: what they cost is not to be paid twice.
                    Err(other) => failure = Some(outcome::longer(failure.take(), other)),
                }
            }
        };
        tokio::select! {
            biased;
            _ = context.cancelled() => return Err(Failure::cancelled()),
            () = all => {}
        }
        match failure {
            Some(failure) => Err(failure),
            None => Json::from_value(&counts).map_err(|error| Failure::transient(error.to_string())),
        }
    }
}

impl MessageBatch {
    /// A request's result, recorded: of this attempt or an earlier one.
    async fn entry(&self, context: &Context, custom_id: String, request: MessageRequest) -> Result<Entry, Failure> {
        let writing = async {
            match self.0.message(context, &custom_id, request).await {
                Ok(message) => Ok(Entry::succeeded(message)),
                Err(failure) if outcome::is_final(context, &failure) => Ok(Entry::errored(&failure.problem)),
                Err(failure) => Err(failure),
            }
        };
        context.step(&format!("{STEP}{custom_id}"), writing).await
    }
}

//! `llm.response`, `llm.chat`, `llm.message`, `llm.embed`: calls of language models. Whoever follows the job sees the text grow.

mod assemble;
mod background;
mod deltas;
mod dialect;
mod pictures;
mod worth;

use std::collections::BTreeSet;

use async_trait::async_trait;
use raincheck_core::{Json, Lane, Openings, Problem, Tenant};
use raincheck_engine::{About, Context, Failure, Handler};
use raincheck_upstream::{Answer, CallFailure, Frames, Protocol, Request, Route, Upstreams, estimate};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::calling::{ATTEMPTS, Call, OBJECT_MAX, enter, first_that_serves, object, routes};
use crate::once::{Ambiguous, Marks, Steps, is_once, once};
use crate::{Courier, input, remote};
use assemble::Assembly;
use background::Background;
use deltas::Deltas;
pub(crate) use deltas::text_of;
pub(crate) use dialect::Dialect;

/// Runs the jobs of one kind of call to a language model.
pub struct Llm {
    dialect: Dialect,
    upstreams: Upstreams,
    /// Brings the files that inputs name; ids go through as they are if there is none.
    courier: Option<Courier>,
}

/// What this crate looks at of an input: the rest is the provider's.
#[derive(Debug, Deserialize)]
struct Head {
    model: String,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    on_ambiguous: Option<Ambiguous>,
}

impl Llm {
    fn new(dialect: Dialect, upstreams: Upstreams) -> Self {
        Self { dialect, upstreams, courier: None }
    }

    /// Has the files that inputs name brought to the upstream before it is called.
    #[must_use]
    pub fn with_files(self, courier: Courier) -> Self {
        Self { courier: Some(courier), ..self }
    }

    /// `llm.response`: OpenAI's `POST /v1/responses`.
    #[must_use]
    pub fn response(upstreams: Upstreams) -> Self {
        Self::new(Dialect::Response, upstreams)
    }

    /// `llm.chat`: OpenAI's `POST /v1/chat/completions`.
    #[must_use]
    pub fn chat(upstreams: Upstreams) -> Self {
        Self::new(Dialect::Chat, upstreams)
    }

    /// `llm.message`: Anthropic's `POST /v1/messages`.
    #[must_use]
    pub fn message(upstreams: Upstreams) -> Self {
        Self::new(Dialect::Message, upstreams)
    }

    /// `llm.embed`: OpenAI's `POST /v1/embeddings`.
    #[must_use]
    pub fn embed(upstreams: Upstreams) -> Self {
        Self::new(Dialect::Embed, upstreams)
    }

    fn routes(&self, head: &Head) -> Result<Vec<Route>, Problem> {
        routes(&self.upstreams, self.dialect.protocol(), &head.model, head.upstream.as_deref())
    }

    /// Makes the call at one upstream, with the files it names. `Ok(Err(…))` if another should be asked instead.
    async fn call(
        &self,
        context: &Context,
        route: &Route,
        body: &Map<String, Value>,
        head: &Head,
    ) -> Result<Result<Value, CallFailure>, Failure> {
        // Before pictures are put into it: their bytes are no text.
        let tokens = estimate(self.dialect.path(), &Value::Object(body.clone()));
        let Some(courier) = &self.courier else { return self.ask(context, route, body, tokens, head).await };
        if self.dialect == Dialect::Message {
            let body = pictures::inlined(courier.blobs(), &context.job().spec.tenant, body).await?;
            return self.ask(context, route, &body, tokens, head).await;
        }
        let mut lost = BTreeSet::new();
        loop {
            let brought = match courier.bring(context, route, body, &lost).await? {
                Ok(brought) => brought,
                Err(failure) => return Ok(Err(failure)),
            };
            let refused = match self.ask(context, route, &brought.body, tokens, head).await? {
                Ok(answer) => return Ok(Ok(answer)),
                Err(refused) => refused,
            };
            // Once: an upstream that loses what it was just given is not to be helped.
            if !lost.is_empty() {
                return Ok(Err(refused));
            }
            lost = courier.lost(context, route, &brought, &refused).await;
            if lost.is_empty() {
                return Ok(Err(refused));
            }
        }
    }

    async fn ask(
        &self,
        context: &Context,
        route: &Route,
        body: &Map<String, Value>,
        tokens: u64,
        head: &Head,
    ) -> Result<Result<Value, CallFailure>, Failure> {
        let permit = enter(context, route, tokens).await?;
        let is_once = is_once(route, head.on_ambiguous);
        if self.dialect == Dialect::Response && route.config().native_background {
            let response = Background::new(route, body);
            return remote::run(context, route, permit, &response, is_once).await;
        }
        let mut request = Request::post(self.dialect.path(), self.dialect.body(body, route.model()));
        request.idempotency_key = Some(context.key());
        let call = async {
            let sent = tokio::select! {
                sent = route.send(permit, &request) => sent,
                _ = context.cancelled() => return Err(Failure::cancelled()),
            };
            match sent {
                Ok(answer) => self.read(context, answer).await,
                Err(failure) => Ok(Err(failure)),
            }
        };
        let marks = Steps::of_job(context);
        once(is_once.then_some(&marks as &dyn Marks), &route.served().upstream, call).await
    }

    async fn read(&self, context: &Context, answer: Answer) -> Result<Result<Value, CallFailure>, Failure> {
        let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.starts_with("text/event-stream") {
            return self.follow(context, answer).await;
        }
        let read = tokio::select! {
            read = answer.read(OBJECT_MAX) => read,
            _ = context.cancelled() => return Err(Failure::cancelled()),
        };
        Ok(read.and_then(|bytes| object(&bytes)))
    }

    /// Takes in a stream: each event goes to the job's log, and together they are the result.
    async fn follow(&self, context: &Context, mut answer: Answer) -> Result<Result<Value, CallFailure>, Failure> {
        let (mut frames, mut deltas) = (Frames::default(), Deltas::new(self.dialect));
        let mut assembly = Assembly::new(self.dialect);
        loop {
            let piece = tokio::select! {
                biased;
                _ = context.cancelled() => return Err(Failure::cancelled()),
                piece = answer.body.next() => piece,
                () = deltas.due() => {
                    if let Some(event) = deltas.take() {
                        context.emit(event.into()).await?;
                    }
                    continue;
                }
            };
            let frames = match piece {
                None => break,
                Some(Err(failure)) => return Ok(Err(failure)),
                Some(Ok(bytes)) => match frames.feed(&bytes) {
                    Ok(frames) => frames,
                    Err(error) => return Ok(Err(answer.body.fail(&error.to_string()))),
                },
            };
            for frame in frames.into_iter().filter(|frame| frame.data != "[DONE]") {
                let Ok(event) = serde_json::from_str::<Value>(&frame.data) else {
                    return Ok(Err(answer.body.fail("an event of the stream is no JSON")));
                };
                if let Some(refused) = self.dialect.refusal(&event) {
                    return Ok(Err(answer.body.refuse(refused.code.as_deref(), &refused.message)));
                }
                assembly.add(&event);
                for ready in deltas.push(self.dialect.shown(event)) {
                    context.emit(ready.into()).await?;
                }
            }
        }
        if let Some(event) = deltas.take() {
            context.emit(event.into()).await?;
        }
        Ok(assembly.result().ok_or_else(|| answer.body.fail("the stream ended before the answer did")))
    }
}

/// A call with its input.
struct Made<'a> {
    llm: &'a Llm,
    head: Head,
    body: Map<String, Value>,
}

#[async_trait]
impl Call for Made<'_> {
    async fn call(&self, context: &Context, route: &Route) -> Result<Result<Value, CallFailure>, Failure> {
        self.llm.call(context, route, &self.body, &self.head).await
    }
}

#[async_trait]
impl Handler for Llm {
    fn about(&self) -> About {
        let schema = Json::from(self.dialect.schema());
        let about = About::new(self.dialect.kind(), self.dialect.summary(), schema);
        // A call ends by its upstream's own time-out, and so does an upload before it: the attempt's is behind both.
        let longest = self.upstreams.longest_call(self.dialect.protocol()).unwrap_or_default();
        About { max_attempts: ATTEMPTS, concurrency: 1_024, timeout: about.timeout.max(longest * 2), ..about }
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let head: Head = input::read(input)?;
        self.dialect.check(&input::read(input)?)?;
        self.routes(&head).map(drop)
    }

    async fn check_for(&self, tenant: &Tenant, input: &Json) -> Result<(), Problem> {
        self.check(input).await?;
        let Some(courier) = &self.courier else { return Ok(()) };
        let body: Value = input::read(input)?;
        match self.dialect.protocol() {
            Protocol::Openai => courier.check(tenant, &body),
            // Its files are other files, under a protocol of their own.
            _ => pictures::check(courier.blobs(), tenant, &body),
        }
    }

    fn lane(&self, input: &Json) -> Option<Lane> {
        let head: Head = input.parse().ok()?;
        Upstreams::lane(&self.routes(&head).ok()?)
    }

    fn openings(&self) -> Openings {
        self.upstreams.openings()
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let head: Head = input::read(&input)?;
        let body: Map<String, Value> = input::read(&input)?;
        let routes = self.routes(&head)?;
        let call = Made { llm: self, head, body };
        let result = first_that_serves(&context, &routes, &call).await?;
        if self.dialect == Dialect::Response {
            worth::check(&result)?;
        }
        Ok(result)
    }
}

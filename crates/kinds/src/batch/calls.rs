use std::time::Duration;

use async_trait::async_trait;
use raincheck_blob::mentions;
use raincheck_core::Json;
use raincheck_core::gate::Then;
use raincheck_engine::Failure;
use raincheck_upstream::{CallFailure, PassFailure, Protocol, Request, Route, Upstreams, estimate};
use serde_json::{Map, Value, json};

use crate::calling::OBJECT_MAX;
use crate::once::{Ambiguous, Marks, Part, Whole, is_once};

/// How long a line waits for its turn at the gate before it looks anew where it should go.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// A line whose upstream is closed or fails asks again no sooner than this, and no later than [`LATER_MAX`].
const LATER_MIN: Duration = Duration::from_secs(1);
const LATER_MAX: Duration = Duration::from_secs(60);

/// One call of a batch.
#[derive(Clone, Debug)]
pub struct Line {
    /// A name that stays the same in every attempt, for upstreams that recognise a call made again.
    pub key: String,
    /// What is called, such as `/v1/embeddings`.
    pub endpoint: String,
    /// What it is sent.
    pub body: Json,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub enum Called {
    /// The upstream answered, well or not.
    Answered {
        /// Its status.
        status: u16,
        /// Its name for the call, if it gave one.
        request_id: String,
        /// What it said.
        body: Json,
    },
    /// It was sent and not answered: the upstream may have done it, and is asked again all the same.
    Unanswered {
        /// What happened, in words.
        message: String,
    },
    /// There is no answer, and there will be none.
    Failed {
        /// Why, in a word.
        code: String,
        /// Why, in words.
        message: String,
    },
    /// Not now: it is made again after this.
    Later(Duration),
}

impl Called {
    /// The upstream may have done it, and is not asked again.
    pub(super) fn ambiguous(message: &str) -> Self {
        failed("outcome_ambiguous", message)
    }
}

/// Makes the calls of batches, one at a time.
#[async_trait]
pub trait Lines: Send + Sync + 'static {
    /// Makes a call; between marks, if it must not be made twice.
    ///
    /// # Errors
    /// If what was marked cannot be made again, or it cannot be marked.
    async fn call(&self, line: Line, marks: &dyn Marks) -> Result<Called, Failure>;
}

/// Calls of upstreams that speak OpenAI's protocol, past their gates.
pub(super) struct ByUpstreams(pub(super) Upstreams);

#[async_trait]
impl Lines for ByUpstreams {
    async fn call(&self, line: Line, marks: &dyn Marks) -> Result<Called, Failure> {
        let Ok(mut body) = line.body.parse::<Map<String, Value>>() else {
            return Ok(failed("invalid_request", "the body is no object"));
        };
        // A line has one answer, and waits for it.
        for own in ["stream", "stream_options", "background"] {
            body.remove(own);
        }
        if !mentions(&Value::Object(body.clone())).is_empty() {
            let message =
                "files that are kept here are not sent with batches; ask for each Response with background: true";
            return Ok(refused(400, "file_not_sent", message));
        }
        let upstream = body.remove("upstream").and_then(|name| name.as_str().map(str::to_owned));
        let wish = match body.remove("on_ambiguous").map(serde_json::from_value::<Ambiguous>).transpose() {
            Ok(wish) => wish,
            Err(_) => return Ok(refused(400, "invalid_request", "on_ambiguous is \"retry\" or \"fail\"")),
        };
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        let routes = match self.0.routes(Protocol::Openai, &model, upstream.as_deref()) {
            Ok(routes) => routes,
            Err(error) => return Ok(refused(404, "model_not_found", &error.to_string())),
        };
        let path = line.endpoint.strip_prefix("/v1").unwrap_or(&line.endpoint);
        let make = |route: &Route| {
            let mut body = body.clone();
            body.insert("model".into(), route.model().into());
            let mut sent = Request::post(path, Value::Object(body).to_string().into());
            sent.idempotency_key = Some(line.key.clone());
            sent
        };
        let tokens = estimate(path, &Value::Object(body.clone()));
        let part = Part { routes: &routes, tokens, patience: PATIENCE, max: OBJECT_MAX };
        let is_once = routes.first().is_some_and(|route| is_once(route, wish));
        Ok(match part.call(&self.0, is_once.then_some(marks), make).await? {
            Ok(Whole { status, request_id, body }) => Called::Answered { status, request_id, body },
            Err(PassFailure::Closed(closed)) => Called::Later(closed.wait.clamp(LATER_MIN, LATER_MAX)),
            Err(PassFailure::Failed(failure)) => of_failure(failure),
        })
    }
}

/// What a failed call means for its line.
fn of_failure(failure: CallFailure) -> Called {
    if failure.verdict.is_ambiguous {
        return Called::Unanswered { message: failure.detail };
    }
    match (failure.verdict.then, failure.status, failure.body) {
        (Then::Retry | Then::Wait, _, _) => {
            Called::Later(failure.retry_after.unwrap_or(LATER_MIN * 5).clamp(LATER_MIN, LATER_MAX))
        }
        (_, Some(status), Some(body)) => Called::Answered { status, request_id: String::new(), body: body.into() },
        (_, Some(status), None) => refused(status, "upstream_refused", &failure.detail),
        (_, None, _) => failed("upstream_failed", &failure.detail),
    }
}

fn failed(code: &str, message: &str) -> Called {
    Called::Failed { code: code.to_owned(), message: message.to_owned() }
}

fn refused(status: u16, code: &str, message: &str) -> Called {
    let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": code });
    Called::Answered { status, request_id: String::new(), body: json!({ "error": error }).into() }
}

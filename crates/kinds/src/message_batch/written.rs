use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Problem, ProblemType};
use raincheck_engine::{Context, Failure};
use raincheck_upstream::{OnAmbiguous, PassFailure, Protocol, Request, Route, Upstreams, estimate};
use serde_json::{Map, Value};

use super::{MessageRequest, Messages};
use crate::calling::{failed, routes};

/// How long a message waits for its turn at the gate. One that has no turn by then is tried again in another attempt.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The longest message, in bytes.
const MESSAGE_MAX: usize = 16 << 20;
/// A batch whose upstream is closed comes back no sooner than this, and no later than [`POSTPONED_MAX`].
const POSTPONED_MIN: Duration = Duration::from_secs(1);
const POSTPONED_MAX: Duration = Duration::from_secs(60);

/// Messages written by upstreams that speak Anthropic's protocol, past their gates.
#[derive(Clone)]
pub(super) struct Written(pub(super) Upstreams);

#[async_trait]
impl Messages for Written {
    fn check(&self, model: &str, upstream: Option<&str>) -> Result<(), Problem> {
        routes(&self.0, Protocol::Anthropic, model, upstream).map(drop)
    }

    async fn message(&self, context: &Context, request: MessageRequest) -> Result<Json, Failure> {
        let mut params: Map<String, Value> = request.params.parse().map_err(|error| unfit(&error))?;
        // A batch has no streams.
        params.remove("stream");
        let model = params.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        let routes = routes(&self.0, Protocol::Anthropic, &model, request.upstream.as_deref())?;
        let tokens = estimate(&Value::Object(params.clone()));
        let make = |route: &Route| {
            let mut params = params.clone();
            params.insert("model".into(), route.model().into());
            let mut sent = Request::post("v1/messages", Value::Object(params).to_string().into());
            sent.idempotency_key = Some(request.key.clone());
            sent
        };
        let passed = tokio::select! {
            passed = self.0.pass(&routes, tokens, PATIENCE, make) => passed,
            _ = context.cancelled() => return Err(Failure::cancelled()),
        };
        let answer = match passed {
            Ok(answer) => answer,
            Err(PassFailure::Closed(closed)) => {
                let problem = Problem::new(ProblemType::UPSTREAM_CLOSED, "the upstream takes no calls for now");
                return Err(Failure::postponed(problem, closed.wait.clamp(POSTPONED_MIN, POSTPONED_MAX)));
            }
            Err(PassFailure::Failed(failure)) if failure.verdict.is_ambiguous && is_once(&routes) => {
                let detail = format!("{}; look there whether it was done", failure.detail);
                return Err(Failure::fatal(Problem::new(ProblemType::OUTCOME_AMBIGUOUS, detail)));
            }
            Err(PassFailure::Failed(failure)) => return Err(failed(&failure)),
        };
        let bytes = answer.read(MESSAGE_MAX).await.map_err(|failure| failed(&failure))?;
        let text = String::from_utf8(bytes.to_vec()).ok();
        let message = text.and_then(|text| Json::from_text(text).ok());
        message.ok_or_else(|| Failure::transient("the answer is no JSON"))
    }
}

fn is_once(routes: &[Route]) -> bool {
    routes.first().is_some_and(|route| route.config().on_ambiguous == OnAmbiguous::Fail)
}

fn unfit(error: &serde_json::Error) -> Failure {
    Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, format!("params is no object: {error}")))
}

use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Problem, ProblemType};
use raincheck_engine::{Context, Failure};
use raincheck_upstream::{PassFailure, Protocol, Request, Route, Upstreams, estimate};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{MessageRequest, Messages};
use crate::calling::{failed, routes};
use crate::once::{Ambiguous, Marks, Part, Steps, is_once};

/// Where messages are asked for, below the base URL.
const PATH: &str = "v1/messages";
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

    fn is_once(&self, params: &Json, upstream: Option<&str>) -> bool {
        let Ok(Head { model, on_ambiguous }) = params.parse() else { return false };
        routes(&self.0, Protocol::Anthropic, &model, upstream).is_ok_and(|routes| must_be_once(&routes, on_ambiguous))
    }

    async fn message(&self, context: &Context, name: &str, request: MessageRequest) -> Result<Json, Failure> {
        let Head { model, on_ambiguous } = request.params.parse().map_err(|error| unfit(&error))?;
        let mut params: Map<String, Value> = request.params.parse().map_err(|error| unfit(&error))?;
        // A batch has no streams; and what is ours is not sent.
        ["stream", "on_ambiguous"].iter().for_each(|name| drop(params.remove(*name)));
        let routes = routes(&self.0, Protocol::Anthropic, &model, request.upstream.as_deref())?;
        let make = |route: &Route| {
            let mut params = params.clone();
            params.insert("model".into(), route.model().into());
            let mut sent = Request::post(PATH, Value::Object(params).to_string().into());
            sent.idempotency_key = Some(request.key.clone());
            sent
        };
        let tokens = estimate(PATH, &Value::Object(params.clone()));
        let part = Part { routes: &routes, tokens, patience: PATIENCE, max: MESSAGE_MAX };
        let steps = Steps::of_part(context, name);
        // What may have been written is not waited for at a gate.
        steps.check()?;
        let marks = must_be_once(&routes, on_ambiguous).then_some(&steps as &dyn Marks);
        let called = tokio::select! {
            called = part.call(&self.0, marks, make) => called?,
            _ = context.cancelled() => return Err(Failure::cancelled()),
        };
        match called {
            Ok(whole) => Ok(whole.body),
            Err(PassFailure::Closed(closed)) => {
                let problem = Problem::new(ProblemType::UPSTREAM_CLOSED, "the upstream takes no calls for now");
                Err(Failure::postponed(problem, closed.wait.clamp(POSTPONED_MIN, POSTPONED_MAX)))
            }
            Err(PassFailure::Failed(failure)) => Err(failed(&failure)),
        }
    }
}

/// What is looked at of a message.
#[derive(Debug, Deserialize)]
struct Head {
    model: String,
    #[serde(default)]
    on_ambiguous: Option<Ambiguous>,
}

/// Whether a message must not be asked for twice: by what it says itself, or by its first upstream.
fn must_be_once(routes: &[Route], wish: Option<Ambiguous>) -> bool {
    routes.first().is_some_and(|route| is_once(route, wish))
}

fn unfit(error: &serde_json::Error) -> Failure {
    Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, format!("params is no object: {error}")))
}

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderName, HeaderValue, Response};
use futures_util::{StreamExt, stream};
use raincheck_core::{Json, Problem, ProblemType};
use raincheck_upstream::{
    CallFailure, NoOwnKey, PassFailure, Protocol, Request, Route, RouteError, UpstreamStatus, Upstreams, estimate,
};
use serde_json::Value;

use super::{NotPassed, OwnKey, Passage, Passed, PassedBody};

/// Which upstream answered, and with which model.
const SERVED_BY: HeaderName = HeaderName::from_static("raincheck-served-by");
/// How long a call waits for its gate before it is turned away: less than clients wait for the first byte.
const PATIENCE: Duration = Duration::from_secs(120);

#[async_trait]
impl Passage for Upstreams {
    async fn pass(&self, call: Passed) -> Result<Response<PassedBody>, NotPassed> {
        let protocol: Protocol = call
            .protocol
            .parse()
            .map_err(|error| refused(ProblemType::INTERNAL, format!("{}: {error}", call.protocol)))?;
        let routes = self
            .routes(protocol, &call.model, call.upstream.as_deref())
            .map_err(|error| NotPassed::new(nowhere(&error)))?;
        let routes = by_key(self, routes, call.own_key.as_ref()).map_err(|error| not_by_key(&error))?;
        // Most calls are passed on without a look at what is in them.
        let is_read = routes.iter().any(|route| route.counts_tokens() || route.model() != call.model);
        let body: Option<Value> = if is_read { serde_json::from_slice(&call.body).ok() } else { None };
        let tokens = body.as_ref().map_or(0, |body| estimate(&call.path, body));
        let request = |route: &raincheck_upstream::Route| {
            // Whoever is called instead may know the model by another name.
            let body = match &body {
                Some(body) if route.model() != call.model => with_model(body, route.model()).into(),
                _ => call.body.clone(),
            };
            // Under one key there is one call: of another model it is another.
            let is_same = route.model() == call.model;
            let other = || format!("{}-{}", call.idempotency_key, route.model());
            Request {
                method: call.method.clone(),
                headers: call.headers.clone(),
                body,
                idempotency_key: Some(if is_same { call.idempotency_key.clone() } else { other() }),
                ..Request::post(call.path.clone(), axum::body::Bytes::new())
            }
        };
        let answer = Self::pass(self, &routes, tokens, PATIENCE, request).await.map_err(not_passed)?;
        let served = HeaderValue::try_from(format!("{}/{}", answer.served.upstream, answer.served.model)).ok();
        let mut response = Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
        if let Some(served) = served {
            response.headers_mut().insert(SERVED_BY, served);
        }
        let pieces = stream::unfold(answer.body, async |mut body| {
            let piece = body.next().await?;
            Some((piece.map_err(Into::into), body))
        });
        Ok(response.map(|()| pieces.boxed()))
    }

    fn chosen(&self, protocol: &str, model: &str) -> Result<Option<String>, Problem> {
        let Ok(protocol) = protocol.parse() else { return Ok(None) };
        match Self::chosen(self, protocol, model) {
            Ok(name) => Ok(Some(name.to_owned())),
            Err(RouteError::NoneSpeaks(_)) => Ok(None),
            Err(error) => Err(nowhere(&error)),
        }
    }

    fn models(&self, protocol: &str) -> Vec<(String, String)> {
        protocol.parse().map(|protocol| Self::models(self, protocol)).unwrap_or_default()
    }

    fn upstreams(&self) -> Vec<UpstreamStatus> {
        self.overview()
    }
}

/// The routes as they are for a caller who brings a key.
fn by_key(upstreams: &Upstreams, routes: Vec<Route>, own: Option<&OwnKey>) -> Result<Vec<Route>, NoOwnKey> {
    let passes = || routes.first().is_some_and(|route| route.config().pass_through_key);
    match own.filter(|own| own.is_meant || passes()) {
        Some(own) => upstreams.with_own_key(routes, &own.key),
        None => Ok(routes),
    }
}

fn not_by_key(error: &NoOwnKey) -> NotPassed {
    let detail = error.to_string();
    match error {
        NoOwnKey::NotPassed(_) => refused(ProblemType::INVALID_REQUEST, detail),
        NoOwnKey::TooMany => {
            NotPassed { retry_after: Some(Duration::from_secs(1)), ..refused(ProblemType::OVERLOADED, detail) }
        }
    }
}

fn nowhere(error: &RouteError) -> Problem {
    let place = if matches!(error, RouteError::Unknown { .. }) { "/upstream" } else { "/model" };
    Problem::new(ProblemType::NO_UPSTREAM, error.to_string()).at(place)
}

fn with_model(body: &Value, model: &str) -> Vec<u8> {
    let mut body = body.clone();
    body["model"] = model.into();
    body.to_string().into_bytes()
}

fn refused(problem_type: ProblemType, detail: String) -> NotPassed {
    NotPassed::new(Problem::new(problem_type, detail))
}

fn not_passed(failure: PassFailure) -> NotPassed {
    match failure {
        PassFailure::Closed(closed) => {
            let detail = "the upstream takes no more calls just now; come back after Retry-After, or ask for a job with \
                          `Prefer: respond-async`, which waits by itself";
            NotPassed { retry_after: Some(closed.wait), ..refused(ProblemType::OVERLOADED, detail.to_owned()) }
        }
        PassFailure::Failed(CallFailure { detail, status, body, retry_after, headers, .. }) => {
            let Some(status) = status else {
                return NotPassed { retry_after, ..refused(ProblemType::UPSTREAM_FAILED, detail) };
            };
            let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, detail).of_upstream(status, body.map(Json::from));
            NotPassed { problem, retry_after, headers }
        }
    }
}

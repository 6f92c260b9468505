use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Lane, Problem, Time};
use raincheck_upstream::{Ahead, GateStatus, UpstreamStatus, Used};
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Api;
use crate::auth::{Admin, Caller};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// The upstreams.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UpstreamsReply {
    /// In order of name.
    upstreams: Vec<UpstreamView>,
}

/// An upstream, as it stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Upstream")]
struct UpstreamView {
    /// Its name.
    upstream: String,
    /// What it speaks.
    protocol: &'static str,
    /// Where it is: host and port.
    host: String,
    /// The models that were called since the start, each with its gate.
    models: Vec<ModelView>,
}

/// The gate of a model, as it stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpstreamModel")]
struct ModelView {
    /// The model; `other-models` stands for those that have no gate of their own, for there are too many.
    model: String,
    /// The lane in which its jobs wait.
    #[schemars(with = "String")]
    lane: Lane,
    /// Whether a call would be let through.
    state: GateState,
    /// Calls at once.
    calls: CallsView,
    /// Requests of this minute; left out if they are not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<UsedView>,
    /// Tokens of this minute; left out if they are not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<UsedView>,
    /// Whether calls are stopped because most of them fail.
    breaker: BreakerView,
    /// When the next call finds out whether it works again, while the breaker is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    probe_at: Option<Time>,
    /// Until when it wishes not to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    shut_until: Option<Time>,
    /// The status with which it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    shut_by: Option<u16>,
    /// What last went wrong with a call, through no fault of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureView>,
}

/// Whether a call would be let through.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "UpstreamState")]
enum GateState {
    /// It would.
    Open,
    /// As many are under way, or were called in this minute, as may be.
    Full,
    /// The upstream wishes not to be called.
    Shut,
    /// It fails, and is tried with a few calls at most.
    Failing,
}

/// Calls at once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpstreamCalls")]
struct CallsView {
    /// How many are under way.
    under_way: usize,
    /// How many may be.
    limit: usize,
    /// The limit is found out, not configured.
    adaptive: bool,
}

/// How much of a limit of a minute is used.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "UpstreamUse")]
struct UsedView {
    /// What was called in the last minute.
    used: u64,
    /// What may be.
    limit: u64,
}

/// A breaker.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "UpstreamBreaker")]
enum BreakerView {
    /// Calls go through.
    Closed,
    /// None do.
    Open,
    /// A few do, to see whether it works again.
    HalfOpen,
}

/// What went wrong with a call, in our words: what the upstream said is in the problems of its jobs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UpstreamFailure")]
struct FailureView {
    /// The problem of a job whose last attempt ended by it.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    type_uri: Cow<'static, str>,
    /// What happened.
    detail: &'static str,
    /// What it answered, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Time,
}

/// `GET /v1/upstreams`: where calls go, and what of them is let through just now. For operators: the models are named by tenants.
pub(crate) async fn upstreams(
    State(api): State<Arc<Api>>,
    _: Caller<Admin>,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let all = api.settings.doors.passage.as_ref().map(|passage| passage.upstreams()).unwrap_or_default();
    let now = api.engine.clock().now();
    let upstreams = all.into_iter().map(|upstream| view(upstream, now)).collect();
    Ok(reply::json(StatusCode::OK, &UpstreamsReply { upstreams }))
}

fn view(UpstreamStatus { name, protocol, host, gates }: UpstreamStatus, now: Time) -> UpstreamView {
    let models = gates.into_iter().map(|gate| model(gate, now)).collect();
    UpstreamView { upstream: name, protocol: protocol.as_str(), host, models }
}

fn model(gate: GateStatus, now: Time) -> ModelView {
    let state = state(&gate);
    let (breaker, probe_at) = match gate.breaker {
        Ahead::Closed => (BreakerView::Closed, None),
        Ahead::HalfOpen => (BreakerView::HalfOpen, None),
        Ahead::Open(wait) => (BreakerView::Open, Some(now.after(wait))),
    };
    let used = |Used { used, limit }: Used| UsedView { used, limit };
    let last_failure = gate.setback.map(|(setback, ago)| FailureView {
        type_uri: Problem::new(setback.problem, "").type_uri,
        detail: setback.what,
        upstream_status: setback.status,
        at: before(now, ago),
    });
    ModelView {
        model: gate.model,
        lane: gate.lane,
        state,
        calls: CallsView { under_way: gate.under_way, limit: gate.limit, adaptive: gate.is_adaptive },
        requests: gate.requests.map(used),
        tokens: gate.tokens.map(used),
        breaker,
        probe_at,
        shut_until: gate.shut_for.map(|wait| now.after(wait)),
        shut_by: gate.shut_by,
        last_failure,
    }
}

fn before(now: Time, ago: Duration) -> Time {
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(now.as_millis().saturating_sub(ago))
}

fn state(gate: &GateStatus) -> GateState {
    let is_used_up = |used: &Option<Used>| used.is_some_and(|Used { used, limit }| used >= limit);
    match gate.breaker {
        Ahead::Open(_) | Ahead::HalfOpen => GateState::Failing,
        Ahead::Closed if gate.shut_for.is_some() => GateState::Shut,
        Ahead::Closed if gate.under_way >= gate.limit => GateState::Full,
        Ahead::Closed if is_used_up(&gate.requests) || is_used_up(&gate.tokens) => GateState::Full,
        Ahead::Closed => GateState::Open,
    }
}

//! What every kind that calls an upstream does in the same way: gets past a gate, and says what a failed call means for its job.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raincheck_core::gate::{Block, Then};
use raincheck_core::{Json, Problem, ProblemType, Retry};
use raincheck_engine::{Context, Failure};
use raincheck_upstream::{
    CallFailure, Closed, Permit, Protocol, Route, RouteError, Served, Try, Upstreams, Usage, Why,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::once::Steps;
use crate::remote;

/// An answer that is one object may have so many bytes.
pub(crate) const OBJECT_MAX: usize = 64 << 20;
/// How often a job that calls an upstream may fail before it has failed, unless it asks otherwise: with the usual backoff that is
/// some minutes of trying. What comes and goes at the other end, most of it does within them.
pub(crate) const ATTEMPTS: u32 = 10;
/// How often a job fails at an upstream before it begins with the next that may be called instead.
const FAILURES_EACH: u32 = 2;
/// How long an attempt waits at a gate. The job was claimed because there was room; if others were quicker, it goes back.
const PATIENCE: Duration = Duration::from_secs(2);
/// A postponed job comes back no sooner than this.
const POSTPONED_MIN: Duration = Duration::from_millis(500);
/// And no later: whatever its gate said may have changed.
const POSTPONED_MAX: Duration = Duration::from_secs(60);

/// Where a job's call goes.
///
/// # Errors
/// A problem for whoever submits the job.
pub(crate) fn routes(
    upstreams: &Upstreams,
    protocol: Protocol,
    model: &str,
    upstream: Option<&str>,
) -> Result<Vec<Route>, Problem> {
    upstreams.routes(protocol, model, upstream).map_err(|error| nowhere(&error))
}

/// Why a call goes nowhere, as whoever submits the job is told it.
pub(crate) fn nowhere(error: &RouteError) -> Problem {
    let pointer = if matches!(error, RouteError::Unknown { .. }) { "/input/upstream" } else { "/input/model" };
    Problem::new(ProblemType::NO_UPSTREAM, error.to_string()).at(pointer)
}

/// Gets the attempt past the gate of the first route that takes it.
///
/// # Errors
/// If none does: the job is postponed.
pub(crate) async fn enter(context: &Context, route: &Route, tokens: u64) -> Result<Permit, Failure> {
    let of_try = if context.failures() == 0 { Try::First } else { Try::Again };
    let entered = tokio::select! {
        entered = route.gate().enter(tokens, of_try, PATIENCE) => entered,
        _ = context.cancelled() => return Err(Failure::cancelled()),
    };
    context.arrived();
    entered.map_err(|closed| postponed(told(route, closed), closed.wait))
}

/// Sends the attempt back if its gate is down: where others stand in line behind it, nobody waits in vain.
///
/// # Errors
/// If it is down: the job is postponed.
pub(crate) fn unless_down(route: &Route) -> Result<(), Failure> {
    if !route.gate().is_down() {
        return Ok(());
    }
    // Between the two it may have opened.
    route.gate().try_enter(0, Try::First).map(drop).map_err(|closed| postponed(told(route, closed), closed.wait))
}

fn told(route: &Route, Closed { why, .. }: Closed) -> String {
    let upstream = route.served().upstream;
    match why {
        Why::Busy => format!("as many calls to {upstream} are under way as may be"),
        Why::Limit => format!("the limit of requests or tokens a minute of {upstream} is reached"),
        Why::Throttled => format!("{upstream} said that it is too much, and when to come back"),
        Why::Open => format!("{upstream} fails and is left alone for a while"),
        Why::Retries => format!("{upstream} fails, and has been asked again as often as it should be for now"),
    }
}

fn postponed(detail: String, wait: Duration) -> Failure {
    Failure::postponed(Problem::new(ProblemType::UPSTREAM_CLOSED, detail), wait.clamp(POSTPONED_MIN, POSTPONED_MAX))
}

/// What a failed call means for the job. If all its upstreams fail as a whole, that is no fault of the job and costs it nothing:
/// it waits, as it would have if it had come a little later.
fn failed_at(routes: &[Route], failure: &CallFailure) -> Failure {
    let failed = failed(failure);
    let waits: Option<Vec<Duration>> = routes.iter().map(|route| route.gate().fails_for()).collect();
    match (failure.verdict.then, waits.and_then(|waits| waits.into_iter().min())) {
        (Then::Retry, Some(wait)) => {
            let wait = wait.max(failure.retry_after.unwrap_or_default());
            Failure::postponed(failed.problem, wait.clamp(POSTPONED_MIN, POSTPONED_MAX))
        }
        _ => failed,
    }
}

/// What a failed call means for the job, whatever becomes of its upstream.
pub(crate) fn failed(failure: &CallFailure) -> Failure {
    let mend = match failure.verdict.then {
        Then::Blocked(Block::Billing) => "; its account has no credit: that is for the operator to mend",
        Then::Blocked(Block::Credential) => "; it does not accept the key: that is for the operator to mend",
        _ => "",
    };
    let mut problem = Problem::new(failure.problem_type(), format!("{}{mend}", failure.detail));
    if let Some(status) = failure.status {
        let said = failure.body.as_ref().and_then(|body| Json::from_value(body).ok());
        problem = problem.of_upstream(status, said);
    }
    match failure.verdict.then {
        Then::Wait => {
            let wait = failure.retry_after.unwrap_or(POSTPONED_MIN).clamp(POSTPONED_MIN, POSTPONED_MAX);
            Failure::postponed(problem, wait)
        }
        Then::Retry => Failure { problem, retry: failure.retry_after.map_or(Retry::Backoff, Retry::After) },
        Then::Never | Then::Elsewhere | Then::Blocked(_) => Failure::fatal(problem),
    }
}

/// A job's call of one upstream.
#[async_trait]
pub(crate) trait Call: Send + Sync {
    /// Makes it. `Ok(Err(…))` if the upstream failed or refused.
    ///
    /// # Errors
    /// What ends the attempt, whatever other upstreams there are.
    async fn call(&self, context: &Context, route: &Route) -> Result<Result<Value, CallFailure>, Failure>;
}

/// What is recorded of the call that served: by whom, and what it took.
#[derive(Debug, Serialize, Deserialize)]
struct Bill {
    #[serde(flatten)]
    served: Served,
    /// How long the attempt that had the answer was at it.
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    /// By the prices of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
}

impl Bill {
    fn new(route: &Route, result: &Value, took: Duration) -> Self {
        let usage = Usage::read(result);
        Self {
            served: route.served(),
            seconds: seconds(took),
            input_tokens: usage.map(|usage| usage.input),
            output_tokens: usage.map(|usage| usage.output),
            cost: usage.zip(route.config().prices).map(|(usage, prices)| prices.cost(usage)),
        }
    }
}

/// A time as it is recorded: to a thousandth.
pub(crate) fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e3).round() / 1e3
}

/// Calls the first upstream that is not down, and the next if it refuses for good; records who served.
///
/// # Errors
/// What the last call means for the job.
pub(crate) async fn first_that_serves(context: &Context, routes: &[Route], call: &dyn Call) -> Result<Json, Failure> {
    Steps::of_job(context).check()?;
    // What an upstream has under way is not begun at another, whatever became of its gate since.
    let held = remote::place(context, routes)?;
    let order = match held {
        // What is before it refused the work.
        Some(place) => routes[place..].iter().collect(),
        None => in_turn(routes, context.failures()),
    };
    let mut last = None;
    for (number, route) in order.iter().enumerate() {
        let is_last = number + 1 == order.len();
        let is_held = number == 0 && held.is_some();
        if !is_last && !is_held && route.gate().is_down() {
            continue;
        }
        let began = Instant::now();
        match call.call(context, route).await? {
            Ok(result) => {
                let bill = Bill::new(route, &result, began.elapsed());
                let _: Bill = context.step("served", async { Ok(bill) }).await?;
                return Json::from_value(&result).map_err(|error| Failure::transient(error.to_string()));
            }
            Err(failure) if goes_elsewhere(&failure) && !is_last => {
                last = Some(failed_at(routes, &hidden(route, failure)));
            }
            Err(failure) => return Err(failed_at(routes, &hidden(route, failure))),
        }
    }
    Err(last.unwrap_or_else(|| Failure::transient("no upstream took the call")))
}

/// In which order upstreams are called after so many failures: every [`FAILURES_EACH`] of them another is the first.
fn in_turn(routes: &[Route], failures: u32) -> Vec<&Route> {
    let turn = (failures / FAILURES_EACH) as usize % routes.len().max(1);
    let (before, after) = routes.split_at(turn);
    after.iter().chain(before).collect()
}

/// A failure without the upstream's key, which it may have said again: failures are shown.
pub(crate) fn hidden(route: &Route, failure: CallFailure) -> CallFailure {
    let mut body = failure.body;
    body.iter_mut().for_each(|body| route.hide_key(body));
    CallFailure { detail: route.without_key(failure.detail), body, ..failure }
}

/// Whether another upstream should be asked instead.
fn goes_elsewhere(failure: &CallFailure) -> bool {
    matches!(failure.verdict.then, Then::Elsewhere | Then::Blocked(_))
}

/// An answer that is one JSON value.
///
/// # Errors
/// If it is none.
pub(crate) fn object(bytes: &Bytes) -> Result<Value, CallFailure> {
    serde_json::from_slice(bytes).map_err(|error| CallFailure::malformed(format!("the answer is no JSON: {error}")))
}

use std::time::Duration;

use raincheck_core::Backoff;
use raincheck_core::gate::Then;

use crate::{Answer, CallFailure, Closed, Request, Route, Try, Upstreams, Why};

/// How often a call that is passed through is made at most.
const TRIES_MAX: u32 = 3;

/// Why a call that is passed through came to nothing.
#[derive(Debug)]
pub enum PassFailure {
    /// No gate let it through in time.
    Closed(Closed),
    /// The upstream failed or refused.
    Failed(CallFailure),
}

impl Upstreams {
    /// Makes a call at once, for somebody who waits for the answer: past the gate in turn, again if that may help and the budget of
    /// retries has room, and to the next route if the first is down, goes on failing or refuses for good. What the upstream may have done
    /// is made nowhere else, and nothing is made again once an answer has begun.
    ///
    /// # Errors
    /// What the last try came to.
    pub async fn pass(
        &self,
        routes: &[Route],
        tokens: u64,
        patience: Duration,
        request: impl Fn(&Route) -> Request,
    ) -> Result<Answer, PassFailure> {
        let mut last = None;
        for (number, route) in routes.iter().enumerate() {
            let is_last = number + 1 == routes.len();
            // There is somewhere else to go: nobody waits here for an upstream that is down.
            if !is_last && route.gate.is_down() {
                last = last.or(Some(PassFailure::Closed(Closed { why: Why::Open, wait: Duration::from_secs(1) })));
                continue;
            }
            match through(route, tokens, patience, &request).await {
                Ok(answer) => return Ok(answer),
                // The request is wrong wherever it goes; or it may have been done, and would be done twice.
                Err(PassFailure::Failed(failure))
                    if failure.verdict.then == Then::Never || failure.verdict.is_ambiguous =>
                {
                    return Err(PassFailure::Failed(failure));
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or(PassFailure::Closed(Closed { why: Why::Open, wait: Duration::from_secs(1) })))
    }
}

async fn through(
    route: &Route,
    tokens: u64,
    patience: Duration,
    request: &impl Fn(&Route) -> Request,
) -> Result<Answer, PassFailure> {
    let (mut tries, mut last) = (0, None::<CallFailure>);
    loop {
        // What came too early is no failure, and its next try no retry.
        let has_failed = last.as_ref().is_some_and(|failure| failure.verdict.then != Then::Wait);
        let of_try = if has_failed { Try::Again } else { Try::First };
        let permit = match route.gate.enter(tokens, of_try, patience).await {
            Ok(permit) => permit,
            // There may be no more retries now: what the last try came to says more, but not when to come back.
            Err(closed) => {
                let failed = |failure: CallFailure| {
                    let retry_after = failure.retry_after.or(Some(closed.wait));
                    PassFailure::Failed(CallFailure { retry_after, ..failure })
                };
                return Err(last.map_or(PassFailure::Closed(closed), failed));
            }
        };
        let failure = match route.send(permit, &request(route)).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        tries += 1;
        let again = match failure.verdict.then {
            Then::Wait => true,
            Then::Retry => !failure.verdict.is_ambiguous && route.gate.grants_retry(),
            Then::Never | Then::Elsewhere | Then::Blocked(_) => false,
        };
        if !again || tries >= TRIES_MAX {
            // Sooner, nobody would be let through.
            let is_down = || route.gate.fails_for().filter(|_| failure.verdict.then == Then::Retry);
            let retry_after = failure.retry_after.or_else(is_down);
            return Err(PassFailure::Failed(CallFailure { retry_after, ..failure }));
        }
        if failure.verdict.then == Then::Retry {
            let backoff = Backoff { base_ms: 500, cap_ms: 8_000 };
            tokio::time::sleep(backoff.wait(tries, failure.retry_after, route.gate.dice()).min(patience)).await;
        }
        last = Some(failure);
    }
}

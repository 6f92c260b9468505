//! Calls that must not be made twice: that one is about to be sent is recorded before, and what the upstream refused, after. A
//! later attempt that finds the first without the second knows that the work may have been done and paid for, whatever ended
//! the attempt before it: a crash, a restart, a time-out.

use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::gate::Then;
use raincheck_core::{Json, Problem, ProblemType};
use raincheck_engine::{Context, Failure};
use raincheck_upstream::{Answer, CallFailure, Closed, OnAmbiguous, PassFailure, Request, Route, Try, Upstreams, Why};
use serde::{Deserialize, Serialize};

use crate::remote;

/// When a call is tried again whose every upstream was down.
const DOWN_WAIT: Duration = Duration::from_secs(1);

/// What an input says of calls that were sent and not answered; what its upstream says counts if it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ambiguous {
    Retry,
    Fail,
}

/// Whether a call of this upstream must not be made twice.
pub(crate) fn is_once(route: &Route, wish: Option<Ambiguous>) -> bool {
    match wish {
        Some(wish) => wish == Ambiguous::Fail,
        None => route.config().on_ambiguous == OnAmbiguous::Fail,
    }
}

/// That an upstream may have done what it was asked.
pub(crate) fn ambiguous(what: &str) -> Failure {
    let detail = format!("{what}; look there whether it was done, then retry the job");
    Failure::fatal(Problem::new(ProblemType::OUTCOME_AMBIGUOUS, detail))
}

/// Where it is recorded that a call was sent, and what came of it.
#[async_trait]
pub trait Marks: Send + Sync {
    /// Records that the call is about to be sent; durable when this returns.
    ///
    /// # Errors
    /// If it was sent before and nobody knows what came of that, or it cannot be recorded.
    async fn sent(&self, upstream: &str) -> Result<(), Failure>;

    /// Records that the upstream did not do it, and said so or was not even reached.
    ///
    /// # Errors
    /// If it cannot be recorded.
    async fn refused(&self, failure: &CallFailure) -> Result<(), Failure>;
}

/// Marks among the steps of a job, for one call or for one of many, which then has a name.
pub(crate) struct Steps<'a> {
    context: &'a Context,
    of: &'a str,
}

/// A call was sent.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    upstream: String,
    attempt: u32,
}

/// It came to nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    why: String,
}

impl<'a> Steps<'a> {
    pub(crate) fn of_job(context: &'a Context) -> Self {
        Self { context, of: "" }
    }

    pub(crate) fn of_part(context: &'a Context, of: &'a str) -> Self {
        Self { context, of }
    }

    fn name(&self, what: &str, turn: u32) -> String {
        if self.of.is_empty() { format!("{what}, {turn}") } else { format!("{what} {}, {turn}", self.of) }
    }

    /// How often the call was sent and refused.
    fn refusals(&self) -> Result<u32, Failure> {
        let mut turn = 0;
        while self.context.recorded::<Refused>(&self.name("refused", turn + 1))?.is_some() {
            turn += 1;
        }
        Ok(turn)
    }

    /// What was sent and never answered; not if the upstream has given its name for the work since.
    fn open(&self) -> Result<Option<Sent>, Failure> {
        let sent: Option<Sent> = self.context.recorded(&self.name("sent", self.refusals()? + 1))?;
        match sent {
            Some(sent) if !remote::is_under_way(self.context, &sent.upstream)? => Ok(Some(sent)),
            _ => Ok(None),
        }
    }

    /// Nothing was sent of which nobody knows what came.
    ///
    /// # Errors
    /// If something was.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.open()? {
            None => Ok(()),
            Some(Sent { upstream, attempt }) => {
                Err(ambiguous(&format!("attempt {attempt} asked {upstream} and ended before the answer came")))
            }
        }
    }

    /// What was sent was taken after all, and is found again by its name: no mark has to tell of it any more.
    pub(crate) async fn taken(&self) -> Result<(), Failure> {
        let turn = self.refusals()? + 1;
        if self.context.recorded::<Sent>(&self.name("sent", turn))?.is_some() {
            let taken = Refused { status: None, why: "it was taken, and has a name".to_owned() };
            self.context.step(&self.name("refused", turn), async { Ok(taken) }).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Marks for Steps<'_> {
    async fn sent(&self, upstream: &str) -> Result<(), Failure> {
        self.check()?;
        let sent = Sent { upstream: upstream.to_owned(), attempt: self.context.job().life.attempt };
        self.context.step(&self.name("sent", self.refusals()? + 1), async { Ok(sent) }).await.map(drop)
    }

    async fn refused(&self, failure: &CallFailure) -> Result<(), Failure> {
        let refused = Refused { status: failure.status, why: failure.what.to_owned() };
        self.context.step(&self.name("refused", self.refusals()? + 1), async { Ok(refused) }).await.map(drop)
    }
}

/// Makes a call between its marks, if it must not be made twice; `Ok(Err(…))` if the upstream failed and surely did not do it.
///
/// # Errors
/// What ends the attempt: among it that the upstream may have done it, now or in an earlier attempt.
pub(crate) async fn once<T, F>(
    marks: Option<&dyn Marks>,
    upstream: &str,
    call: F,
) -> Result<Result<T, CallFailure>, Failure>
where
    F: Future<Output = Result<Result<T, CallFailure>, Failure>>,
{
    let Some(marks) = marks else { return call.await };
    marks.sent(upstream).await?;
    match call.await? {
        Ok(answer) => Ok(Ok(answer)),
        Err(failure) if failure.verdict.is_ambiguous => Err(ambiguous(&failure.detail)),
        Err(failure) => {
            marks.refused(&failure).await?;
            Ok(Err(failure))
        }
    }
}

/// An answer that has come to its end.
pub(crate) struct Whole {
    pub(crate) status: u16,
    /// The upstream's name for the call, if it gave one.
    pub(crate) request_id: String,
    pub(crate) body: Json,
}

impl Whole {
    async fn read(answer: Answer, max: usize) -> Result<Self, CallFailure> {
        let status = answer.status.as_u16();
        let request_id = answer.headers.get("x-request-id").and_then(|id| id.to_str().ok());
        let request_id = request_id.unwrap_or_default().to_owned();
        let bytes = answer.read(max).await?;
        let body = String::from_utf8(bytes.to_vec()).ok().and_then(|text| Json::from_text(text).ok());
        let body = body.ok_or_else(|| CallFailure::malformed("the answer is no JSON".into()))?;
        Ok(Self { status, request_id, body })
    }
}

/// One of the many calls of a job, that is made by itself.
pub(crate) struct Part<'a> {
    pub(crate) routes: &'a [Route],
    pub(crate) tokens: u64,
    /// How long it waits for its turn at a gate.
    pub(crate) patience: Duration,
    /// The longest answer, in bytes.
    pub(crate) max: usize,
}

impl Part<'_> {
    /// Makes the call and reads its answer; between marks if it must not be made twice, and then it is tried once at each
    /// upstream. The rest is as of [`Upstreams::pass`].
    ///
    /// # Errors
    /// If it may have been done, now or in an earlier attempt, or cannot be marked.
    pub(crate) async fn call(
        &self,
        upstreams: &Upstreams,
        marks: Option<&dyn Marks>,
        make: impl Fn(&Route) -> Request + Sync,
    ) -> Result<Result<Whole, PassFailure>, Failure> {
        let Some(marks) = marks else {
            return Ok(match upstreams.pass(self.routes, self.tokens, self.patience, make).await {
                Ok(answer) => Whole::read(answer, self.max).await.map_err(PassFailure::Failed),
                Err(failure) => Err(failure),
            });
        };
        let mut last = PassFailure::Closed(Closed { why: Why::Open, wait: DOWN_WAIT });
        for (number, route) in self.routes.iter().enumerate() {
            let is_last = number + 1 == self.routes.len();
            if !is_last && route.gate().is_down() {
                continue;
            }
            let permit = match route.gate().enter(self.tokens, Try::First, self.patience).await {
                Ok(permit) => permit,
                Err(closed) => {
                    last = PassFailure::Closed(closed);
                    continue;
                }
            };
            let call = async {
                Ok(match route.send(permit, &make(route)).await {
                    Ok(answer) => Whole::read(answer, self.max).await,
                    Err(failure) => Err(failure),
                })
            };
            match once(Some(marks), &route.served().upstream, call).await? {
                Ok(whole) => return Ok(Ok(whole)),
                Err(failure) if failure.verdict.then == Then::Never => return Ok(Err(PassFailure::Failed(failure))),
                Err(failure) => last = PassFailure::Failed(failure),
            }
        }
        Ok(Err(last))
    }
}

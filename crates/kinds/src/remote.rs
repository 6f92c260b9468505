//! Work that an upstream does behind an id of its own: the id is recorded before the work is waited for, so that after a restart
//! it is found again instead of being done, and paid for, twice.

use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::gate::Fault;
use raincheck_core::{Progress, Retry, Time};
use raincheck_engine::{Context, Failure, Stop};
use raincheck_upstream::{CallFailure, Permit, Route, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::calling::{failed, hidden};
use crate::once::{Marks, Steps, ambiguous, once};
use crate::said::Lines;

/// How often the upstream is asked how far it is: at first, and at last.
const ASK_FIRST: Duration = Duration::from_millis(500);
pub(crate) const ASK_LAST: Duration = Duration::from_secs(10);
/// It is asked no later than this, whatever it wishes.
const ASK_MAX: Duration = Duration::from_secs(60);
/// How long it may take to say how far it is.
const LOOK_WITHIN: Duration = Duration::from_secs(120);
/// How long a cancelled job waits for the upstream to hear of it.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
/// How often in a row it may give no answer before the attempt is given up; the next finds the work again.
pub(crate) const SILENT_MAX: u32 = 20;
/// How often in a row it says that it knows nothing of the work before that is believed.
const UNKNOWN_MAX: u32 = 3;
/// Work that an upstream has begun and not brought to a good end so often is given up.
const TURNS_MAX: u32 = 3;

/// What an upstream does behind an id.
#[async_trait]
pub(crate) trait Remote: Send + Sync {
    /// Has it begin; gives its id. By the key the upstream can tell that it is asked again.
    async fn start(&self, key: &str) -> Result<String, CallFailure>;

    /// Looks how far it is. That it could not be seen is an error; that the work failed is not.
    async fn look(&self, id: &str) -> Result<Seen, CallFailure>;

    /// Tells it to stop.
    async fn cancel(&self, id: &str) -> Result<(), CallFailure>;

    /// Takes in what is made while it is made, where the upstream can tell; gives how it ended. `None` if the upstream does not
    /// tell, or not any more: then it is looked at. `since` is the step behind which the job's log tells of this work.
    ///
    /// # Errors
    /// If the attempt is asked to stop.
    async fn follow(&self, context: &Context, id: &str, since: &str) -> Result<Option<Ended>, Failure> {
        let _ = (context, id, since);
        Ok(None)
    }

    /// Adds to the job's log what of a result was not followed to its end.
    ///
    /// # Errors
    /// If the attempt is asked to stop.
    async fn told(&self, context: &Context, result: &Value) -> Result<(), Failure> {
        let _ = (context, result);
        Ok(())
    }
}

/// How work ended.
pub(crate) type Ended = Result<Value, CallFailure>;

/// How far it is.
pub(crate) struct Seen {
    /// All lines that it has said so far.
    pub(crate) lines: Vec<String>,
    pub(crate) stage: Stage,
}

pub(crate) enum Stage {
    /// It waits or works.
    Goes(Progress),
    /// It has ended.
    Ended(Ended),
    /// It is done, and what came of it cannot be had now.
    Unfetched(CallFailure),
}

impl Seen {
    pub(crate) fn goes(message: impl Into<String>) -> Self {
        Self { lines: Vec::new(), stage: Stage::Goes(Progress::percent(0.0, message)) }
    }

    pub(crate) fn at(stage: Stage) -> Self {
        Self { lines: Vec::new(), stage }
    }

    pub(crate) fn with(self, lines: Vec<String>) -> Self {
        Self { lines, ..self }
    }
}

/// The upstream's own name for the work.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    id: String,
    /// When it was given.
    #[serde(default)]
    at: Option<Time>,
}

/// The beginnings of work at an upstream: what it took and could not do is begun anew.
struct Turn<'a> {
    upstream: &'a str,
    number: u32,
}

impl<'a> Turn<'a> {
    /// The first that has not failed.
    fn current(context: &Context, upstream: &'a str) -> Result<Self, Failure> {
        let mut turn = Self { upstream, number: 1 };
        while context.recorded::<bool>(&turn.failed())?.is_some() {
            turn.number += 1;
        }
        Ok(turn)
    }

    /// The step that records the upstream's name for it.
    fn started(&self) -> String {
        match self.number {
            1 => format!("started at {}", self.upstream),
            number => format!("started at {}, {number}", self.upstream),
        }
    }

    /// The step that records that it came to nothing.
    fn failed(&self) -> String {
        format!("failed at {}, {}", self.upstream, self.number)
    }

    fn key(&self, whole: String) -> String {
        if self.number == 1 { whole } else { format!("{whole}-{}", self.number) }
    }
}

/// Whether an upstream has taken work of this job that has not failed.
pub(crate) fn is_under_way(context: &Context, upstream: &str) -> Result<bool, Failure> {
    let turn = Turn::current(context, upstream)?;
    Ok(context.recorded::<Started>(&turn.started())?.is_some())
}

/// The place of the upstream that has work of this job under way.
pub(crate) fn place(context: &Context, routes: &[Route]) -> Result<Option<usize>, Failure> {
    for (place, route) in routes.iter().enumerate() {
        if is_under_way(context, &route.served().upstream)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Has an upstream do something, unless an earlier attempt had it begin, and waits until that has ended. `Ok(Err(…))` if it
/// failed or did not take it. If `is_once`, it is not asked to begin again when it may have heard that, or may have worked.
///
/// # Errors
/// If the attempt is asked to stop, nothing is heard of the work for long, or it may have been done and nobody knows.
pub(crate) async fn run(
    context: &Context,
    route: &Route,
    permit: Permit,
    remote: &dyn Remote,
    is_once: bool,
) -> Result<Ended, Failure> {
    let upstream = route.served().upstream;
    let turn = Turn::current(context, &upstream)?;
    let marks = Steps::of_job(context);
    let mut permit = Some(permit);
    let started = match context.recorded::<Started>(&turn.started())? {
        Some(started) => started,
        None => {
            let key = turn.key(context.key());
            let begin = async {
                let begun = remote.start(&key).await;
                if let Err(failure) = &begun
                    && let Some(permit) = permit.take()
                {
                    permit.fail(failure);
                }
                Ok(begun)
            };
            match once(is_once.then_some(&marks as &dyn Marks), &upstream, begin).await? {
                Ok(id) => {
                    let started = Started { id, at: Some(context.now()) };
                    context.step(&turn.started(), async { Ok(started) }).await?
                }
                Err(refused) => return Ok(Err(refused)),
            }
        }
    };
    marks.taken().await?;
    permit.iter_mut().for_each(Permit::begun);
    let came = wait(context, remote, &started, &turn.started(), route.config().patience.total).await?;
    if let Some(permit) = permit {
        match came.failure() {
            None => permit.end(came.usage()),
            Some(failure) => permit.fail(failure),
        }
    }
    match came {
        Came::Ended(Ok(result)) => Ok(Ok(result)),
        Came::TooLong(failure) if is_once => Err(ambiguous(&failure.detail)),
        Came::Ended(Err(failure)) | Came::TooLong(failure) => {
            context.step(&turn.failed(), async { Ok(true) }).await?;
            // Each turn is paid for.
            if turn.number >= TURNS_MAX {
                return Err(Failure::fatal(failed(&hidden(route, failure)).problem));
            }
            Ok(Err(failure))
        }
        Came::Unknown(failure) if is_once => Err(ambiguous(&failure.detail)),
        Came::Unknown(failure) => Ok(Err(failure)),
        // It may be still at work: it is not begun elsewhere.
        Came::Silence(failure) => {
            Err(Failure { problem: failed(&hidden(route, failure)).problem, retry: Retry::Backoff })
        }
    }
}

/// What came of waiting for work.
enum Came {
    /// The upstream says how it ended.
    Ended(Ended),
    /// It took longer than it may, and was told to stop.
    TooLong(CallFailure),
    /// The upstream knows nothing of it.
    Unknown(CallFailure),
    /// Nothing was heard of it for long.
    Silence(CallFailure),
}

impl Came {
    fn failure(&self) -> Option<&CallFailure> {
        match self {
            Self::Ended(Ok(_)) => None,
            Self::Ended(Err(failure)) | Self::TooLong(failure) | Self::Unknown(failure) | Self::Silence(failure) => {
                Some(failure)
            }
        }
    }

    fn usage(&self) -> Option<Usage> {
        if let Self::Ended(Ok(result)) = self { Usage::read(result) } else { None }
    }
}

/// Waits for the work, as long as it may take since it was begun, whatever attempt that was in.
async fn wait(
    context: &Context,
    remote: &dyn Remote,
    started: &Started,
    since: &str,
    total: Duration,
) -> Result<Came, Failure> {
    let began = started.at.or(context.job().life.started_at).unwrap_or_else(|| context.now());
    let until = Instant::now() + total.saturating_sub(context.now().since(began));
    let tell_to_stop = || tokio::time::timeout(CANCEL_WITHIN, remote.cancel(&started.id));
    tokio::select! {
        came = come(context, remote, &started.id, since, until) => match came? {
            Some(came) => Ok(came),
            None => {
                let _ = tell_to_stop().await;
                let detail = format!("the work took longer than the {} s that it may, and was told to stop", total.as_secs_f64());
                Ok(Came::TooLong(unanswered(Fault::TooLong, detail)))
            }
        },
        stop = context.cancelled() => {
            // Nobody will want it any more.
            if matches!(stop, Stop::Cancelled | Stop::Expired) {
                let _ = tell_to_stop().await;
            }
            Err(Failure::cancelled())
        }
    }
}

fn unanswered(fault: Fault<'_>, detail: String) -> CallFailure {
    CallFailure {
        verdict: fault.verdict(),
        detail,
        what: fault.told(),
        status: None,
        body: None,
        retry_after: None,
        headers: Box::default(),
    }
}

/// What comes of the work; `None` if it is seen to go on when it should have ended.
async fn come(
    context: &Context,
    remote: &dyn Remote,
    id: &str,
    since: &str,
    until: Instant,
) -> Result<Option<Came>, Failure> {
    if let Ok(followed) = tokio::time::timeout_at(until, remote.follow(context, id, since)).await
        && let Some(ended) = followed?
    {
        return Ok(Some(Came::Ended(ended)));
    }
    let (mut pause, mut silent, mut unknown) = (ASK_FIRST, 0, 0);
    let (mut lines, mut shown) = (Lines::of(context, since).await?, None);
    loop {
        tokio::time::sleep_until((Instant::now() + pause).min(until)).await;
        // A fifth longer each time: what takes a while is seen to have ended a fifth of that too late, at most.
        pause = (pause * 6 / 5).min(ASK_LAST);
        let is_late = Instant::now() >= until;
        let seen = look(remote, id).await;
        if let Ok(seen) = &seen {
            for line in lines.news(&seen.lines) {
                context.line(Progress::percent(0.0, line)).await?;
            }
        }
        let failure = match seen {
            Ok(Seen { stage: Stage::Ended(ended), .. }) => {
                if let Ok(result) = &ended {
                    remote.told(context, result).await?;
                }
                return Ok(Some(Came::Ended(ended)));
            }
            Ok(Seen { stage: Stage::Goes(_), .. }) if is_late => return Ok(None),
            Ok(Seen { stage: Stage::Goes(progress), lines }) => {
                (silent, unknown) = (0, 0);
                // What it says itself is more than that it works; and that is said once.
                if lines.is_empty() && shown.as_ref() != Some(&progress) {
                    context.progress(progress.clone());
                    shown = Some(progress);
                }
                continue;
            }
            Ok(Seen { stage: Stage::Unfetched(failure), .. }) | Err(failure) => failure,
        };
        silent += 1;
        unknown = if failure.status == Some(404) { unknown + 1 } else { 0 };
        if unknown >= UNKNOWN_MAX {
            return Ok(Some(Came::Unknown(failure)));
        }
        if silent > SILENT_MAX || is_late {
            return Ok(Some(Came::Silence(failure)));
        }
        pause = pause.max(failure.retry_after.unwrap_or_default()).min(ASK_MAX);
    }
}

async fn look(remote: &dyn Remote, id: &str) -> Result<Seen, CallFailure> {
    match tokio::time::timeout(LOOK_WITHIN, remote.look(id)).await {
        Ok(seen) => seen,
        Err(_) => Err(unanswered(Fault::FirstByte, "the upstream did not say how far the work is".into())),
    }
}

/// Whether a failure to look says nothing of the work: it is looked at again.
pub(crate) fn is_passing(failure: &CallFailure) -> bool {
    !matches!(failure.status, Some(400..=499)) || matches!(failure.status, Some(401 | 403 | 408 | 409 | 425 | 429))
}

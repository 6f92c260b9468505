//! Work that an upstream does behind an id of its own: the id is recorded before the work is waited for, so that after a restart
//! it is found again instead of being done, and paid for, twice.

use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::Progress;
use raincheck_engine::{Context, Failure, Stop};
use raincheck_upstream::{CallFailure, Permit, Route, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calling::failed;
use crate::once::{Marks, Steps, once};

/// How often the upstream is asked how far it is: at first, and at last.
const ASK_FIRST: Duration = Duration::from_millis(500);
const ASK_LAST: Duration = Duration::from_secs(10);
/// How long a cancelled job waits for the upstream to hear of it.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
/// How often in a row it may give no answer before that is given up.
const SILENT_MAX: u32 = 20;

/// What an upstream does behind an id.
#[async_trait]
pub(crate) trait Remote: Send + Sync {
    /// Has it begin; gives its id. By the key the upstream can tell that it is asked again.
    async fn start(&self, key: &str) -> Result<String, CallFailure>;

    /// Looks how far it is.
    async fn look(&self, id: &str) -> Result<Seen, CallFailure>;

    /// Tells it to stop.
    async fn cancel(&self, id: &str) -> Result<(), CallFailure>;
}

/// How far it is.
pub(crate) enum Seen {
    /// It waits or works.
    Goes(Progress),
    /// It has ended.
    Ended(Result<Value, CallFailure>),
}

/// The upstream's own name for the work.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    id: String,
}

/// Work that an upstream has begun and not brought to a good end so often is given up.
const TURNS_MAX: u32 = 3;

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
/// failed or did not take it. If `is_once`, it is not asked to begin again when it may have heard that.
///
/// # Errors
/// If the attempt is asked to stop, or the work may have begun behind an id that nobody knows.
pub(crate) async fn run(
    context: &Context,
    route: &Route,
    permit: Permit,
    remote: &dyn Remote,
    is_once: bool,
) -> Result<Result<Value, CallFailure>, Failure> {
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
                Ok(id) => context.step(&turn.started(), async { Ok(Started { id }) }).await?,
                Err(refused) => return Ok(Err(refused)),
            }
        }
    };
    marks.taken().await?;
    permit.iter_mut().for_each(Permit::begun);
    let (ended, is_over) = wait(context, remote, &started.id).await?;
    match &ended {
        Ok(result) => {
            if let Some(permit) = permit {
                permit.end(Usage::read(result));
            }
        }
        Err(failure) => {
            if let Some(permit) = permit {
                permit.fail(failure);
            }
            if is_over {
                context.step(&turn.failed(), async { Ok(true) }).await?;
            }
            // Each turn is paid for.
            if is_over && turn.number >= TURNS_MAX {
                return Err(Failure::fatal(failed(failure).problem));
            }
        }
    }
    Ok(ended)
}

/// What came of it, and whether the upstream said so; it may be still at work if not.
async fn wait(context: &Context, remote: &dyn Remote, id: &str) -> Result<(Result<Value, CallFailure>, bool), Failure> {
    let (mut pause, mut silent) = (ASK_FIRST, 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            stop = context.cancelled() => {
                if stop == Stop::Cancelled {
                    let _ = tokio::time::timeout(CANCEL_WITHIN, remote.cancel(id)).await;
                }
                return Err(Failure::cancelled());
            }
        }
        pause = (pause * 3 / 2).min(ASK_LAST);
        match remote.look(id).await {
            Ok(Seen::Goes(progress)) => {
                silent = 0;
                context.progress(progress);
            }
            Ok(Seen::Ended(ended)) => return Ok((ended, true)),
            Err(failure) => {
                silent += 1;
                // It knows nothing of the work, or nothing is heard of it for long.
                if failure.status == Some(404) || silent > SILENT_MAX {
                    return Ok((Err(failure), false));
                }
            }
        }
    }
}

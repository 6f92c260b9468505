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

/// Has an upstream do something, unless an earlier attempt had it begin, and waits until that has ended. `Ok(Err(…))` if it
/// failed or did not take it.
///
/// # Errors
/// If the attempt is asked to stop.
pub(crate) async fn run(
    context: &Context,
    route: &Route,
    mut permit: Permit,
    remote: &dyn Remote,
) -> Result<Result<Value, CallFailure>, Failure> {
    let mut refused = None;
    let upstream = route.served().upstream;
    // What it took and could not do is begun anew.
    let mut turn = 1;
    while context.recorded::<bool>(&failed_at(&upstream, turn))?.is_some() {
        turn += 1;
    }
    let whole = context.key();
    let (name, key) = match turn {
        1 => (format!("started at {upstream}"), whole),
        _ => (format!("started at {upstream}, {turn}"), format!("{whole}-{turn}")),
    };
    let started = context.step(&name, async {
        match remote.start(&key).await {
            Ok(id) => Ok(Started { id }),
            Err(failure) => {
                refused = Some(failure);
                Err(Failure::transient("the upstream did not take it"))
            }
        }
    });
    let started = match started.await {
        Ok(started) => started,
        Err(failure) => {
            let Some(refused) = refused else { return Err(failure) };
            permit.fail(&refused);
            return Ok(Err(refused));
        }
    };
    permit.begun();
    let (ended, is_over) = wait(context, remote, &started.id).await?;
    match &ended {
        Ok(result) => permit.end(Usage::read(result)),
        Err(failure) => {
            permit.fail(failure);
            if is_over {
                context.step(&failed_at(&upstream, turn), async { Ok(true) }).await?;
            }
            // Each turn is paid for.
            if is_over && turn >= TURNS_MAX {
                return Err(Failure::fatal(failed(failure).problem));
            }
        }
    }
    Ok(ended)
}

/// Records that what the upstream took the n-th time came to nothing.
fn failed_at(upstream: &str, turn: u32) -> String {
    format!("failed at {upstream}, {turn}")
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

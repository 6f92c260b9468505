use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{Ending, Json, Kind, Problem, ProblemType, Refusal, Retry, State};
use raincheck_store::{Claimed, Finish, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};

use crate::approach::Approach;
use crate::engine::Parts;
use crate::running::Running;
use crate::{Context, Engine, Failure, Handler, Stop};

/// How long to wait before an ending that the store could not take is told again.
const RETRY_FINISH_AFTER: Duration = Duration::from_millis(100);

/// Runs one attempt of a job, from claim to ending. The permits are the attempt's places among those of its kind and of
/// all; `approach` is its way to the gate of its lane.
pub(crate) async fn run(
    parts: Arc<Parts>,
    handler: Arc<dyn Handler>,
    claimed: Claimed,
    permits: [OwnedSemaphorePermit; 2],
    approach: Option<Approach>,
) {
    let running = Arc::new(Running::new(claimed.job, claimed.steps, parts.clock.now(), approach));
    parts.attempts.insert(Arc::clone(&running));
    let context = Context::new(Arc::clone(&running), Engine(Arc::clone(&parts)));
    let task = parts.tasks.attempts.spawn(async move { handler.run(context, claimed.input).await });
    let ending = watch(&parts, &running, task).await;
    running.arrived();
    if let Some(ending) = ending {
        finish(&parts, &running, ending).await;
    }
    parts.attempts.remove(&running);
    drop(permits);
    parts.hub.wake_dispatcher();
}

/// Waits for the handler to end, or for a reason to stop it. `None` if the attempt has nothing more to say.
async fn watch(parts: &Parts, running: &Running, mut task: JoinHandle<Result<Json, Failure>>) -> Option<Ending> {
    let now = parts.clock.now();
    let timeout = Duration::from_millis(running.job.spec.timeout_ms);
    let until_deadline = running.job.spec.deadline.map_or(Duration::MAX, |deadline| deadline.since(now));
    let reason = tokio::select! {
        biased;
        result = &mut task => return Some(ending(result, running)),
        reason = running.stopped() => reason,
        () = tokio::time::sleep(timeout) => Stop::TimedOut,
        () = tokio::time::sleep(until_deadline) => Stop::Expired,
    };
    running.ask_to_stop(reason);
    let reason = running.stop_reason().unwrap_or(reason);
    let result = tokio::time::timeout(parts.settings.stop_grace, &mut task).await;
    if result.is_err() {
        task.abort();
    }
    match (reason, result) {
        (Stop::LeaseLost, _) => None,
        // Work that was finished all the same is not thrown away.
        (_, Ok(Ok(Ok(result)))) => Some(Ending::Completed(result)),
        (Stop::Cancelled, _) => Some(Ending::Cancelled),
        (Stop::Expired, _) => Some(Ending::Expired),
        (Stop::Draining, _) => Some(Ending::Released),
        (Stop::TimedOut, _) => {
            let detail = format!("it took longer than the {} that an attempt of this job may take", seconds(timeout));
            let problem = Problem::new(ProblemType::ATTEMPT_TIMED_OUT, detail);
            Some(Ending::Failed { problem, retry: Retry::Backoff })
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn ending(result: Result<Result<Json, Failure>, JoinError>, running: &Running) -> Ending {
    match result {
        Ok(Ok(result)) => Ending::Completed(result),
        Ok(Err(_)) if running.stop_reason() == Some(Stop::Cancelled) => Ending::Cancelled,
        Ok(Err(_)) if running.stop_reason() == Some(Stop::Draining) => Ending::Released,
        Ok(Err(Failure { problem, retry })) => Ending::Failed { problem, retry },
        Err(error) => Ending::Failed { problem: panicked(error), retry: Retry::Backoff },
    }
}

fn panicked(error: JoinError) -> Problem {
    let message = error.try_into_panic().ok().and_then(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    });
    Problem::new(ProblemType::HANDLER_PANICKED, message.unwrap_or_else(|| "without a message".to_owned()))
}

/// Tells the store how the attempt ended, together with everything it said that is not recorded yet; again and again while
/// the store cannot take it, until the lease is lost.
async fn finish(parts: &Parts, running: &Running, ending: Ending) {
    let _recording = running.recording.lock().await;
    let notes = std::mem::take(&mut *running.unrecorded());
    let besides = running.besides(parts.clock.now());
    let asked_for: Vec<Kind> = besides.follow_ups.iter().map(|new| new.spec.kind.clone()).collect();
    let dice = parts.chance.dice();
    let finish = Finish { job: running.id(), fence: running.fence(), notes, ending, dice, besides };
    let mut warned = false;
    loop {
        let now = parts.clock.now();
        match parts.store.finish(vec![finish.clone()], now).await.map(|mut results| results.pop()) {
            Ok(Some(Ok(life))) => {
                if life.state == State::Completed {
                    asked_for.iter().for_each(|kind| parts.stats.accepted(kind));
                }
                return parts.stats.ended(&running.job.spec.kind, life.state, now.since(running.began));
            }
            Ok(Some(Err(Refusal::LeaseLost | Refusal::Finished(_)))) => {
                tracing::warn!(job = %running.id(), "an attempt ended after it had lost its lease; its result is discarded");
                return;
            }
            Ok(_) => return,
            Err(StoreError::Stopped) => return,
            // If the outcome is unknown, the fence tells whether it happened: it can happen only once.
            Err(_) if running.stop_reason() == Some(Stop::LeaseLost) => return,
            Err(error) => {
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!(job = %running.id(), %error, "failed to record how an attempt ended; trying again until the lease is lost");
                }
                tokio::time::sleep(RETRY_FINISH_AFTER).await;
            }
        }
    }
}

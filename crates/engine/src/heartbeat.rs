use std::sync::Arc;

use raincheck_store::{Beat, Beaten};

use crate::Stop;
use crate::engine::Parts;
use crate::running::Running;

/// How many leases are renewed in one call.
const BATCH_MAX: usize = 1_000;

/// Renews the leases of all attempts, and brings back to them what the store has to say.
pub(crate) async fn run(parts: Arc<Parts>) {
    let mut tick = tokio::time::interval(parts.settings.heartbeat_interval());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        beat_all(&parts).await;
    }
}

/// Renews every lease once.
pub(crate) async fn beat_all(parts: &Parts) {
    for attempts in parts.attempts.all().chunks(BATCH_MAX) {
        beat(parts, attempts).await;
    }
}

async fn beat(parts: &Parts, attempts: &[Arc<Running>]) {
    let now = parts.clock.now();
    let until = now.after(parts.settings.lease);
    let beats = attempts.iter().map(|running| Beat { job: running.id(), fence: running.fence(), until }).collect();
    match parts.store.heartbeat(beats, now).await {
        Ok(answers) => {
            for (running, answer) in attempts.iter().zip(answers) {
                match answer {
                    Ok(Beaten { cancel_requested: false }) => {}
                    Ok(Beaten { cancel_requested: true }) => running.ask_to_stop(Stop::Cancelled),
                    Err(_) => running.ask_to_stop(Stop::LeaseLost),
                }
            }
        }
        // The next one may get through: there are three to a lease.
        Err(error) => tracing::warn!(%error, "failed to renew leases"),
    }
}

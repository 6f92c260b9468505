use std::sync::Arc;

use raincheck_store::Swept;

use crate::engine::Parts;
use crate::heartbeat;

/// How many jobs a sweep looks at in one call.
const BATCH_MAX: usize = 1_000;

/// Does what is due: lapsed leases, passed deadlines, ended retention.
pub(crate) async fn run(parts: Arc<Parts>) {
    let mut tick = tokio::time::interval(parts.settings.sweep_interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = parts.clock.now();
    loop {
        tick.tick().await;
        // If this process was stopped for a while (a suspended machine, SIGSTOP) or the clock was set forward, our own
        // attempts are as alive as we are: they are not to be taken for those of a dead worker.
        if parts.clock.now().since(last) > parts.settings.heartbeat_interval() {
            heartbeat::beat_all(&parts).await;
        }
        while sweep(&parts).await {}
        last = parts.clock.now();
    }
}

/// Sweeps once; whether more is due.
async fn sweep(parts: &Parts) -> bool {
    match parts.store.sweep(BATCH_MAX, parts.clock.now()).await {
        Ok(Swept { lapsed, expired, forgotten, more }) => {
            if lapsed + expired + forgotten > 0 {
                tracing::info!(lapsed, expired, forgotten, "swept");
            }
            if lapsed > 0 {
                parts.hub.wake_dispatcher();
            }
            more
        }
        Err(error) => {
            tracing::warn!(%error, "failed to sweep");
            false
        }
    }
}

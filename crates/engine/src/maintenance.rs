use std::sync::Arc;

use raincheck_store::Swept;

use crate::engine::Parts;

/// How many jobs a sweep looks at in one call.
const BATCH_MAX: usize = 1_000;

/// Does what is due: lapsed leases, passed deadlines, ended retention.
pub(crate) async fn run(parts: Arc<Parts>) {
    let mut tick = tokio::time::interval(parts.settings.sweep_interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        while sweep(&parts).await {}
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

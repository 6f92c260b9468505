use std::time::Duration;

use raincheck_core::WorkerId;

/// How an engine behaves. The defaults are what an expert would choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name under which this engine holds leases. At start, leases held under it by an earlier life lapse at once.
    pub worker: WorkerId,
    /// How long a lease lasts without a heartbeat; a dead worker's job runs again within this and a second.
    pub lease: Duration,
    /// How many attempts run at once, of all kinds together.
    pub concurrency: usize,
    /// How long an attempt may take to stop after it was asked to, before it is abandoned.
    pub stop_grace: Duration,
    /// How often progress is recorded at most; the last value is always recorded.
    pub progress_interval: Duration,
    /// How often the engine looks for lapsed leases, passed deadlines and ended retention.
    pub sweep_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            worker: WorkerId::new("local"),
            lease: Duration::from_secs(15),
            concurrency: 1_024,
            stop_grace: Duration::from_secs(5),
            progress_interval: Duration::from_millis(100),
            sweep_interval: Duration::from_millis(500),
        }
    }
}

impl Settings {
    /// How often leases are renewed: three times before they lapse.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        self.lease / 3
    }
}

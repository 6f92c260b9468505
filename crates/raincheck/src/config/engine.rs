use std::time::Duration;

use raincheck_engine::Settings;

use super::reader::Reader;

/// `[engine]`: how jobs are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Engine {
    /// How long a lease lasts without a heartbeat.
    lease: Duration,
    /// How many attempts run at once.
    concurrency: usize,
    /// How long an attempt may take to stop after it was asked to.
    stop_grace: Duration,
    /// How often progress is recorded at most.
    progress_interval: Duration,
}

impl Default for Engine {
    fn default() -> Self {
        let Settings { lease, concurrency, stop_grace, progress_interval, .. } = Settings::default();
        Self { lease, concurrency, stop_grace, progress_interval }
    }
}

impl Engine {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut section = reader.section("engine");
        let lease = |lease: &Duration| *lease >= Duration::from_secs(1);
        Self {
            lease: section.get_if("lease", default.lease, lease, "must be at least 1s"),
            concurrency: section.get_if("concurrency", default.concurrency, |n| *n > 0, "must be at least 1"),
            stop_grace: section.get("stop_grace", default.stop_grace),
            progress_interval: section.get_if(
                "progress_interval",
                default.progress_interval,
                |interval| !interval.is_zero(),
                "must be more than 0s",
            ),
        }
    }

    /// What the engine is started with.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            lease: self.lease,
            concurrency: self.concurrency,
            stop_grace: self.stop_grace,
            progress_interval: self.progress_interval,
            ..Settings::default()
        }
    }
}

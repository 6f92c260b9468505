//! What became of the jobs.

use std::time::Duration;

use raincheck_core::Time;
use serde_json::Value;

use super::stage::Stage;
use crate::failure::Fallible;
use crate::http::get;
use crate::jobs;
use crate::report::{Report, count};

/// All jobs of a drill.
pub(super) struct Ends(Vec<End>);

struct End {
    completed: bool,
    failures: u64,
    created: Time,
    finished: Time,
}

impl End {
    fn took(&self) -> Duration {
        self.finished.since(self.created)
    }
}

impl Ends {
    /// Reads them, once they have ended.
    pub(super) async fn read(stage: &Stage) -> Fallible<Self> {
        stage.wait().await?;
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/jobs?limit=1000{cursor}");
            let page: Value = serde_json::from_slice(&jobs::told(stage.server.address, &get(&path, "")).await?)?;
            for job in page["jobs"].as_array().into_iter().flatten() {
                let time = |name: &str| serde_json::from_value::<Time>(job[name].clone());
                let (created, finished) = (time("created_at")?, time("finished_at")?);
                let failures = job["failures"].as_u64().unwrap_or(0);
                all.push(End { completed: job["state"] == "completed", failures, created, finished });
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(Self(all)),
            }
        }
    }

    /// How long the jobs took that were accepted before `until`, all but the slowest hundredth.
    pub(super) fn usual(&self, until: Time) -> Duration {
        let mut took: Vec<Duration> = self.0.iter().filter(|job| job.created < until).map(End::took).collect();
        took.sort();
        took.get(took.len() * 99 / 100).copied().unwrap_or_default()
    }

    /// How long after `healed` the last job ended that took longer than twice the usual.
    pub(super) fn normal_after(&self, healed: Time, usual: Duration) -> Duration {
        let late = self.0.iter().filter(|job| job.took() > usual * 2);
        late.map(|job| job.finished.since(healed)).max().unwrap_or_default()
    }

    /// From the first acceptance to the last end.
    pub(super) fn length(&self) -> Duration {
        let first = self.0.iter().map(|job| job.created).min();
        let last = self.0.iter().map(|job| job.finished).max();
        first.zip(last).map(|(first, last)| last.since(first)).unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many jobs failed at least once, and the most failures of one.
    pub(super) fn failures(&self) -> (usize, u64) {
        let counted = self.0.iter().filter(|job| job.failures > 0).count();
        (counted, self.0.iter().map(|job| job.failures).max().unwrap_or(0))
    }

    /// A row: how many completed, of how many.
    pub(super) fn row(&self, drill: &str, report: &mut Report) {
        #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 jobs")]
        let told = |number: usize| count(number as f64);
        let completed = self.0.iter().filter(|job| job.completed).count();
        let measured = format!("{} of {}", told(completed), told(self.count()));
        report.row(format!("{drill}: jobs completed, of those accepted"), measured, "all");
    }
}

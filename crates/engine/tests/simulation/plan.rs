use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Progress};
use raincheck_engine::{About, Context, Failure, Handler};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// What a job does: part of its input, so that it does the same wherever it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    steps: u32,
    step_ms: u64,
    /// How many of its first attempts fail.
    failures: u32,
    /// Whether it stops when asked to.
    obedient: bool,
}

impl Plan {
    pub(crate) fn draw(random: &mut StdRng) -> Self {
        Self {
            steps: random.random_range(0..5),
            step_ms: random.random_range(0..9_000),
            failures: if random.random_bool(0.3) { random.random_range(1..4) } else { 0 },
            obedient: random.random_bool(0.7),
        }
    }
}

/// Runs plans. Every time a step is run its result is another number, so that one that was run again and overwritten shows.
#[derive(Clone, Default)]
pub(crate) struct Planned {
    runs: Arc<AtomicU64>,
}

impl Planned {
    async fn step(&self, context: &Context, plan: &Plan, step: u32) -> Result<u64, Failure> {
        let work = async {
            tokio::select! {
                biased;
                _ = context.cancelled(), if plan.obedient => return Err(Failure::cancelled()),
                () = sleep(Duration::from_millis(plan.step_ms)) => {}
            }
            Ok(self.runs.fetch_add(1, Ordering::Relaxed))
        };
        context.step(&format!("step {step}"), work).await
    }
}

#[async_trait]
impl Handler for Planned {
    fn about(&self) -> About {
        About { concurrency: 4, ..About::new("planned".parse().unwrap(), "a simulated job", Json::null()) }
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let plan: Plan = input.parse().unwrap();
        let mut results = Vec::new();
        for step in 0..plan.steps {
            context.progress(Progress::counted(u64::from(step), u64::from(plan.steps), ""));
            results.push(self.step(&context, &plan, step).await?);
            context.emit(serde_json::json!(step).into()).await?;
        }
        if context.job().life.failures < plan.failures {
            return Err(Failure::transient("as planned"));
        }
        Ok(serde_json::json!(results).into())
    }
}

/// A number below `limit` of milliseconds, mostly small.
pub(crate) fn short_time(random: &mut StdRng, limit: u64) -> Duration {
    let bound = random.random_range(1..=limit);
    Duration::from_millis(random.next_u64() % bound)
}

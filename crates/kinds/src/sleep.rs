use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Problem, ProblemType, Progress};
use raincheck_engine::{About, Context, Failure, Handler};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use tokio::time::Instant;

use crate::input;

/// How often it says how far it is.
const TICK: Duration = Duration::from_millis(250);
/// The longest sleep: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// `sleep`, a diagnostics kind: does nothing for a while, with progress. For trying out clients, limits and drills.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sleep;

/// What `sleep` is given.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// For how many seconds to sleep, 0 to 86400.
    #[schemars(range(min = 0.0, max = 86400.0))]
    seconds: f64,
    /// Fail at the end instead of completing.
    #[serde(default)]
    fail: bool,
}

fn read(input: &Json) -> Result<Input, Problem> {
    let input: Input = input::read(input)?;
    if (0.0..=SECONDS_MAX).contains(&input.seconds) {
        return Ok(input);
    }
    Err(Problem::new(ProblemType::INVALID_INPUT, "seconds must be from 0 to 86400").at("/input/seconds"))
}

impl Sleep {
    pub(crate) fn described() -> About {
        let kind = "sleep".parse().expect("a constant name");
        let schema = Json::from_value(&schema_for!(Input)).unwrap_or_default();
        let summary = "Diagnostics: does nothing for a while, and says how far it is.";
        let timeout = Duration::from_secs(2 * 86_400);
        About { concurrency: 1_024, timeout, ..About::new(kind, summary, schema) }
    }
}

#[async_trait]
impl Handler for Sleep {
    fn about(&self) -> About {
        Self::described()
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        read(input).map(drop)
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input = read(&input)?;
        let (start, length) = (Instant::now(), Duration::from_secs_f64(input.seconds));
        let end = start + length;
        while Instant::now() < end {
            let slept = start.elapsed();
            let percent = slept.as_secs_f64() / length.as_secs_f64() * 100.0;
            context.progress(Progress::percent(
                percent.floor(),
                format!("Slept {:.1} of {} s", slept.as_secs_f64(), input.seconds),
            ));
            tokio::select! {
                biased;
                _ = context.cancelled() => return Err(Failure::cancelled()),
                () = tokio::time::sleep_until(end.min(Instant::now() + TICK)) => {}
            }
        }
        if input.fail {
            return Err(Failure::transient("it was asked to fail"));
        }
        Ok(serde_json::json!({ "slept_seconds": input.seconds }).into())
    }
}

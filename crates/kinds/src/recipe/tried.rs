use std::time::Duration;

use raincheck_core::{Dice, Json, Kind, Problem, ProblemType, Retry, Time};
use raincheck_engine::Failure;
use raincheck_recipes::{FAILED, How, OnError, Scope, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::course::Course;

/// A step that is tried again comes back no sooner than this.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// How long a step that is given up has to tell its upstream so.
const HALT_WITHIN: Duration = Duration::from_secs(6);
/// Recorded behind the name of a step that has failed for good: why.
const GIVEN_UP: &str = "/given up";

/// Where a try stands.
pub(super) struct Place {
    /// The place of the step in the recipe.
    pub(super) at: usize,
    /// The number of the item, if it is a loop.
    pub(super) item: usize,
    /// Under what it is recorded.
    pub(super) name: String,
    /// When the step first began.
    pub(super) began_at: Time,
}

/// What came of a step, or of one item of a loop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) state: How,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Value>,
    pub(super) result: Value,
}

/// Recorded of a try that failed.
#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    at: Time,
    detail: String,
}

impl Course<'_> {
    /// Tries a step once; does what it says is to be done instead if it has failed for good.
    ///
    /// # Errors
    /// If it has failed for good and there is nothing instead, or is to be tried again later.
    pub(super) async fn attempt(&self, step: &Step, place: &Place, scope: Scope) -> Result<Tried, Failure> {
        let error = match self.given_up(place)? {
            Some(error) => error,
            None => match self.attempted(step, place, &scope).await? {
                Ok(result) => return Ok(Tried { state: How::Completed, error: None, result }),
                Err(failure) => self.error(place, &failure)?,
            },
        };
        let scope = scope.with_error(&error);
        let result = self.instead(step, place, &scope, &error).await?;
        Ok(Tried { state: How::Degraded, error: Some(error), result })
    }

    /// Tries a step once; gives why, if it has failed for good and there is something to do instead.
    async fn attempted(&self, step: &Step, place: &Place, scope: &Scope) -> Result<Result<Value, Failure>, Failure> {
        let given = step.call.input.render(scope).map_err(|error| self.broken(&step.name, &error))?;
        let failure = match self.call(step, place, &place.name, &step.call.kind, given.into()).await {
            Ok(result) => return Ok(Ok(result)),
            Err(failure) => self.told(step, failure),
        };
        if self.context.stop_reason().is_some() {
            return Err(failure);
        }
        match self.again(step, place, failure).await? {
            Again::Later(failure) => Err(failure),
            Again::Never(failure) if step.on_error.is_none() => Err(Failure { retry: Retry::Never, ..failure }),
            Again::Never(failure) => Ok(Err(failure)),
        }
    }

    /// What there is instead of the result of a step that has failed for good.
    async fn instead(&self, step: &Step, place: &Place, scope: &Scope, error: &Value) -> Result<Value, Failure> {
        let broken = |error| self.broken(&step.name, &error);
        match &step.on_error {
            Some(OnError::Use(template)) => template.render(scope).map_err(broken),
            Some(OnError::Do(call)) => {
                // If that fails as well, and is tried again, what it stands for is not.
                self.context.step(&format!("{}{GIVEN_UP}", place.name), async { Ok(error.clone()) }).await?;
                let given = call.input.render(scope).map_err(broken)?;
                let name = format!("{}/instead", place.name);
                let done = self.call(step, place, &name, &call.kind, given.into()).await;
                done.map_err(|failure| self.told(step, failure))
            }
            None => Ok(Value::Null),
        }
    }

    /// Why a step has failed for good in an earlier attempt.
    fn given_up(&self, place: &Place) -> Result<Option<Value>, Failure> {
        self.context.recorded(&format!("{}{GIVEN_UP}", place.name))
    }

    /// Does work of a kind as a part of the job.
    async fn call(&self, step: &Step, place: &Place, name: &str, kind: &Kind, given: Json) -> Result<Value, Failure> {
        let Some((about, Some(handler))) = self.recipes.kinds.get(kind) else {
            let detail = format!("there is no kind {:?} here any more", kind.as_str());
            return Err(Failure::fatal(Problem::new(ProblemType::UNKNOWN_KIND, detail)));
        };
        handler.check_for(&self.context.job().spec.tenant, &given).await?;
        let ear = self.meter.ear(place.at, place.item, step, kind);
        // What there is instead takes the time that it takes, and has not failed yet.
        let is_own = name == place.name;
        let left = if is_own { self.left(step, place) } else { None };
        let failures = if is_own { self.failures(place)? } else { 0 };
        if left.is_some_and(|left| left.is_zero()) {
            let detail = "its deadline passed before it was done";
            // Not by this step any more; whoever asks is told when it might be worth it.
            let problem = Problem::new(ProblemType::ATTEMPT_TIMED_OUT, detail);
            return Err(Failure { problem, retry: Retry::Backoff });
        }
        let longest = step.timeout.unwrap_or(about.timeout).min(left.unwrap_or(Duration::MAX));
        let part = self.context.part(name, failures, ear);
        let mut running = handler.run(part.clone(), given);
        let Ok(done) = tokio::time::timeout(longest, &mut running).await else {
            // What is tried again finds again what its upstream is at; what is not tells it to stop.
            if left.is_some_and(|left| left <= longest) {
                part.halt();
                let _ = tokio::time::timeout(HALT_WITHIN, running).await;
            }
            let detail = format!("it took longer than the {} s that it may", longest.as_secs_f64());
            let problem = Problem::new(ProblemType::ATTEMPT_TIMED_OUT, detail);
            return Err(Failure { problem, retry: Retry::Backoff });
        };
        done?.parse().map_err(|error: serde_json::Error| Failure::transient(error.to_string()))
    }

    /// Whether a step that failed is tried again. Where it counts its own failures, the job is not held to account for them.
    async fn again(&self, step: &Step, place: &Place, failure: Failure) -> Result<Again, Failure> {
        let left = self.left(step, place);
        // Where the next try would come too late, waiting for it is in vain.
        let is_late = |wait: Duration| left.is_some_and(|left| wait >= left);
        let retry_after = match failure.retry {
            Retry::Never => return Ok(Again::Never(failure)),
            Retry::Backoff => None,
            Retry::Postpone(millis) => Some(Duration::from_millis(millis.into())),
            Retry::After(wait) => Some(wait),
        };
        if is_late(retry_after.unwrap_or_default()) {
            return Ok(Again::Never(failure));
        }
        if matches!(failure.retry, Retry::Postpone(_)) {
            return Ok(Again::Later(failure));
        }
        let job = self.context.job();
        // A deadline is kept to the second only by who decides when to come back.
        let Some(most) = step.max_attempts.or(step.deadline.map(|_| job.spec.max_attempts)) else {
            let is_last = job.life.failures + 1 >= job.spec.max_attempts;
            // What there is instead is better than a failed job.
            return Ok(if is_last && step.on_error.is_some() { Again::Never(failure) } else { Again::Later(failure) });
        };
        let failures = self.failed(place, &failure).await?;
        if failures >= most {
            return Ok(Again::Never(failure));
        }
        let wait = job.spec.backoff.wait(failures, retry_after, self.recipes.chance.dice());
        if is_late(wait) {
            return Ok(Again::Never(failure));
        }
        Ok(Again::Later(Failure::postponed(failure.problem, wait.max(PAUSE_MIN))))
    }

    /// Records that a try failed; gives how often it has.
    async fn failed(&self, place: &Place, failure: &Failure) -> Result<u32, Failure> {
        let number = self.failures(place)? + 1;
        let failed = Failed { at: self.recipes.clock.now(), detail: failure.problem.detail.clone() };
        self.context.step(&format!("{}{FAILED}{number}", place.name), async { Ok(failed) }).await?;
        Ok(number)
    }

    /// How often a step has failed that counts its failures.
    fn failures(&self, place: &Place) -> Result<u32, Failure> {
        let mut count = 0;
        while self.context.recorded::<Failed>(&format!("{}{FAILED}{}", place.name, count + 1))?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// How long the step may still be tried.
    fn left(&self, step: &Step, place: &Place) -> Option<Duration> {
        step.deadline.map(|deadline| place.began_at.after(deadline).since(self.recipes.clock.now()))
    }

    /// What an expression may say of a failure: among it when another try would be worth it, if ever.
    fn error(&self, place: &Place, failure: &Failure) -> Result<Value, Failure> {
        let job = self.context.job();
        let failures = job.life.failures + self.failures(place)?;
        let retry_at = match failure.retry {
            Retry::Postpone(millis) => Some(Duration::from_millis(millis.into())),
            Retry::After(wait) => Some(wait),
            Retry::Backoff => Some(job.spec.backoff.wait(failures.max(1), None, Dice(u32::MAX))),
            Retry::Never => None,
        };
        let retry_at = retry_at.map(|wait| self.recipes.clock.now().after(wait).to_string());
        let detail = &failure.problem.detail;
        Ok(json!({ "name": failure.problem.name(), "detail": detail, "retry_at": retry_at }))
    }

    /// A failure that says in which step it was.
    fn told(&self, step: &Step, mut failure: Failure) -> Failure {
        failure.problem.detail = format!("step `{}`: {}", step.name, failure.problem.detail);
        failure
    }
}

/// Whether a step is tried again.
enum Again {
    /// It is, when the job is run again.
    Later(Failure),
    /// It is not.
    Never(Failure),
}

//! What the log of a job records of its recipe's steps, and what there is to tell of them.

use raincheck_core::{State, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Recipe;

/// Recorded when a step begins, under its name and this.
pub const BEGAN: &str = "/began";
/// Recorded of a call of an upstream that served, behind the name of what called it.
const SERVED: &str = "/served";
/// Recorded of each try that failed, before its number, by steps that count them.
pub const FAILED: &str = "/failed ";

/// When a step began.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Began {
    /// Then.
    pub began_at: Time,
}

/// What is recorded of a step that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub state: How,
    /// When it began, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    /// When it ended.
    pub ended_at: Time,
    /// Why its result is a lesser one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// What it gave.
    pub result: Value,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// As it should.
    Completed,
    /// Its condition did not hold.
    Skipped,
    /// It failed, and something else stands in its place.
    Degraded,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stands {
    /// It has not begun, or is to be tried again.
    Waiting,
    /// It is under way.
    Running,
    /// It has ended as it should.
    Completed,
    /// It was left out, or never came to be done.
    Skipped,
    /// It failed, and something else stands in its place.
    Degraded,
    /// The job ended before it had ended well.
    Failed,
}

/// A step as people want to see it.
#[derive(Clone, Debug)]
pub struct StepFacts {
    /// Its name in the recipe.
    pub name: String,
    /// What sort of work.
    pub kind: String,
    /// How it stands.
    pub state: Stands,
    /// When it first began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// How many tries failed, of a step that counts them.
    pub failures: usize,
    /// Of a loop, how many items are done.
    pub items: Option<usize>,
    /// What the upstreams took that it called.
    pub usage: Option<Usage>,
    /// Why its result is a lesser one.
    pub error: Option<Value>,
    /// What it gave.
    pub result: Option<Value>,
}

/// What calls of upstreams took together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// How many served.
    pub calls: u64,
    /// For so many seconds.
    pub seconds: f64,
    /// Tokens that were read.
    pub input_tokens: u64,
    /// Tokens that were written.
    pub output_tokens: u64,
    /// In the currency of the prices that are configured; nothing if there are none.
    pub cost: Option<f64>,
}

impl Recipe {
    /// How each step of a job of this recipe stands, given what is recorded and the state that the job is in.
    #[must_use]
    pub fn steps_of(&self, records: &[(String, Value)], job: State) -> Vec<StepFacts> {
        let named = |name: &str| records.iter().find(|(of, _)| of == name).map(|(_, record)| record);
        let facts = self.steps.iter().map(|step| {
            let own: Vec<&(String, Value)> = records.iter().filter(|(name, _)| is_part(name, &step.name)).collect();
            let began: Option<Began> = named(&format!("{}{BEGAN}", step.name)).and_then(read);
            let ended: Option<Ended> = named(&step.name).and_then(read);
            let failed = |(name, _): &&&(String, Value)| name.contains(FAILED);
            let is_item =
                |(name, _): &&&(String, Value)| name.starts_with(&format!("{}[", step.name)) && name.ends_with(']');
            StepFacts {
                name: step.name.clone(),
                kind: step.call.kind.to_string(),
                state: stands(ended.as_ref(), began.is_some(), job),
                started_at: began.map(|began| began.began_at),
                finished_at: ended.as_ref().map(|ended| ended.ended_at),
                failures: own.iter().filter(failed).count(),
                items: step.for_each.as_ref().map(|_| own.iter().filter(is_item).count()),
                usage: usage(&own),
                error: ended.as_ref().and_then(|ended| ended.error.clone()),
                result: ended.filter(|ended| ended.state != How::Skipped).map(|ended| ended.result),
            }
        });
        facts.collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(record: &Value) -> Option<T> {
    T::deserialize(record).ok()
}

/// Whether a record is that of a step or of a part of it.
fn is_part(name: &str, step: &str) -> bool {
    name.strip_prefix(step).is_some_and(|rest| rest.starts_with(['/', '[']))
}

fn stands(ended: Option<&Ended>, has_begun: bool, job: State) -> Stands {
    match (ended.map(|ended| ended.state), has_begun, job) {
        (Some(How::Completed), ..) => Stands::Completed,
        (Some(How::Skipped), ..) => Stands::Skipped,
        (Some(How::Degraded), ..) => Stands::Degraded,
        (None, true, State::Running) => Stands::Running,
        (None, true, job) if job.is_final() => Stands::Failed,
        (None, false, job) if job.is_final() => Stands::Skipped,
        _ => Stands::Waiting,
    }
}

/// What the calls took of which there are bills.
fn usage(records: &[&(String, Value)]) -> Option<Usage> {
    let bills = records.iter().filter(|(name, _)| name.ends_with(SERVED)).map(|(_, bill)| bill);
    bills.fold(None, |sum: Option<Usage>, bill| {
        let sum = sum.unwrap_or_default();
        let whole = |name: &str| bill[name].as_u64().unwrap_or(0);
        Some(Usage {
            calls: sum.calls + 1,
            seconds: ((sum.seconds + bill["seconds"].as_f64().unwrap_or(0.0)) * 1e3).round() / 1e3,
            input_tokens: sum.input_tokens + whole("input_tokens"),
            output_tokens: sum.output_tokens + whole("output_tokens"),
            cost: bill["cost"].as_f64().map_or(sum.cost, |cost| Some(sum.cost.unwrap_or(0.0) + cost)),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    const RECIPE: &str = r#"
name = "it"
[route]
post = "/it"
[steps.a]
kind = "llm.chat"
[steps.each]
kind = "llm.chat"
for_each = "[1, 2]"
[steps.last]
kind = "echo"
"#;

    #[test]
    fn what_is_recorded_says_how_each_step_stands_and_what_it_took() {
        let recipe = Recipe::read(Path::new("it.toml"), RECIPE).unwrap();
        let (began, at) = (json!({ "began_at": "2026-01-01T00:00:00.000Z" }), "2026-01-01T00:00:02.000Z");
        let bill = |cost: Option<f64>| json!({ "upstream": "u", "model": "m", "seconds": 1.5, "input_tokens": 3, "output_tokens": 4, "cost": cost });
        let mut records = vec![
            ("a/began".to_owned(), began.clone()),
            ("a/failed 1".to_owned(), json!({ "at": at, "detail": "no" })),
            ("a/served".to_owned(), bill(Some(0.5))),
            (
                "a".to_owned(),
                json!({ "state": "degraded", "began_at": at, "ended_at": at, "error": { "name": "x" }, "result": 7 }),
            ),
            ("each/began".to_owned(), began),
            ("each[0]/served".to_owned(), bill(None)),
            ("each[0]".to_owned(), json!({ "state": "completed", "result": 1 })),
            ("each[1]/served".to_owned(), bill(None)),
        ];
        let stands = |records: &[(String, Value)], job| {
            let steps = recipe.steps_of(records, job);
            (steps.iter().map(|step| step.state).collect::<Vec<_>>(), steps)
        };
        let (states, steps) = stands(&records, State::Running);
        assert_eq!(states, [Stands::Degraded, Stands::Running, Stands::Waiting]);
        assert_eq!((steps[0].failures, steps[0].items, steps[1].items), (1, None, Some(1)));
        assert_eq!((steps[0].usage.clone().unwrap().cost, steps[0].result.clone()), (Some(0.5), Some(json!(7))));
        let both = Usage { calls: 2, seconds: 3.0, input_tokens: 6, output_tokens: 8, cost: None };
        assert_eq!((steps[1].usage.as_ref(), steps[2].usage.as_ref()), (Some(&both), None));
        assert_eq!(stands(&records, State::Waiting).0[1], Stands::Waiting);
        assert_eq!(stands(&records, State::Failed).0, [Stands::Degraded, Stands::Failed, Stands::Skipped]);
        records.push(("each".to_owned(), json!({ "state": "skipped", "ended_at": at, "result": null })));
        assert_eq!(stands(&records, State::Running).0[1], Stands::Skipped);
    }
}

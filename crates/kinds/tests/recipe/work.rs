use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Problem, ProblemType, Progress, Retry};
use raincheck_engine::{About, Context, Failure, Handler};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

/// Work that does what it is told, and is looked at.
pub(super) struct Work {
    kind: &'static str,
    worked: Arc<Worked>,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Worked {
    calls: Mutex<Vec<Call>>,
    under_way: Mutex<(usize, usize)>,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// As it was told to be called.
    pub(super) name: String,
    /// What it is called wherever it must not be done twice.
    pub(super) key: String,
    pub(super) began: Instant,
}

/// What it is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    name: String,
    #[serde(default)]
    seconds: f64,
    /// So many of the first calls of this name fail.
    #[serde(default)]
    fails: usize,
    /// How: `backoff`, `never`, `after` or `postpone`.
    #[serde(default)]
    how: String,
    /// After how many seconds it wants to be tried again.
    #[serde(default)]
    wait: u64,
    /// What it says piece by piece.
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    percents: Vec<f64>,
}

impl Work {
    pub(super) fn new(kind: &'static str, worked: Arc<Worked>) -> Self {
        Self { kind, worked }
    }
}

impl Worked {
    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The names of the calls, in the order in which they began.
    pub(super) fn names(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.name).collect()
    }

    /// How many were under way at once.
    pub(super) fn peak(&self) -> usize {
        self.under_way.lock().unwrap().1
    }

    /// Notes a call; gives how many of this name there were.
    fn note(&self, name: &str, context: &Context) -> usize {
        let mut calls = self.calls.lock().unwrap();
        calls.push(Call { name: name.to_owned(), key: context.key(), began: Instant::now() });
        calls.iter().filter(|call| call.name == name).count()
    }

    fn under_way(&self, by: isize) {
        let mut under_way = self.under_way.lock().unwrap();
        under_way.0 = under_way.0.checked_add_signed(by).unwrap();
        under_way.1 = under_way.1.max(under_way.0);
    }
}

#[async_trait]
impl Handler for Work {
    fn about(&self) -> About {
        About::new(self.kind.parse().unwrap(), "Work of a test.", json!(true).into())
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let told: Result<Told, _> = input.parse();
        told.map(drop).map_err(|error| Problem::new(ProblemType::INVALID_INPUT, error.to_string()).at("/input/name"))
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let told: Told = input.parse().unwrap();
        let number = self.worked.note(&told.name, &context);
        self.worked.under_way(1);
        for percent in told.percents {
            context.progress(Progress::percent(percent, format!("{} at {percent}", told.name)));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for text in told.says {
            context.emit(json!({ "choices": [{ "delta": { "content": text } }] }).into()).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(told.seconds)) => {}
            _ = context.cancelled() => return Err(Failure::cancelled()),
        }
        self.worked.under_way(-1);
        if number > told.fails {
            return Ok(json!({ "name": told.name, "call": number }).into());
        }
        let wait = Duration::from_secs(told.wait);
        let problem = Problem::new(ProblemType::UPSTREAM_CLOSED, format!("{} would not", told.name));
        Err(match told.how.as_str() {
            "never" => Failure::fatal(problem),
            "after" => Failure { problem, retry: Retry::After(wait) },
            "postpone" => Failure::postponed(problem, wait),
            _ => Failure { problem, retry: Retry::Backoff },
        })
    }
}

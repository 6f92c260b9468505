use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use minijinja::Value as Computed;
use minijinja::value::Object;
use serde_json::{Value, json};

/// What expressions can name: `input`, `steps`, `job`, and inside a loop `item` and `index`.
#[derive(Clone, Debug, Default)]
pub struct Scope(BTreeMap<&'static str, Computed>);

/// Under what the maker of links is kept: no expression can name it.
const LINKS: &str = "(links)";

/// Makes the address of a file by its id, good for so long at least; nothing if that is the id of none.
pub type LinkTo = dyn Fn(&str, Duration) -> Option<String> + Send + Sync;

/// A maker of links, as expressions carry it.
pub(crate) struct Links(Box<LinkTo>);

impl Links {
    /// The address of a file.
    pub(crate) fn to(&self, file: &str, life: Duration) -> Option<String> {
        (self.0)(file, life)
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links")
    }
}

impl Object for Links {}

/// What makes links where an expression is computed, if anything does there.
pub(crate) fn links(state: &minijinja::State<'_, '_>) -> Option<Arc<Links>> {
    state.lookup(LINKS)?.downcast_object::<Links>()
}

/// What there is to say of a job.
#[derive(Clone, Debug, Default)]
pub struct JobFacts {
    /// `job_` and 32 hexadecimal digits.
    pub id: String,
    /// The same digits as a UUID is written.
    pub uuid: String,
    /// The state, as the API names it.
    pub state: String,
    /// While it waits to be claimed: its place in the line, from 1.
    pub position: Option<usize>,
    /// How far it is, 0 to 100.
    pub percent: f64,
    /// How many of `total` are done.
    pub current: Option<u64>,
    /// How many there are to do.
    pub total: Option<u64>,
    /// What is being done.
    pub message: String,
    /// The number of the current or last attempt.
    pub attempt: u32,
    /// What it gave.
    pub result: Option<Value>,
    /// Why it gave nothing: the problem as the API tells it.
    pub error: Option<Value>,
    /// When it was accepted, started and ended, if it did.
    pub times: [Option<String>; 3],
}

impl Scope {
    /// A scope that holds an input.
    #[must_use]
    pub fn of_input(input: &Value) -> Self {
        Self::default().with_input(input)
    }

    /// With an input.
    #[must_use]
    pub fn with_input(self, input: &Value) -> Self {
        self.with("input", input)
    }

    /// With the results of steps so far, by name; of those that were left out, nothing.
    #[must_use]
    pub fn with_steps(self, steps: &BTreeMap<String, Value>) -> Self {
        self.with("steps", &json!(steps))
    }

    /// In a loop: at this item.
    #[must_use]
    pub fn at_item(self, item: &Value, index: usize) -> Self {
        self.with("item", item).with("index", &json!(index))
    }

    /// With the job.
    #[must_use]
    pub fn with_job(self, job: &JobFacts) -> Self {
        let [created_at, started_at, finished_at] = &job.times;
        let facts = json!({
            "id": job.id,
            "uuid": job.uuid,
            "state": job.state,
            "position": job.position,
            "progress": { "percent": job.percent, "current": job.current, "total": job.total, "message": job.message },
            "attempt": job.attempt,
            "result": job.result,
            "error": job.error,
            "created_at": created_at,
            "started_at": started_at,
            "finished_at": finished_at,
        });
        self.with("job", &facts)
    }

    /// With what went wrong in a step.
    #[must_use]
    pub fn with_error(self, error: &Value) -> Self {
        self.with("error", error)
    }

    /// With the conversation that the job belongs to.
    #[must_use]
    pub fn with_conversation(self, conversation: &Value) -> Self {
        self.with("conversation", conversation)
    }

    /// With what the job gives.
    #[must_use]
    pub fn with_result(self, result: &Value) -> Self {
        self.with("result", result)
    }

    /// With whether anything was replaced by something lesser.
    #[must_use]
    pub fn with_degraded(self, degraded: bool) -> Self {
        self.with("degraded", &json!(degraded))
    }

    /// With why a request was refused.
    #[must_use]
    pub fn with_problem(self, problem: &Value) -> Self {
        self.with("problem", problem)
    }

    /// With a message of a conversation.
    #[must_use]
    pub fn with_message(self, message: &Value) -> Self {
        self.with("message", message)
    }

    /// Where files have addresses that this makes.
    #[must_use]
    pub fn with_links(mut self, to: Box<LinkTo>) -> Self {
        self.0.insert(LINKS, Computed::from_object(Links(to)));
        self
    }

    /// With the jobs of a list, as its items tell them.
    #[must_use]
    pub fn with_jobs(self, jobs: &Value) -> Self {
        self.with("jobs", jobs)
    }

    fn with(mut self, name: &'static str, value: &Value) -> Self {
        self.0.insert(name, computed(value));
        self
    }

    pub(crate) fn values(&self) -> Computed {
        Computed::from_pairs(self.0.iter().map(|(name, value)| (*name, value.clone())))
    }
}

/// A value as expressions see it.
pub(crate) fn computed(value: &Value) -> Computed {
    match value {
        Value::Null => Computed::from(()),
        Value::Bool(flag) => Computed::from(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Computed::from(whole),
            (None, Some(whole)) => Computed::from(whole),
            (None, None) => Computed::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Computed::from(text.as_str()),
        Value::Array(items) => items.iter().map(computed).collect(),
        Value::Object(entries) => {
            Computed::from_pairs(entries.iter().map(|(name, value)| (name.as_str(), computed(value))))
        }
    }
}

/// The names that expressions may use of a job, for checking.
pub(crate) const JOB_FACTS: [&str; 11] = [
    "id",
    "uuid",
    "state",
    "position",
    "progress",
    "attempt",
    "result",
    "error",
    "created_at",
    "started_at",
    "finished_at",
];

use std::collections::BTreeMap;

use raincheck_core::{Problem, Progress, State, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{length, moment, relative, result, table};
use crate::console::{Paint, harmless};
use crate::exit::Exit;

/// A job as the server tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) state: State,
    pub(crate) queue: String,
    pub(crate) priority: String,
    pub(crate) tenant: String,
    concurrency_key: Option<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) progress: Progress,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    #[serde(default)]
    cancel_requested: bool,
    pub(crate) created_at: Time,
    run_at: Time,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    deadline: Option<Time>,
    expires_at: Option<Time>,
    position: Option<u64>,
    estimated_start_at: Option<Time>,
    retry_of: Option<String>,
    parent: Option<String>,
    webhook: Option<String>,
    result: Option<Box<RawValue>>,
    error: Option<Problem>,
}

impl Job {
    /// What following it to this state means to whoever asked.
    pub(crate) fn exit(&self) -> Exit {
        match self.state {
            State::Completed => Exit::Success,
            State::Failed => Exit::Failed,
            State::Cancelled => Exit::Cancelled,
            State::Expired => Exit::Expired,
            _ => Exit::NotFinished,
        }
    }

    /// Its labels, as they are given on the command line.
    pub(crate) fn labels(&self) -> String {
        let pairs: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        harmless(&pairs.join(" "))
    }

    /// How far it is, in a few words.
    pub(crate) fn done(&self) -> String {
        match (self.state, &self.progress) {
            (State::Completed, _) => String::new(),
            (_, Progress { percent, message, .. }) if *percent > 0.0 || !message.is_empty() => {
                format!("{percent:.0} %  {}", harmless(message)).trim_end().to_owned()
            }
            _ => String::new(),
        }
    }

    /// In a line, for the end of a command.
    pub(crate) fn line(&self, paint: Paint, now: Time) -> String {
        let mut line = format!("{}  {}", paint.bold(&self.id), colour(self.state)(paint, self.state.as_str()));
        if let (State::Scheduled | State::Waiting, at) = (self.state, self.run_at) {
            line.push_str(&paint.dim(&format!("  runs {}", relative(at, now))));
        }
        if let Some(position) = self.position.filter(|position| *position > 1) {
            line.push_str(&paint.dim(&format!("  place {position} in the line")));
        }
        line
    }

    /// Everything there is to know of it.
    pub(crate) fn page(&self, paint: Paint, now: Time) -> String {
        let mut rows: Vec<(&str, String)> = vec![("kind", self.kind.clone())];
        rows.push(("queue", format!("{}  {}", self.queue, self.priority)));
        rows.push(("tenant", self.tenant.clone()));
        let mut some = |name: &'static str, value: Option<String>| {
            rows.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
        };
        some("in turn", self.concurrency_key.as_deref().map(harmless));
        some("labels", Some(self.labels()));
        some("attempt", (self.attempt > 0).then(|| format!("{} of {}", self.attempt, self.max_attempts)));
        some("progress", Some(self.done()));
        some("place", self.position.map(|position| format!("{position} in the line")));
        some("starts", self.estimated_start_at.map(|at| format!("{} or so", moment(at, now))));
        some("stopping", self.cancel_requested.then(|| "asked to stop".to_owned()).filter(|_| !self.state.is_final()));
        some("created", Some(moment(self.created_at, now)));
        some("started", self.started_at.map(|at| moment(at, now)));
        some("finished", self.finished_at.map(|at| format!("{}{}", moment(at, now), self.took())));
        some("deadline", self.deadline.map(|at| moment(at, now)));
        some("forgotten", self.expires_at.map(|at| moment(at, now)));
        some("anew of", self.retry_of.clone());
        some("follows up", self.parent.clone());
        some("webhook", self.webhook.as_deref().map(harmless));
        let mut parts = vec![self.line(paint, now), table::pairs(&rows, paint)];
        parts.extend(self.outcome(paint));
        parts.join("\n")
    }

    fn took(&self) -> String {
        let took = self.started_at.zip(self.finished_at).map(|(started, finished)| finished.since(started));
        took.map(|took| format!(", after {}", length(took))).unwrap_or_default()
    }

    /// How it ended, for the end of what is shown of it.
    pub(crate) fn outcome(&self, paint: Paint) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(format!("\n{}", problem(error, paint)));
        }
        self.result.as_ref().map(|value| format!("\n{}", result(&self.kind, value.get(), paint)))
    }
}

/// A problem that a job ended with.
pub(crate) fn problem(error: &Problem, paint: Paint) -> String {
    let mut text = format!("  {} {}", paint.red(&format!("{}:", harmless(&error.title))), harmless(&error.detail));
    if let Some(pointer) = &error.pointer {
        text.push_str(&format!("\n    at: {}", harmless(pointer)));
    }
    text
}

/// The colour of a state.
pub(crate) fn colour(state: State) -> fn(Paint, &str) -> String {
    match state {
        State::Scheduled | State::Queued => Paint::cyan,
        State::Running => Paint::blue,
        State::Waiting | State::Expired | State::Cancelled => Paint::yellow,
        State::Completed => Paint::green,
        State::Failed => Paint::red,
    }
}

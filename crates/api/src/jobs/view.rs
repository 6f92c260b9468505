use std::borrow::Cow;

use raincheck_core::{
    ConcurrencyKey, ConversationId, Job, JobId, Json, Kind, Labels, MessageId, Outcome, Priority, Problem, ProblemType,
    Progress, QueueName, State, StepRecord, Tenant, Time, Turn,
};
use raincheck_recipes::{Stands, StepFacts, Usage};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::api::Api;

/// A job as its readers see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobView<'a> {
    /// Its name.
    #[schemars(with = "String", extend("pattern" = "^job_[0-9a-f]{32}$"))]
    id: JobId,
    /// What sort of work.
    #[schemars(with = "String")]
    kind: &'a Kind,
    /// Where it is in its life; the last four are final.
    #[schemars(with = "StateSchema")]
    state: State,
    /// Where it waits.
    #[schemars(with = "String")]
    queue: &'a QueueName,
    /// How urgent it is within the queue: P0 (first) to P9 (last).
    #[schemars(with = "String", extend("pattern" = "^P[0-9]$"))]
    priority: Priority,
    /// Of the tenant's jobs with this key no more than one is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    concurrency_key: Option<&'a ConcurrencyKey>,
    /// Whose it is.
    #[schemars(with = "String")]
    tenant: &'a Tenant,
    /// Free words to find it by.
    labels: &'a Labels,
    /// How far the current attempt is.
    #[schemars(with = "ProgressSchema")]
    progress: Cow<'a, Progress>,
    /// The number of the current or last attempt; 0 before the first.
    attempt: u32,
    /// How many attempts failed.
    failures: u32,
    /// How often it may fail before it has failed.
    max_attempts: u32,
    /// Its steps, in order. Left out of lists and of the answer to a submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepView>>,
    /// Somebody asked the running attempt to stop.
    cancel_requested: bool,
    /// When it was accepted.
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: Time,
    /// Not before this.
    #[schemars(with = "String", extend("format" = "date-time"))]
    run_at: Time,
    /// When the first attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    finished_at: Option<Time>,
    /// After this it is not started any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    deadline: Option<Time>,
    /// When it is forgotten, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires_at: Option<Time>,
    /// While it waits to be claimed: its place in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// While it waits: about when it will start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    estimated_start_at: Option<Time>,
    /// The ended job that this one does anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    retry_of: Option<JobId>,
    /// The job that asked for this one when it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    parent: Option<JobId>,
    /// The turn of a conversation that it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<TurnView>,
    /// Who is told when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<&'a str>,
    /// What it gave. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    result: Option<&'a Json>,
    /// Why it gave nothing. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ErrorSchema>")]
    error: Option<Cow<'a, Problem>>,
    /// Where to go from here.
    links: Links<'a>,
}

/// The words for the states of a job.
#[derive(JsonSchema)]
#[schemars(rename = "State", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of raincheck_core::State, which knows no schemas")]
pub(crate) enum StateSchema {
    Scheduled,
    Queued,
    Running,
    Waiting,
    Completed,
    Failed,
    Cancelled,
    Expired,
}

/// How far a job is.
#[derive(JsonSchema)]
#[schemars(rename = "Progress")]
#[expect(dead_code, reason = "the schema of raincheck_core::Progress, which knows no schemas")]
pub(crate) struct ProgressSchema {
    /// 0 to 100. Never falls within an attempt.
    #[schemars(range(min = 0, max = 100))]
    percent: f64,
    /// How many of `total` are done.
    #[schemars(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    /// How many there are to do.
    #[schemars(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// What is being done, for people.
    #[schemars(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Why a job gave nothing.
#[derive(JsonSchema)]
#[schemars(rename = "JobError")]
#[expect(dead_code, reason = "the schema of raincheck_core::Problem, which knows no schemas")]
pub(crate) struct ErrorSchema {
    /// Stable name of the sort of problem: a URN.
    r#type: String,
    /// The sort of problem in a few words.
    title: String,
    /// What went wrong.
    detail: String,
    /// Where in the request: a JSON pointer.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
}

/// The part of a conversation that a job gives.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Turn")]
struct TurnView {
    /// The conversation.
    #[schemars(with = "String")]
    conversation: ConversationId,
    /// What the user said.
    #[schemars(with = "String")]
    message: MessageId,
    /// The answer, which is `processing` until the job has ended.
    #[schemars(with = "String")]
    answer: MessageId,
}

impl From<Turn> for TurnView {
    fn from(Turn { conversation, message, answer, .. }: Turn) -> Self {
        Self { conversation, message, answer }
    }
}

/// A part of a job. Of a job of a recipe every step is there, and how it stands; of others those whose result is recorded. What
/// is recorded is not done again in later attempts.
#[derive(Serialize, JsonSchema, Default)]
#[schemars(rename = "Step")]
pub(crate) struct StepView {
    /// Unique within the job.
    name: String,
    /// Of a recipe: what sort of work.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Of a recipe: how it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<StandsSchema>")]
    state: Option<Stands>,
    /// When it first began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    finished_at: Option<Time>,
    /// How many tries failed, if it counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<usize>,
    /// Of a loop: how many items are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<usize>,
    /// What its calls of upstreams took together.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageView>,
    /// Why something else stands in the place of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<serde_json::Value>,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    result: Option<Json>,
}

/// How a step of a recipe stands.
#[derive(JsonSchema)]
#[schemars(rename = "StepState", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of raincheck_recipes::Stands, which knows no schemas")]
enum StandsSchema {
    Waiting,
    Running,
    Completed,
    Skipped,
    Degraded,
    Failed,
}

/// What calls of upstreams took together.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
struct UsageView {
    /// How many calls served.
    calls: u64,
    /// For so many seconds.
    seconds: f64,
    /// Tokens that were read.
    input_tokens: u64,
    /// Tokens that were written.
    output_tokens: u64,
    /// In the currency of the prices that are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
}

impl From<StepRecord> for StepView {
    fn from(StepRecord { name, result }: StepRecord) -> Self {
        Self { name, result: Some(result), ..Self::default() }
    }
}

impl From<StepFacts> for StepView {
    fn from(step: StepFacts) -> Self {
        let usage = step.usage.map(|Usage { calls, seconds, input_tokens, output_tokens, cost }| UsageView {
            calls,
            seconds,
            input_tokens,
            output_tokens,
            cost,
        });
        Self {
            name: step.name,
            kind: Some(step.kind),
            state: Some(step.state),
            started_at: step.started_at,
            finished_at: step.finished_at,
            failures: Some(step.failures).filter(|failures| *failures > 0),
            items: step.items,
            usage,
            error: step.error,
            result: step.result.map(Json::from),
        }
    }
}

/// Where to go from a job.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Links<'a> {
    /// The job.
    #[serde(rename = "self")]
    #[schemars(with = "String")]
    job: Link<'a>,
    /// Its bare result.
    #[schemars(with = "String")]
    result: Link<'a>,
    /// Its log.
    #[schemars(with = "String")]
    events: Link<'a>,
    /// To cancel it, until it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    cancel: Option<Link<'a>>,
    /// To do it anew, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    retry: Option<Link<'a>>,
    /// How far its webhook is, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    webhook: Option<Link<'a>>,
}

struct Link<'a>(&'a str, JobId, &'static str);

impl Serialize for Link<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/v1/jobs/{}{}", self.0, self.1, self.2))
    }
}

impl<'a> JobView<'a> {
    /// A job as it is now, with its place in the line.
    pub(crate) fn new(job: &'a Job, api: &'a Api) -> Self {
        let engine = &api.engine;
        let now = engine.clock().now();
        let view = Self::without_place(job, now, &api.settings.path);
        match view.state {
            State::Queued => {
                let place = engine.place(job);
                let position = place.map(|(place, _)| place.ahead + 1);
                Self { position, estimated_start_at: place.map(|(_, wait)| now.after(wait)), ..view }
            }
            State::Scheduled | State::Waiting => Self { estimated_start_at: Some(job.life.run_at), ..view },
            _ => view,
        }
    }

    /// With its steps.
    pub(crate) fn with_steps(self, steps: Vec<StepView>) -> Self {
        Self { steps: Some(steps), ..self }
    }

    /// A job as it is at `now`, without its place in the line, which takes a look at the others. Its links
    /// begin with `path`.
    pub(crate) fn without_place(job: &'a Job, now: Time, path: &'a str) -> Self {
        let Job { id, spec, life, outcome } = job;
        let state = life.state_at(now);
        Self {
            id: *id,
            kind: &spec.kind,
            state,
            queue: &spec.queue,
            priority: spec.priority,
            concurrency_key: spec.concurrency_key.as_ref(),
            tenant: &spec.tenant,
            labels: &spec.labels,
            progress: progress(life.progress.as_ref(), state),
            attempt: life.attempt,
            failures: life.failures,
            max_attempts: spec.max_attempts,
            steps: None,
            cancel_requested: life.cancel_requested,
            created_at: spec.created_at,
            run_at: life.run_at,
            started_at: life.started_at,
            finished_at: life.finished_at,
            deadline: spec.deadline,
            expires_at: life.expires_at,
            position: None,
            estimated_start_at: None,
            retry_of: spec.retry_of,
            parent: spec.parent,
            turn: spec.turn.map(TurnView::from),
            webhook: spec.webhook.as_ref().map(|webhook| &*webhook.url),
            result: match outcome {
                Some(Outcome::Completed(result)) => Some(result),
                _ => None,
            },
            error: outcome.as_ref().and_then(error),
            links: Links {
                job: Link(path, *id, ""),
                result: Link(path, *id, "/result"),
                events: Link(path, *id, "/events"),
                cancel: (!state.is_final()).then_some(Link(path, *id, "/cancel")),
                retry: state.is_final().then_some(Link(path, *id, "/retry")),
                webhook: spec.webhook.is_some().then_some(Link(path, *id, "/webhook")),
            },
        }
    }

    /// About how long until there is something new to see of a job that waits or runs.
    pub(crate) fn estimated_wait(&self, now: Time) -> std::time::Duration {
        self.estimated_start_at.map_or(std::time::Duration::ZERO, |at| at.since(now))
    }
}

/// A job that has completed is all done, whatever its handler said last.
fn progress(last: Option<&Progress>, state: State) -> Cow<'_, Progress> {
    match (last, state) {
        (Some(last), State::Completed) => Cow::Owned(Progress { percent: 100.0, ..last.clone() }),
        (Some(last), _) => Cow::Borrowed(last),
        (None, State::Completed) => Cow::Owned(Progress { percent: 100.0, ..Progress::default() }),
        (None, _) => Cow::Owned(Progress::default()),
    }
}

/// Why a job gave no result; `None` if it gave one.
pub(crate) fn error(outcome: &Outcome) -> Option<Cow<'_, Problem>> {
    match outcome {
        Outcome::Completed(_) => None,
        Outcome::Failed(problem) => Some(Cow::Borrowed(problem)),
        Outcome::Cancelled(reason) => {
            let detail =
                reason.as_ref().map_or_else(|| "it was cancelled".into(), |why| format!("it was cancelled: {why}"));
            Some(Cow::Owned(Problem::new(ProblemType::JOB_CANCELLED, detail)))
        }
        Outcome::Expired => {
            let detail = "its deadline passed before it was done; submit it again with a later one";
            Some(Cow::Owned(Problem::new(ProblemType::JOB_EXPIRED, detail)))
        }
    }
}

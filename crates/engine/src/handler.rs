use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Backoff, Json, Kind, Lane, Openings, Problem, ProblemType, Retry, Tenant};

use crate::Context;

/// Runs the jobs of one kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What it does and how it wants to be run.
    fn about(&self) -> About;

    /// Whether it would take this input: asked before a job is accepted, so it should answer within milliseconds.
    ///
    /// # Errors
    /// What is wrong with the input, where, and how to mend it.
    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let _ = input;
        Ok(())
    }

    /// As [`Handler::check`], for kinds whose input names what belongs to a tenant. This is what is asked.
    ///
    /// # Errors
    /// As of [`Handler::check`].
    async fn check_for(&self, tenant: &Tenant, input: &Json) -> Result<(), Problem> {
        let _ = tenant;
        self.check(input).await
    }

    /// The upstream that a job with this input needs, if it needs one: asked once, when the job is accepted. Its jobs wait
    /// until [`Handler::openings`] has room for them.
    fn lane(&self, input: &Json) -> Option<Lane> {
        let _ = input;
        None
    }

    /// How many more jobs of each lane could be run right now: asked before jobs are claimed, so that none holds a lease, a
    /// place or a connection while its upstream would not take it.
    fn openings(&self) -> Openings {
        Openings::default()
    }

    /// Does the work and gives the result. May run more than once for a job: what must not be done twice belongs in
    /// [`Context::step`]. Must not block the thread; work that does is a [`crate::BlockingHandler`].
    ///
    /// # Errors
    /// What went wrong, and whether another attempt might succeed.
    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure>;
}

/// What a kind is and how its jobs are run unless they ask otherwise.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name.
    pub kind: Kind,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// JSON Schema of the input.
    pub input_schema: Json,
    /// How often a job may fail before it has failed.
    pub max_attempts: u32,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// How many attempts run at once.
    pub concurrency: usize,
}

impl About {
    /// The usual: 3 attempts of up to 20 minutes, 256 at once.
    #[must_use]
    pub fn new(kind: Kind, summary: &'static str, input_schema: Json) -> Self {
        Self {
            kind,
            summary,
            input_schema,
            max_attempts: 3,
            timeout: Duration::from_secs(20 * 60),
            backoff: Backoff::default(),
            concurrency: 256,
        }
    }
}

/// Why an attempt failed, and whether another might succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub problem: Problem,
    /// Whether to try again.
    pub retry: Retry,
}

impl Failure {
    /// It would fail again.
    #[must_use]
    pub fn fatal(problem: Problem) -> Self {
        Self { problem, retry: Retry::Never }
    }

    /// It may go better next time. Takes text or an error, so that `map_err(Failure::transient)` does for most.
    #[must_use]
    pub fn transient(detail: impl fmt::Display) -> Self {
        Self { retry: Retry::Backoff, ..Self::permanent(detail) }
    }

    /// It would fail again, for a reason that has no [`ProblemType`] of its own. Takes text or an error.
    #[must_use]
    pub fn permanent(detail: impl fmt::Display) -> Self {
        // Some errors tell in this form what caused them, and text does not mind.
        Self::fatal(Problem::new(ProblemType::HANDLER_FAILED, format!("{detail:#}")))
    }

    /// What it needs is closed, through no fault of the job: tried again after `wait`, at no cost to it.
    #[must_use]
    pub fn postponed(problem: Problem, wait: Duration) -> Self {
        Self { problem, retry: Retry::Postpone(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)) }
    }

    /// It was asked to stop; what becomes of the job is decided by whoever asked.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::transient("the attempt was asked to stop")
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::fatal(problem)
    }
}

/// The kinds that an engine accepts jobs of: those it has handlers for, and external ones, whose jobs are run by workers in
/// other processes.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<Kind, (About, Option<Arc<dyn Handler>>)>,
}

impl Registry {
    /// Adds a handler; it replaces an earlier one of the same kind.
    #[must_use]
    pub fn with(mut self, handler: impl Handler) -> Self {
        let about = handler.about();
        self.kinds.insert(about.kind.clone(), (about, Some(Arc::new(handler))));
        self
    }

    /// Adds an external kind; it replaces an earlier one of the same name.
    #[must_use]
    pub fn with_external(mut self, about: About) -> Self {
        self.kinds.insert(about.kind.clone(), (about, None));
        self
    }

    /// A kind, with its handler unless it is external.
    #[must_use]
    pub fn get(&self, kind: &Kind) -> Option<(&About, Option<&Arc<dyn Handler>>)> {
        self.kinds.get(kind).map(|(about, handler)| (about, handler.as_ref()))
    }

    /// Every kind, in order of name.
    pub fn kinds(&self) -> impl Iterator<Item = &About> {
        self.kinds.values().map(|(about, _)| about)
    }

    /// Whether jobs of this kind are run by workers in other processes.
    #[must_use]
    pub fn is_external(&self, kind: &Kind) -> bool {
        self.kinds.get(kind).is_some_and(|(_, handler)| handler.is_none())
    }
}

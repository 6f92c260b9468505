use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Job, Json, Problem, ProblemType, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::{About, Context, ConversationView, Failure, Handler, Stop, Submission};

/// How many inputs of one kind are checked at once; more wait for their turn.
pub const CHECKS_MAX: usize = 16;
/// How long a request waits until its input is checked: for its turn and for the check. After that it is refused as
/// `overloaded`. A check that hangs (a network file system that does not answer) keeps its thread until it ends, and with
/// [`CHECKS_MAX`] of those no input of the kind is taken.
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(5);

/// Runs the jobs of one kind with code that blocks: computing, reading files, calling C libraries. Each attempt has a
/// thread of its own, of which there are no more than [`About::concurrency`].
pub trait BlockingHandler: Send + Sync + 'static {
    /// What it does and how it wants to be run.
    fn about(&self) -> About;

    /// Whether it would take this input; see [`Handler::check`]. May block for milliseconds: there are no
    /// more than [`CHECKS_MAX`] at once, and none is waited for longer than [`CHECK_TIME_MAX`].
    ///
    /// # Errors
    /// What is wrong with the input, where, and how to mend it.
    fn check(&self, input: &Json) -> Result<(), Problem> {
        let _ = input;
        Ok(())
    }

    /// Does the work and gives the result; see [`Handler::run`]. Should look at [`BlockingContext::cancelled`] often: a thread
    /// cannot be ended from outside, and one that does not stop keeps its place.
    ///
    /// # Errors
    /// What went wrong, and whether another attempt might succeed.
    fn run(&self, context: &BlockingContext, input: Json) -> Result<Json, Failure>;
}

/// What a blocking handler has to do with the job it runs.
pub struct BlockingContext {
    context: Context,
    runtime: tokio::runtime::Handle,
}

impl BlockingContext {
    /// The job, as it was when the attempt started.
    #[must_use]
    pub fn job(&self) -> &Job {
        self.context.job()
    }

    /// Says how far the work is; see [`Context::progress`].
    pub fn progress(&self, progress: Progress) {
        self.context.progress(progress);
    }

    /// Whether the attempt has been asked to stop, by a cancel or otherwise.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.stop_reason().is_some()
    }

    /// Why the attempt has been asked to stop, if it has.
    #[must_use]
    pub fn stop_reason(&self) -> Option<Stop> {
        self.context.stop_reason()
    }

    /// Does a part of the work once; see [`Context::step`]. Blocks until the result is durable.
    ///
    /// # Errors
    /// As of [`Context::step`].
    pub fn step<T, F>(&self, name: &str, work: F) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Result<T, Failure>,
    {
        if let Some(result) = self.context.recorded(name)? {
            return Ok(result);
        }
        // Outside of the runtime, so that the work may emit, and block as it likes.
        let result = work()?;
        self.runtime.block_on(self.context.record(name, &result))?;
        Ok(result)
    }

    /// Asks for a job that follows this one up; see [`Context::follow_up`].
    ///
    /// # Errors
    /// As of [`Context::follow_up`].
    pub fn follow_up(&self, submission: Submission) -> Result<(), Failure> {
        self.runtime.block_on(self.context.follow_up(submission))
    }

    /// The conversation that the job has a turn of; see [`Context::conversation`].
    ///
    /// # Errors
    /// As of [`Context::conversation`].
    pub fn conversation(&self) -> Result<Option<ConversationView>, Failure> {
        self.runtime.block_on(self.context.conversation())
    }

    /// Says what the answer of the job's turn is; see [`Context::reply`].
    ///
    /// # Errors
    /// As of [`Context::reply`].
    pub fn reply(&self, content: Json) -> Result<(), Failure> {
        self.context.reply(content)
    }

    /// Adds a piece of output to the job's log; see [`Context::emit`]. Blocks while too much is not yet recorded.
    ///
    /// # Errors
    /// If the attempt has been asked to stop and no more output is taken.
    pub fn emit(&self, output: Json) -> Result<(), Failure> {
        self.runtime.block_on(self.context.emit(output))
    }
}

/// Makes a [`Handler`] of a [`BlockingHandler`].
pub struct Blocking<H> {
    handler: Arc<H>,
    /// Threads that still run, whether or not their attempts do.
    threads: Arc<tokio::sync::Semaphore>,
    /// Checks that may still be begun.
    checks: Arc<tokio::sync::Semaphore>,
}

impl<H: BlockingHandler> Blocking<H> {
    /// The same handler, to be run on threads of its own.
    #[must_use]
    pub fn new(handler: H) -> Self {
        let threads = Arc::new(tokio::sync::Semaphore::new(handler.about().concurrency));
        let checks = Arc::new(tokio::sync::Semaphore::new(CHECKS_MAX));
        Self { handler: Arc::new(handler), threads, checks }
    }
}

#[async_trait]
impl<H: BlockingHandler> Handler for Blocking<H> {
    fn about(&self) -> About {
        self.handler.about()
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let (handler, input, checks) = (Arc::clone(&self.handler), input.clone(), Arc::clone(&self.checks));
        let check = async {
            let permit = checks.acquire_owned().await;
            #[expect(
                clippy::disallowed_methods,
                reason = "so many at once, and its request waits no longer than it may"
            )]
            let checked = tokio::task::spawn_blocking(move || {
                // Held until the check has ended, also when nobody waits for it any more.
                let _permit = permit;
                handler.check(&input)
            });
            checked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        };
        tokio::time::timeout(CHECK_TIME_MAX, check).await.unwrap_or_else(|_| {
            let detail = format!(
                "the input could not be checked within {} s; what it names may be on a slow disk; come back after Retry-After",
                CHECK_TIME_MAX.as_secs()
            );
            Err(Problem::new(ProblemType::OVERLOADED, detail))
        })
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        // An attempt that did not stop when told to may still hold a thread.
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let permit = permit.map_err(|_| Failure::transient("the handler's threads are closed"))?;
        let (tell, told) = oneshot::channel();
        let handler = Arc::clone(&self.handler);
        let name = format!("job {}", context.job().spec.kind);
        let context = BlockingContext { context, runtime: tokio::runtime::Handle::current() };
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(|| handler.run(&context, input)));
            drop(permit);
            // Nobody listens if the attempt was abandoned meanwhile.
            let _ = tell.send(result);
        };
        let thread = std::thread::Builder::new().name(name).spawn(work);
        thread.map_err(|error| Failure::transient(format!("failed to start a thread: {error}")))?;
        match told.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => Err(Failure::transient("the handler's thread ended without a word")),
        }
    }
}

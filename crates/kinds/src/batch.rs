//! `llm.batch`: the calls of a file, line by line, in the form of OpenAI's batches.

mod calls;
mod file;
mod journal;
mod marks;
mod output;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use raincheck_blob::{Blobs, FileId};
use raincheck_core::{Json, Problem, ProblemType, Progress};
use raincheck_engine::{About, Context, Failure, Handler, Stop};
use raincheck_upstream::Upstreams;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::calling::ATTEMPTS;
use crate::input;
use file::{Calls, Mistake};
use journal::{Entry, Journal};
use marks::Sent;

pub use calls::{Called, Line, Lines};

/// Where a batch's lines may lead.
const ENDPOINTS: [&str; 4] = ["/v1/chat/completions", "/v1/embeddings", "/v1/images/generations", "/v1/responses"];
/// Lines of one batch under way at once; how many the upstream takes is its gate's affair.
const CONCURRENCY: usize = 16;
/// Lines that ended at the same time are recorded together, up to so many.
const RECORDED_AT_ONCE: usize = 64;
/// The longest that one attempt may take: longer than a batch may.
const TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a call that was not answered waits to be made again, at first; twice as long each time, five times.
const UNANSWERED_WAIT: Duration = Duration::from_millis(500);
/// Where the journals are, in the directory of the files.
const JOURNALS: &str = ".batches";
/// A journal that nobody has written to for so long belongs to no batch any more.
const JOURNAL_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The step that records how it all ended, and the one that records what is wrong with the file.
const OUTCOME: &str = "outcome";
const MISTAKES: &str = "mistakes";

/// Runs batches. What became of a line is durable before the batch goes on, so that no crash makes a call again whose answer
/// had come.
#[derive(Clone)]
pub struct Batch {
    blobs: Blobs,
    journals: PathBuf,
    lines: Arc<dyn Lines>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    endpoint: String,
    input_file_id: String,
    #[serde(default)]
    #[expect(dead_code, reason = "the door makes it the job's deadline")]
    completion_window: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "the caller's own")]
    metadata: Option<Json>,
    #[serde(default)]
    output_expires_after: Option<ExpiresAfter>,
}

/// How long the files that a batch leaves are kept.
#[derive(Debug, Deserialize)]
struct ExpiresAfter {
    /// Since they were made.
    seconds: u64,
}

/// How a batch ended: its result.
#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    request_counts: Counts,
    output_file_id: Option<FileId>,
    error_file_id: Option<FileId>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Counts {
    total: usize,
    completed: usize,
    failed: usize,
}

impl Counts {
    fn progress(self) -> Progress {
        let Self { total, completed, failed } = self;
        Progress::counted((completed + failed) as u64, total as u64, format!("{failed} failed"))
    }
}

impl Batch {
    /// Batches whose calls are made by upstreams that speak OpenAI's protocol.
    ///
    /// # Errors
    /// If the directory of the journals cannot be made.
    pub fn by(blobs: Blobs, upstreams: Upstreams) -> io::Result<Self> {
        Self::new(blobs, calls::ByUpstreams(upstreams))
    }

    /// Batches whose calls are made by these.
    ///
    /// # Errors
    /// If the directory of the journals cannot be made.
    pub fn new(blobs: Blobs, lines: impl Lines) -> io::Result<Self> {
        let journals = blobs.root().join(JOURNALS);
        journal::sweep(&journals, JOURNAL_KEPT)?;
        Ok(Self { blobs, journals, lines: Arc::new(lines) })
    }

    /// Reads the file and makes its calls; what has ended already is not done again.
    async fn work(&self, context: &Context, input: &Input) -> Result<Outcome, Failure> {
        let calls = self.calls(context, input).await?;
        let path = self.journals.join(format!("{}.log", context.key().replace('/', ".")));
        let mut journal = Journal::open(&path).await.map_err(broken)?;
        let sent = Sent::open(marks::beside(&path)).await.map_err(broken)?;
        let mut counts = Counts { total: calls.len(), ..journal.counts() };
        context.progress(counts.progress());
        let stopped = self.make(context, &calls, &sent, &mut journal, &mut counts).await;
        let kept = input.output_expires_after.as_ref().map(|after| Duration::from_secs(after.seconds));
        if let Err(failure) = stopped {
            // What was done is given to whoever gave up the rest.
            if matches!(context.stop_reason(), Some(Stop::Cancelled | Stop::Expired)) {
                output::write(&self.blobs, context.job(), &mut journal, &counts, kept).await.map_err(broken)?;
                journal.remove().await.map_err(broken)?;
                sent.remove().await.map_err(broken)?;
            }
            return Err(failure);
        }
        let written = output::write(&self.blobs, context.job(), &mut journal, &counts, kept);
        let outcome = context.step(OUTCOME, async { written.await.map_err(broken) }).await?;
        journal.remove().await.map_err(broken)?;
        sent.remove().await.map_err(broken)?;
        Ok(outcome)
    }

    async fn calls(&self, context: &Context, input: &Input) -> Result<Calls, Failure> {
        let missing = || {
            let detail = format!("there is no file {:?}; it may have been deleted", input.input_file_id);
            Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/input_file_id"))
        };
        let id: FileId = input.input_file_id.parse().map_err(|_| missing())?;
        let about = self.blobs.get(&context.job().spec.tenant, &id).ok_or_else(missing)?;
        let file = self.blobs.local(&about).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => broken(error),
        })?;
        match Calls::read(file, &input.endpoint).await.map_err(broken)? {
            Ok(calls) => Ok(calls),
            Err(mistakes) => {
                let first = mistakes.first().map(Mistake::told).unwrap_or_default();
                context.step(MISTAKES, async { Ok(mistakes) }).await?;
                Err(Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, first).at("/input/input_file_id")))
            }
        }
    }

    async fn make(
        &self,
        context: &Context,
        calls: &Calls,
        sent: &Sent,
        journal: &mut Journal,
        counts: &mut Counts,
    ) -> Result<(), Failure> {
        let open: Vec<usize> = (0..calls.len()).filter(|line| !journal.has(*line)).collect();
        let call = |line: usize| self.call(context, calls, sent, line);
        let mut ended =
            std::pin::pin!(stream::iter(open).map(call).buffer_unordered(CONCURRENCY).ready_chunks(RECORDED_AT_ONCE));
        loop {
            let entries = tokio::select! {
                // What has ended is recorded, also when the rest is to stop.
                biased;
                entries = ended.next() => entries,
                _ = context.cancelled() => return Err(Failure::cancelled()),
            };
            let Some(entries) = entries else { return Ok(()) };
            let (entries, failures): (Vec<_>, Vec<_>) = entries.into_iter().partition(Result::is_ok);
            let entries: Vec<Entry> = entries.into_iter().flatten().collect();
            journal.record(&entries).await.map_err(broken)?;
            for entry in &entries {
                *(if entry.is_good { &mut counts.completed } else { &mut counts.failed }) += 1;
            }
            context.progress(counts.progress());
            if let Some(failure) = failures.into_iter().find_map(Result::err) {
                return Err(failure);
            }
            if context.stop_reason().is_some() {
                return Err(Failure::cancelled());
            }
        }
    }

    /// Makes the call of a line, waiting as long as its upstream wants.
    async fn call(&self, context: &Context, calls: &Calls, sent: &Sent, line: usize) -> Result<Entry, Failure> {
        let call = calls.get(line).await.map_err(broken)?;
        let (job, marks) = (context.job().id, sent.of(line));
        let key = format!("{}-{line}", context.key());
        let entry = |called: &Called| Ok(Entry::new(job, line, &call.custom_id, called));
        if marks.is_open().await {
            return entry(&Called::ambiguous(
                "an earlier attempt sent it and ended before the answer came; look there whether it was done",
            ));
        }
        let mut unanswered = 0;
        loop {
            let made = Line { key: key.clone(), endpoint: calls.endpoint(), body: call.body.clone() };
            let called = match self.lines.call(made, &marks).await {
                Err(failure) if failure.problem.is(ProblemType::OUTCOME_AMBIGUOUS) => {
                    Called::ambiguous(&failure.problem.detail)
                }
                called => called?,
            };
            let wait = match called {
                Called::Later(wait) => wait,
                // Each time may be paid for.
                Called::Unanswered { message } => {
                    unanswered += 1;
                    if unanswered >= ATTEMPTS {
                        return entry(&Called::Failed { code: "upstream_failed".into(), message });
                    }
                    UNANSWERED_WAIT.saturating_mul(1 << unanswered.min(5))
                }
                called => return entry(&called),
            };
            tokio::time::sleep(wait).await;
        }
    }
}

impl Batch {
    pub(crate) fn described() -> About {
        let schema = json!({
            "type": "object",
            "required": ["endpoint", "input_file_id"],
            "additionalProperties": false,
            "properties": {
                "endpoint": { "enum": ENDPOINTS },
                "input_file_id": { "type": "string", "description": "A file of lines of JSON, each a call." },
                "completion_window": { "type": "string" },
                "metadata": { "type": ["object", "null"] },
                "output_expires_after": {
                    "type": ["object", "null"],
                    "required": ["seconds"],
                    "properties": { "anchor": { "const": "created_at" }, "seconds": { "type": "integer" } },
                },
            },
        });
        let summary = "Makes the calls of a file line by line, each recorded as it ends (OpenAI's batches).";
        let kind = "llm.batch".parse().expect("a constant name");
        About { timeout: TIMEOUT, concurrency: 64, ..About::new(kind, summary, schema.into()) }
    }
}

#[async_trait]
impl Handler for Batch {
    fn about(&self) -> About {
        Self::described()
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let input: Input = input::read(input)?;
        if !ENDPOINTS.contains(&input.endpoint.as_str()) {
            let detail = format!("the calls of a batch may lead to: {}", ENDPOINTS.join(", "));
            return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/endpoint"));
        }
        Ok(())
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input: Input = input::read(&input)?;
        let outcome: Outcome = if context.job().life.steps > 0 {
            // All was done and recorded, and only the end was not.
            context.step(OUTCOME, async { Err(Failure::transient("the batch was not done after all")) }).await?
        } else {
            self.work(&context, &input).await?
        };
        Json::from_value(&outcome).map_err(|error| Failure::transient(error.to_string()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what errors are mapped by takes them whole")]
fn broken(error: io::Error) -> Failure {
    Failure::transient(format!("the files of the batch cannot be read or written: {error}"))
}

/// The custom ids of a batch: each stands for one line.
type CustomIds = BTreeSet<String>;

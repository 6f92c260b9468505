//! Durable jobs for Rust programs: a request is given a job at once, which is on stable storage before it is told of, and an
//! async handler does the work behind it, with steps that are not done twice, progress, retries, time-outs and cancel. What
//! `raincheck serve` does as a server of its own, a program does here in its own process and under its own routes.
//!
//! ```
//! use raincheck::{Context, Progress, Raincheck};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct WriteReport {
//!     title: String,
//!     chapters: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let data_dir = tempfile::tempdir()?;
//! let raincheck = Raincheck::builder()
//!     .data_dir(data_dir.path())
//!     .handler("report.write", |ctx: Context, input: WriteReport| async move {
//!         let mut words = 0;
//!         for chapter in 1..=input.chapters {
//!             // Done once, also if the process dies in between: the next attempt is given what is recorded.
//!             words += ctx.step(&format!("chapter {chapter}"), async { Ok(1_000) }).await?;
//!             ctx.progress(Progress::counted(chapter.into(), input.chapters.into(), "Writing"));
//!         }
//!         Ok(format!("{}: {words} words", input.title))
//!     })
//!     .start()
//!     .await?;
//!
//! let input = serde_json::json!({ "title": "Rain", "chapters": 3 });
//! let job = raincheck.submit("report.write", &input).idempotency_key("the report of today").send().await?;
//! assert_eq!(job.result::<String>().await?, "Rain: 3000 words");
//!
//! // What does not fit is refused, before there is a job.
//! let refused = raincheck.submit("report.write", &serde_json::json!({ "title": 7 })).send().await.unwrap_err();
//! assert!(refused.to_string().contains("expected a string"));
//!
//! raincheck.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The same jobs are reached over HTTP: [`Raincheck::router`] goes into the program's own axum router, [`Raincheck::run`]
//! serves them alone. docs/embedding.md tells how all this is used.
//!
//! What the features are: `cli` (on by default) is the `raincheck` command; a program leaves it out with
//! `default-features = false`.

mod embed;
#[doc(hidden)]
pub mod wiring;

pub use embed::{Builder, JobError, JobHandle, Raincheck, RunError, StartError, Submit, Typed, blocking, handler};
pub use raincheck_api::{ApiError, ApiSettings, Identity};
pub use raincheck_core::{
    Backoff, Event, EventBody, Job, JobId, Json, Kind, Outcome, Priority, Problem, ProblemType, Progress, QueueName,
    Retry, State, Tenant, Time,
};
pub use raincheck_engine::{
    About, BlockingContext, BlockingHandler, Context, Engine, Failure, Handler, LogReader, Settings, Stop, SubmitError,
};
pub use raincheck_store::{Limits, Scope, StoreError};

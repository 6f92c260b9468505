//! `raincheck submit`: a job, accepted.

mod input;

use std::collections::BTreeMap;
use std::time::Duration;

use raincheck_core::{Priority, Time};
use raincheck_engine::{Clock, SystemClock};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::client::{Answer, Ask, Client, encoded};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::follow;
use crate::show::Job;
use raincheck_recipes::duration;

/// How long one request may wait for a job's end.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Submits a job, and prints its id at once.
///
/// With --follow it stays to show how far the job is, and ends as `raincheck follow` does.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What sort of work, such as audio.scan
    kind: String,
    /// What the job is given: JSON, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON|@FILE|-", default_value = "{}")]
    input: String,
    /// Stay, and show how far it is
    #[arg(long, short)]
    follow: bool,
    /// Wait so long for its end, and show how it ended
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with = "follow")]
    wait: Option<Duration>,
    /// Where it waits [default: the queue of the kind's name]
    #[arg(long)]
    queue: Option<String>,
    /// How urgent it is, from P0 (first) to P9 (last) [default: P5]
    #[arg(long, value_parser = priority)]
    priority: Option<Priority>,
    /// Of the jobs with this key, no more than one is under way: in turn
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
    /// A word to find it by; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Start it no sooner than so long from now
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    delay: Option<Duration>,
    /// Do not start it after this, and stop it then: a time (RFC 3339), or how long from now
    #[arg(long, value_name = "TIME", value_parser = deadline)]
    deadline: Option<Time>,
    /// The same key with the same request gives the same job, however often it is sent
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// The longest that one attempt may take [default: the kind's]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// How often it may fail before it has failed [default: the kind's]
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// The address that is told when it has ended
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
}

/// The body of `POST /v1/jobs`.
#[derive(Serialize)]
struct Request<'a> {
    kind: &'a str,
    input: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<&'a str>,
}

fn priority(text: &str) -> Result<Priority, String> {
    let text = if text.starts_with(|c: char| c.is_ascii_digit()) { format!("P{text}") } else { text.to_owned() };
    text.parse().map_err(|error: raincheck_core::PriorityError| error.to_string())
}

/// Reads `NAME=VALUE`.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, not {text:?}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads a moment, or how far it is from now.
pub(crate) fn deadline(text: &str) -> Result<Time, String> {
    let expected = "expected a time such as 2026-11-22T09:30:00Z, or how long from now such as 90d";
    text.parse()
        .or_else(|_| duration::parse(text).map(|wait| SystemClock.now().after(wait)))
        .map_err(|_| expected.into())
}

impl Args {
    fn request(&self) -> Result<String, Failure> {
        let request = Request {
            kind: &self.kind,
            input: input::read(&self.input)?,
            queue: self.queue.as_deref(),
            priority: self.priority,
            concurrency_key: self.concurrency_key.as_deref(),
            labels: self.label.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            delay: self.delay.as_ref().map(Duration::as_secs_f64),
            deadline: self.deadline,
            timeout: self.timeout.as_ref().map(Duration::as_secs_f64),
            max_attempts: self.max_attempts,
            webhook: self.webhook.as_deref(),
        };
        serde_json::to_string(&request).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    }
}

/// Submits a job, and follows it if asked to.
///
/// # Errors
/// If it is not accepted.
pub(crate) async fn run(args: &Args, client: &Client, console: Console) -> Result<Exit, Failure> {
    let key = args.idempotency_key.clone().unwrap_or_else(random_key);
    let ask = Ask::post("/v1/jobs").body(args.request()?).header("idempotency-key", key.clone());
    let answer = client.call(ask).await.map_err(|failure| again_with(failure, "submit", &key))?;
    match args.wait {
        Some(wait) => ended(answer, wait, client, console).await,
        None => accepted(&answer.parse()?, &answer.text(), args.follow, client, console).await,
    }
}

/// Waits for a job's end, in as many requests as it takes: the server holds none for long.
async fn ended(mut answer: Answer, wait: Duration, client: &Client, console: Console) -> Result<Exit, Failure> {
    let give_up = Instant::now() + wait;
    let job = loop {
        let job: Job = answer.parse()?;
        let left = give_up.saturating_duration_since(Instant::now());
        if job.state.is_final() || left.is_zero() {
            break job;
        }
        let seconds = left.min(WAIT_MAX).as_secs_f64().ceil();
        let ask = Ask::get(format!("/v1/jobs/{}?wait={seconds}", encoded(&job.id)));
        answer = client.call(ask).await?;
    };
    if console.json {
        console.print(&answer.text())?;
    } else {
        console.print(&job.page(console.out, SystemClock.now()))?;
    }
    Ok(job.exit())
}

/// Says that a job is accepted, and follows it if asked to.
///
/// # Errors
/// If nobody reads, or following fails.
pub(crate) async fn accepted(
    job: &Job,
    text: &str,
    follow: bool,
    client: &Client,
    console: Console,
) -> Result<Exit, Failure> {
    if console.json {
        console.print(text)?;
    } else {
        console.print(&job.line(console.out, SystemClock.now()))?;
    }
    if follow {
        return follow::to_the_end(client, &job.id, 0, console).await;
    }
    if !console.json {
        console.say(&console.err.dim(&format!("follow it with: {}", follow::come_back(&job.id, client))));
    }
    Ok(Exit::Success)
}

/// Where it is unknown whether the job was accepted, the same key finds out.
pub(crate) fn again_with(failure: Failure, what: &str, key: &str) -> Failure {
    if failure.hint.is_none() && matches!(failure.exit, Exit::Unreachable | Exit::ServerFailed) {
        return failure
            .hint(format!("{what} it again with --idempotency-key {key}: if it was accepted, you get that job"));
    }
    failure
}

/// A key that nobody else has.
pub(crate) fn random_key() -> String {
    let chance = raincheck_engine::Chance::from_system();
    format!("cli-{:016x}{:016x}", chance.bits(), chance.bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_may_be_a_bare_number() {
        assert_eq!(priority("3"), Ok(Priority::new(3).unwrap()));
        assert_eq!(priority("p3"), Ok(Priority::new(3).unwrap()));
        assert!(priority("10").is_err());
    }

    #[test]
    fn a_label_may_hold_equals_signs() {
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(label("a").is_err());
    }
}

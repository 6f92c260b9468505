//! `raincheck get`, `cancel` and `retry`: one job.

use raincheck_engine::{Clock, SystemClock};

use crate::client::{Ask, Client, encoded};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::show::Job;
use crate::submit;

/// Shows a job.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The job
    id: String,
}

/// Cancels a job: one that waits ends at once, a running one is asked to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// The job
    id: String,
    /// Why, for whoever looks at the job later
    #[arg(long)]
    reason: Option<String>,
}

/// Does a job that has ended anew, as a new job.
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// The job
    id: String,
    /// Stay, and show how far the new one is
    #[arg(long, short)]
    follow: bool,
    /// The same key gives the same new job, however often it is asked for
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// Shows a job.
///
/// # Errors
/// If there is no such job.
pub(crate) async fn get(args: &Get, client: &Client, console: Console) -> Result<Exit, Failure> {
    let answer = client.call(Ask::get(path(&args.id, ""))).await?;
    if console.json {
        console.print(&answer.text())?;
    } else {
        console.print(&answer.parse::<Job>()?.page(console.out, SystemClock.now()))?;
    }
    Ok(Exit::Success)
}

/// Cancels a job.
///
/// # Errors
/// If there is no such job, or it has ended.
pub(crate) async fn cancel(args: &Cancel, client: &Client, console: Console) -> Result<Exit, Failure> {
    let mut ask = Ask::post(path(&args.id, "/cancel"));
    if let Some(reason) = &args.reason {
        ask = ask.body(serde_json::json!({ "reason": reason }).to_string());
    }
    let answer = client.call(ask).await?;
    if console.json {
        console.print(&answer.text())?;
        return Ok(Exit::Success);
    }
    let job: Job = answer.parse()?;
    let asked = if job.state.is_final() { "" } else { "  asked to stop" };
    console.print(&format!("{}{asked}", job.line(console.out, SystemClock.now())))?;
    Ok(Exit::Success)
}

/// Does a job anew.
///
/// # Errors
/// If there is no such job, or it has not ended.
pub(crate) async fn retry(args: &Retry, client: &Client, console: Console) -> Result<Exit, Failure> {
    let key = args.idempotency_key.clone().unwrap_or_else(submit::random_key);
    let ask = Ask::post(path(&args.id, "/retry")).header("idempotency-key", key.clone());
    let answer = client.call(ask).await.map_err(|failure| submit::again_with(failure, "retry", &key))?;
    submit::accepted(&answer.parse()?, &answer.text(), args.follow, client, console).await
}

fn path(id: &str, rest: &str) -> String {
    format!("/v1/jobs/{}{rest}", encoded(id))
}

//! `raincheck list`: jobs, newest first.

use raincheck_core::{State, Time};
use raincheck_engine::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::{Ask, Client, encoded};
use crate::console::{Console, Paint};
use crate::exit::{Exit, Failure};
use crate::show::table::{self, Cell};
use crate::show::{Job, colour, relative};
use crate::submit::label;

/// Lists jobs, newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only in this state
    #[arg(long)]
    state: Option<State>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only with this label; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Only of this tenant (with a key of scope admin)
    #[arg(long)]
    tenant: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// The columns that are left out where the terminal is too narrow, the first ones first.
const SPARE: &[&str] = &["PRIO", "ATTEMPT", "QUEUE", "LABELS", "CREATED", "PROGRESS", "KIND", "STATE"];

/// A page of the list; written as one when the pages are joined.
#[derive(Default, Deserialize, Serialize)]
struct Page {
    jobs: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Args {
    fn query(&self, missing: usize, cursor: Option<&str>) -> String {
        let state = self.state.map(State::as_str);
        let labels = self.label.iter().map(|(name, value)| ("label", Some(format!("{name}:{value}"))));
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let named = [
            ("state", owned(state)),
            ("kind", self.kind.clone()),
            ("queue", self.queue.clone()),
            ("tenant", self.tenant.clone()),
            ("cursor", owned(cursor)),
            ("limit", Some(missing.to_string())),
        ];
        let pairs = named.into_iter().chain(labels).filter_map(|(name, value)| Some((name, value?)));
        pairs.map(|(name, value)| format!("{name}={}", encoded(&value))).collect::<Vec<_>>().join("&")
    }
}

/// Lists jobs.
///
/// # Errors
/// If the server refuses.
pub(crate) async fn run(args: &Args, client: &Client, console: Console) -> Result<Exit, Failure> {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut all = Page::default();
    loop {
        let query = args.query(limit - all.jobs.len(), all.next.as_deref());
        let page: Page = client.call(Ask::get(format!("/v1/jobs?{query}"))).await?.parse()?;
        all.jobs.extend(page.jobs);
        all.next = page.next;
        if all.next.is_none() || all.jobs.len() >= limit {
            break;
        }
    }
    if console.json {
        let text = serde_json::to_string(&all).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        console.print(&text)?;
        return Ok(Exit::Success);
    }
    show(&all, args.limit, console)?;
    Ok(Exit::Success)
}

fn show(all: &Page, limit: u32, console: Console) -> Result<(), Failure> {
    let jobs: Result<Vec<Job>, _> = all.jobs.iter().map(|job| serde_json::from_str::<Job>(job.get())).collect();
    let jobs =
        jobs.map_err(|error| Failure::new(Exit::ServerFailed, format!("a job cannot be understood: {error}")))?;
    if jobs.is_empty() {
        console.say("no jobs");
        return Ok(());
    }
    let now = SystemClock.now();
    let mut rows: Vec<Vec<Cell>> = jobs.iter().map(|job| row(job, now)).collect();
    let mut names = vec!["ID", "STATE", "KIND", "QUEUE", "PRIO", "ATTEMPT", "CREATED", "PROGRESS", "LABELS"];
    let left_out = console.width().map(|width| table::fit(&mut names, &mut rows, width, SPARE)).unwrap_or_default();
    console.print(&table::columns(&names, rows, console.out))?;
    if !left_out.is_empty() {
        let names = left_out.join(", ").to_lowercase();
        console.say(&console.err.dim(&format!("left out: {names} (--json shows all)")));
    }
    if all.next.is_some() {
        console.say(&console.err.dim(&format!("the {limit} newest; --limit shows more")));
    }
    Ok(())
}

fn row(job: &Job, now: Time) -> Vec<Cell> {
    vec![
        job.id.clone().into(),
        Cell::painted(job.state.as_str(), colour(job.state)),
        job.kind.clone().into(),
        job.queue.clone().into(),
        job.priority.clone().into(),
        format!("{}/{}", job.attempt, job.max_attempts).into(),
        relative(job.created_at, now).into(),
        job.done().into(),
        Cell::painted(job.labels(), Paint::dim),
    ]
}

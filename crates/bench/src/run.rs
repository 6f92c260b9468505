//! How many jobs a second go all the way: accepted over HTTP, claimed, run and completed, every step of it durable; and how
//! soon a job starts on a server that has nothing else to do.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::figures::Figures;
use crate::http::{Connection, post};
use crate::load::{Requests, Tally, Window, always};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::report::{Report, count, millis};
use crate::server::Server;
use crate::{closed, jobs};

const CLIENTS: usize = 256;
const BATCH_CLIENTS: usize = 8;
const BATCH: usize = 100;
const ACCEPTED: u16 = 202;
const OK: u16 = 200;
const ENDED: &str = "raincheck_attempts_ended_total";
const WAITING: &str = "raincheck_jobs_waiting";
/// How many jobs are given one by one to an idle server.
const SINGLE: usize = 500;
/// How long the server idles between them.
const PAUSE: Duration = Duration::from_millis(5);

/// Measures and prints.
pub(crate) fn bench(plan: Plan) -> Fallible<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(plan))
}

async fn measure(plan: Plan) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let machine = Machine::look(scratch.path())?;
    let wish = jobs::wish("echo", "echo", 16);
    let (mut single, mut batch, mut idle) = (Figures::default(), Figures::default(), Figures::default());
    for round in 0..plan.rounds {
        eprintln!("run: round {} of {}", round + 1, plan.rounds);
        let data = TempDir::new_in(scratch.path())?;
        through(plan, &data, CLIENTS, 1, &always(jobs::submit(&wish)), &mut single).await?;
        let data = TempDir::new_in(scratch.path())?;
        through(plan, &data, BATCH_CLIENTS, BATCH, &always(jobs::submit_batch(&wish, BATCH)), &mut batch).await?;
        let data = TempDir::new_in(scratch.path())?;
        one_by_one(plan, &data, &wish, &mut idle).await?;
    }
    report(machine, &single, &batch, &idle);
    Ok(())
}

/// Submits as fast as it goes, and then waits until everything has ended. The rate is that of all jobs from the first
/// request to the last completion: a backlog that is left at the end of the submissions costs time.
#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 jobs")]
async fn through(
    plan: Plan,
    data: &TempDir,
    clients: usize,
    jobs_each: usize,
    requests: &Requests,
    figures: &mut Figures,
) -> Fallible<()> {
    let server = Server::start(data.path(), &[]).await?;
    let mut connection = Connection::open(server.address).await?;
    let times = (Duration::ZERO, plan.warm_up + plan.window);
    let counted = closed::load(server.address, clients, requests, ACCEPTED, times).await?;
    let begun = counted.window.begun;
    let submitted_in = begun.elapsed();
    let waiting = jobs::metric(&mut connection, WAITING).await?;
    let accepted = counted.good as f64 * jobs_each as f64;
    jobs::reached(&mut connection, ENDED, accepted).await?;
    let took = begun.elapsed();
    figures.add("per_second", accepted / took.as_secs_f64());
    figures.add("accepted_per_second", accepted / submitted_in.as_secs_f64());
    figures.add("left_at_end", waiting);
    figures.add("p99_us", counted.quantile(0.99));
    figures.add("server_cpu_us", server.cpu_seconds()? * 1e6 / accepted);
    server.kill().await
}

/// One client, one job at a time: how long until it is accepted, has started, has ended.
async fn one_by_one(plan: Plan, data: &TempDir, wish: &str, figures: &mut Figures) -> Fallible<()> {
    let server = Server::start(data.path(), &[]).await?;
    let mut connection = Connection::open(server.address).await?;
    let waits = post("/v1/jobs", "prefer: wait=10\r\n", wish);
    // The first pages of the database are written by these.
    let warm = 20;
    let window = Window::new(Duration::ZERO, Duration::from_secs(3600));
    let (ends, starts) = (Tally::new(window)?, Tally::new(window)?);
    for turn in 0..plan.scaled(SINGLE).max(50) + warm {
        tokio::time::sleep(PAUSE).await;
        let asked = Instant::now();
        let answer = connection.ask(&waits).await?;
        let now = Instant::now();
        if answer.status != OK {
            return Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)).into());
        }
        if turn >= warm {
            ends.answered(now, now - asked);
            let waited = waited(&serde_json::from_slice(answer.body)?)?;
            starts.answered(now, waited);
        }
    }
    let (ends, starts) = (ends.counted()?, starts.counted()?);
    figures.add("end_p50_us", ends.quantile(0.5));
    figures.add("end_p99_us", ends.quantile(0.99));
    figures.add("start_p50_us", starts.quantile(0.5));
    figures.add("start_p99_us", starts.quantile(0.99));
    figures.add("start_mean_us", starts.took.mean());
    server.kill().await
}

/// From `created_at` to `started_at`, both in whole milliseconds.
fn waited(job: &Value) -> Fallible<Duration> {
    let millis =
        |name: &str| job[name].as_str().and_then(millis_of_day).ok_or_else(|| format!("{name} is no time: {job}"));
    let (created, started) = (millis("created_at")?, millis("started_at")?);
    // Over midnight.
    Ok(Duration::from_millis((started + DAY - created) % DAY))
}

const DAY: u64 = 24 * 3600 * 1000;

/// The milliseconds since midnight of a time like `2026-11-22T22:15:00.123Z`.
fn millis_of_day(time: &str) -> Option<u64> {
    let (_, time) = time.trim_end_matches('Z').split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

fn report(machine: Machine, single: &Figures, batch: &Figures, idle: &Figures) {
    let mut report = Report::new("Run: no-op jobs from HTTP to completion", machine);
    let told = |figures: &Figures| {
        format!(
            "{} jobs/s ({} accepted/s, {} left when the last was accepted, {:.0} µs of server CPU each)",
            count(figures.median("per_second")),
            count(figures.median("accepted_per_second")),
            count(figures.median("left_at_end")),
            figures.median("server_cpu_us"),
        )
    };
    report.row("256 connections, POST /v1/jobs", told(single), "≥ 12,000/s");
    report.row("8 connections, POST /v1/jobs:batch of 100", told(batch), "");
    let (p50, p99) = (idle.median("end_p50_us"), idle.median("end_p99_us"));
    let times = format!("p50 {}, p99 {}", millis(p50), millis(p99));
    report.row("idle server: submit → start → end → answer (Prefer: wait)", times, "");
    let (p50, mean) = (idle.median("start_p50_us"), idle.median("start_mean_us"));
    let start = format!("p50 {}, mean {}", millis(p50), millis(mean));
    report.row("idle server: created_at → started_at (whole ms)", start, "p50 < 3 ms");
    report.note("The round trip with `Prefer: wait` is an upper bound of submit → start: it holds the whole way there and back.");
    report.data("single", single.json());
    report.data("batch", batch.json());
    report.data("idle", idle.json());
    report.print();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        assert_eq!(millis_of_day("2026-11-22T00:00:01.5Z"), Some(1_500));
        assert_eq!(millis_of_day("2026-11-22T01:02:03Z"), Some(3_723_000));
        assert_eq!(millis_of_day("2026-11-22"), None);
    }
}

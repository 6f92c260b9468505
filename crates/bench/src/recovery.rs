//! How soon a server accepts again after a crash with a million jobs queued: from the start of the process to the first
//! accepted `POST`.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::figures::Figures;
use crate::http::Connection;
use crate::load::always;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::report::{Report, count, millis};
use crate::server::Server;
use crate::{closed, jobs};

const QUEUED: usize = 1_000_000;
const ACCEPTED: u16 = 202;

/// Measures and prints.
pub(crate) fn bench(plan: Plan) -> Fallible<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(plan))
}

async fn measure(plan: Plan) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let machine = Machine::look(scratch.path())?;
    let queued = plan.scaled(QUEUED);
    let data = scratch.path().join("data");
    let wish = jobs::wish("echo", jobs::PAUSED, 512);
    let mut server = Server::start(&data, &[]).await?;
    jobs::pause(server.address).await?;
    eprintln!("recovery: queueing {queued} jobs");
    jobs::fill_with_keys(server.address, queued, &wish).await?;
    let mut figures = Figures::default();
    for round in 0..plan.rounds {
        eprintln!("recovery: round {} of {}", round + 1, plan.rounds);
        crash_under_load(server, &wish).await?;
        let begun = Instant::now();
        server = Server::start(&data, &[]).await?;
        let listening = begun.elapsed();
        let answer = jobs::told(server.address, &jobs::submit(&wish)).await?;
        figures.add("accepted_us", begun.elapsed().as_secs_f64() * 1e6);
        figures.add("listening_us", listening.as_secs_f64() * 1e6);
        figures.add(
            "waiting",
            jobs::metric(&mut Connection::open(server.address).await?, "raincheck_jobs_waiting").await?,
        );
        figures.add("resident_bytes", server.resident_bytes()?);
        drop(answer);
    }
    report(machine, &figures);
    Ok(())
}

/// Kills the server while it is at work, so that there is a log to recover from.
async fn crash_under_load(server: Server, wish: &str) -> Fallible<()> {
    let requests = always(jobs::submit(wish));
    let address = server.address;
    let load = closed::load(address, 64, &requests, ACCEPTED, (Duration::ZERO, Duration::from_secs(60)));
    let crash = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.kill().await
    };
    // The load ends with an error when the server is gone.
    match tokio::join!(load, crash) {
        (Ok(_), _) => Err("the load ended before the crash".into()),
        (Err(_), crashed) => crashed,
    }
}

fn report(machine: Machine, figures: &Figures) {
    let mut report = Report::new("Recovery: kill -9 with a million jobs queued", machine);
    let queued = count(figures.median("waiting"));
    report.row(
        format!("start → first accepted POST, {queued} queued"),
        millis(figures.median("accepted_us")),
        "< 2,000 ms",
    );
    report.row("start → listening", millis(figures.median("listening_us")), "");
    report.row("memory then", format!("{:.0} MiB", figures.median("resident_bytes") / f64::from(1 << 20)), "");
    report.note(
        "Each job has an input of 512 bytes and an idempotency key. The server is killed while 64 clients submit.",
    );
    report.data("recovery", figures.json());
    report.print();
}

//! What an idle follower costs, and how soon an event reaches all of them: tens of thousands of clients follow one job by
//! server-sent events over HTTP/1.1.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::figures::Figures;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::report::{Report, count};
use crate::server::Server;
use crate::{jobs, proc};

const CLIENTS: usize = 20_000;
/// What a process needs open besides its connections.
const OTHER_FILES: usize = 64;
const CROWDS: usize = 2;
/// How long nothing happens before the server's memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures and prints.
pub(crate) fn bench(plan: Plan) -> Fallible<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(plan))
}

async fn measure(plan: Plan) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let machine = Machine::look(scratch.path())?;
    let most = proc::open_files_max().saturating_sub(OTHER_FILES);
    let clients = plan.scaled(CLIENTS).min(most) / CROWDS * CROWDS;
    let mut figures = Figures::default();
    for round in 0..plan.rounds {
        eprintln!("follow: round {} of {}, {clients} clients", round + 1, plan.rounds);
        let data = TempDir::new_in(scratch.path())?;
        once(&data, clients, round, &mut figures).await?;
    }
    report(machine, clients, &figures);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn once(data: &TempDir, clients: usize, round: usize, figures: &mut Figures) -> Fallible<()> {
    let server = Server::start(data.path(), &[]).await?;
    jobs::pause(server.address).await?;
    let wish = format!("{{\"kind\":\"sleep\",\"queue\":\"{}\",\"input\":{{\"seconds\":3600}}}}", jobs::PAUSED);
    let job = jobs::submit_one(server.address, &wish).await?;
    let before = server.resident_bytes()?;
    let mut crowds = Vec::new();
    let begun = Instant::now();
    for number in 0..CROWDS {
        // New addresses each round: the ports of the old ones are not free again yet.
        let source = format!("127.0.{}.{}", round + 1, number + 1);
        crowds.push(Crowd::gather(server.address, &job, clients / CROWDS, &source)?);
    }
    for crowd in &mut crowds {
        crowd.hear("joined").await?;
    }
    figures.add("joined_s", begun.elapsed().as_secs_f64());
    tokio::time::sleep(SETTLE).await;
    let idle_from = server.cpu_seconds()?;
    tokio::time::sleep(SETTLE).await;
    figures.add("idle_cores", (server.cpu_seconds()? - idle_from) / SETTLE.as_secs_f64());
    figures.add("bytes_per_client", (server.resident_bytes()? - before) / clients as f64);
    // Claiming the job is an event that all of them are waiting for.
    let begun = Instant::now();
    jobs::resume(server.address).await?;
    for crowd in &mut crowds {
        crowd.hear("told").await?;
    }
    figures.add("told_s", begun.elapsed().as_secs_f64());
    figures.add("bytes_per_client_after", (server.resident_bytes()? - before) / clients as f64);
    server.kill().await
}

/// Clients in a process of their own.
struct Crowd {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    fn gather(address: SocketAddr, job: &str, clients: usize, source: &str) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["crowd", &address.to_string(), job, &clients.to_string(), source]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or("a crowd has no standard output")?;
        Ok(Self { _child: child, lines: BufReader::new(out).lines() })
    }

    async fn hear(&mut self, word: &str) -> Fallible<()> {
        match self.lines.next_line().await? {
            Some(line) if line == word => Ok(()),
            other => Err(format!("a crowd said {other:?} instead of {word:?}").into()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn report(machine: Machine, clients: usize, figures: &Figures) {
    let mut report = Report::new("Follow: idle SSE clients of one job over HTTP/1.1", machine);
    report.row("clients", count(clients as f64), count(CLIENTS as f64));
    let kib = |name: &str| format!("{:.1} KiB", figures.median(name) / 1024.0);
    report.row("server memory for each, idle", kib("bytes_per_client"), "≤ 20 KB");
    report.row("one event reaches all", format!("{:.2} s", figures.median("told_s")), "< 1 s");
    report.row("server memory for each, after that event", kib("bytes_per_client_after"), "");
    report.row("all connected in", format!("{:.1} s", figures.median("joined_s")), "");
    report.row("cores used while idle (heartbeats)", format!("{:.2}", figures.median("idle_cores")), "");
    if clients < CLIENTS {
        report.note(format!(
            "{} clients do not fit here: a process may have {} files open, and the server needs some for itself.",
            count(CLIENTS as f64),
            count(proc::open_files_max() as f64)
        ));
    }
    report.note("Memory is what is resident; what the kernel holds for sockets is not in it.");
    report.data("follow", figures.json());
    report.print();
}

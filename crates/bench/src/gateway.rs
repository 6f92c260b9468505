//! What a gateway costs: the latency that it adds to a chat call that it passes on, and how many calls a second go through it.
//!
//! One simulated provider, which answers at once, is called directly, through Raincheck and through other gateways, in turn and
//! in the same run. Every gateway runs on the same cores; the simulator and the load run on the others. None of them keeps
//! a log of requests, or has a database or a cache beside it. Those that know keys ask for one (all but Portkey).

mod calls;
mod contestant;
mod report;
mod rivals;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::closed;
use crate::cores::Cores;
use crate::failure::Fallible;
use crate::http::Connection;
use crate::load::{Tally, Window};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::proc;
use crate::server::Server;
use calls::Mode;
use contestant::Contestant;

/// Calls of one contestant in a row when latency is measured: long enough to be warm, short enough that what it is compared
/// with is measured in the same second.
const BLOCK: usize = 20;
/// How many of such blocks each contestant has in a round, of each sort of call.
const BLOCKS: usize = 10;
/// The loads.
const LOADS: [Load; 3] = [
    Load { name: "whole_16", cpu: "whole_16_cpu_us", measuring: "whole_16_measuring", clients: 16, mode: Mode::Whole },
    Load { name: "whole_64", cpu: "whole_64_cpu_us", measuring: "whole_64_measuring", clients: 64, mode: Mode::Whole },
    Load {
        name: "streamed_16",
        cpu: "streamed_16_cpu_us",
        measuring: "streamed_16_measuring",
        clients: 16,
        mode: Mode::Streamed,
    },
];

/// As many calls as go through.
struct Load {
    /// Under which its rate is reported.
    name: &'static str,
    /// And what a call cost of the gateway's computing time.
    cpu: &'static str,
    /// And how many cores the simulator and the load took.
    measuring: &'static str,
    /// How many at once.
    clients: usize,
    mode: Mode,
}

/// Seconds that were computed for a load, and that it took.
struct Spent {
    subject: f64,
    measuring: f64,
    wall: f64,
}

/// How long a load lasts before it counts, and then. A run is to be over before the machine has changed.
const TIMES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2_500));

/// Answers at once; the tokens of an answer are as many as are asked for.
const SIMULATOR: &str = r#"{"behaviour": {"first_token_ms": {"constant": 0}, "per_token_ms": {"constant": 0}}}"#;

/// Measures and prints.
pub(crate) fn bench(plan: Plan) -> Fallible<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(plan))
}

async fn measure(plan: Plan) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let machine = Machine::look(scratch.path())?;
    let cores = Cores::divide()?;
    let config = scratch.path().join("simulator.json");
    std::fs::write(&config, SIMULATOR)?;
    let simulator = Server::simulate(&config).await?;
    let (mut contestants, left_out) = contestants(&simulator, &cores, scratch.path()).await?;
    for round in 0..plan.rounds {
        eprintln!("gateway: round {} of {}", round + 1, plan.rounds);
        for mode in [Mode::Whole, Mode::Long, Mode::Streamed] {
            one_by_one(&mut contestants, mode, plan).await?;
        }
        for load in &LOADS {
            for contestant in &mut contestants {
                many(contestant, &simulator, load).await?;
            }
        }
    }
    report::print(machine, &cores, &contestants, &left_out);
    Ok(())
}

/// Everything that is measured, each warmed up by a few calls, and what could not be, with the reason.
async fn contestants(simulator: &Server, cores: &Cores, scratch: &Path) -> Fallible<(Vec<Contestant>, Vec<String>)> {
    let mut contestants = vec![Contestant::direct(simulator)];
    contestants.push(cores.on_subjects(Contestant::raincheck(simulator, scratch)).await?);
    for contestant in &contestants {
        contestant.warm_up().await?;
    }
    let mut left_out = Vec::new();
    for rival in rivals::all() {
        eprintln!("gateway: starting {}", rival.name);
        let starting = async {
            let contestant = rival.start(simulator, cores, scratch).await?;
            contestant.warm_up().await?;
            Ok(contestant)
        };
        match cores.on_subjects(starting).await {
            Ok(contestant) => contestants.push(contestant),
            Err(why) => left_out.push(format!("{} was left out: {why}", rival.name)),
        }
    }
    Ok((contestants, left_out))
}

/// One call after another: a block of calls by each contestant in turn.
async fn one_by_one(contestants: &mut [Contestant], mode: Mode, plan: Plan) -> Fallible<()> {
    let window = Window::new(Duration::ZERO, Duration::from_secs(3600));
    let mut tallies = Vec::new();
    for contestant in contestants.iter() {
        let connection = Connection::open(contestant.address).await?;
        tallies.push((connection, Tally::new(window)?, Tally::new(window)?));
    }
    let mut request = Vec::new();
    for block in 0..plan.scaled(BLOCKS).max(5) {
        for (contestant, (connection, begins, ends)) in contestants.iter().zip(&mut tallies) {
            for call in 0..BLOCK {
                contestant.requests(mode)((block * BLOCK + call) as u64, &mut request);
                let asked = Instant::now();
                let answer = connection.ask(&request).await?;
                let now = Instant::now();
                if !mode.is_whole_answer(&answer) {
                    let body = String::from_utf8_lossy(answer.body);
                    return Err(format!("{} answered {}: {body}", contestant.name, answer.status).into());
                }
                begins.answered(now, answer.begun - asked);
                ends.answered(now, now - asked);
            }
        }
    }
    for (contestant, (_, begins, ends)) in contestants.iter_mut().zip(tallies) {
        contestant.add_latency(mode, &begins.all(), &ends.all());
    }
    Ok(())
}

/// As many calls as go through.
#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 calls")]
async fn many(contestant: &mut Contestant, simulator: &Server, load: &Load) -> Fallible<()> {
    let requests = contestant.requests(load.mode);
    let measuring = || Fallible::Ok(simulator.cpu_seconds()? + proc::cpu_seconds(std::process::id())?);
    let served = calls::served(simulator).await?;
    let (cpu, others, begun) = (contestant.cpu_seconds()?, measuring()?, Instant::now());
    let wanted = load.mode.wanted();
    let counted = closed::load_with_faults(contestant.address, load.clients, &requests, &wanted, TIMES).await?;
    let wall = begun.elapsed().as_secs_f64();
    let spent = Spent { subject: contestant.cpu_seconds()? - cpu, measuring: measuring()? - others, wall };
    let (served, good) = (calls::served(simulator).await? - served, counted.good as f64);
    if served < good {
        let name = &contestant.name;
        return Err(format!("{name} gave {good} answers, of which the simulator made only {served}").into());
    }
    contestant.add_load(load, &counted, &spent);
    contestant.figures.add("resident_bytes", contestant.resident_bytes()?);
    Ok(())
}

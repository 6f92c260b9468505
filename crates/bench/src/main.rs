//! Reproduces every figure of docs/performance.md: `cargo xtask bench NAME [--quick]`.
//!
//! `store` measures the embedded store in this process. The others start the real server, in a process of its own on a fresh
//! directory, and drive it over HTTP/1.1 on the loopback interface, sharing the machine's cores with it (`scan` measures
//! what a scan computes, without the server). Each prints what it measured as a Markdown table, with what is required
//! beside it, and as one line of JSON. It measures; it passes no judgement by its exit status.
//!
//! ```text
//! accept   ┐                                      ┌─► closed (as fast as it goes)
//! run      │                                      │
//! follow   │                                      │
//! gateway  ├─► server (starts it) ─► http, jobs ──┤
//! outage   │                                      │
//! recovery ┘                                      └─► paced (at a fixed rate)
//!                                    figures (medians) ─► report
//! ```

mod accept;
mod closed;
mod cores;
mod crowd;
mod failure;
mod figures;
mod follow;
mod gateway;
mod http;
mod jobs;
mod load;
mod machine;
mod outage;
mod paced;
mod plan;
mod proc;
mod recovery;
mod report;
mod run;
mod scan;
mod server;
mod stand_in;
mod store;

use std::process::ExitCode;

use failure::Fallible;
use plan::Plan;

/// That of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["store", options @ ..] = args.as_slice() {
        return store::run(options);
    }
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("raincheck-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Fallible<()> {
    match args {
        ["accept", flags @ ..] => accept::bench(Plan::read(flags)?),
        ["run", flags @ ..] => run::bench(Plan::read(flags)?),
        ["follow", flags @ ..] => follow::bench(Plan::read(flags)?),
        ["outage", drills @ ..] => outage::bench(drills),
        ["gateway", flags @ ..] => gateway::bench(Plan::read(flags)?),
        ["recovery", flags @ ..] => recovery::bench(Plan::read(flags)?),
        ["scan", flags @ ..] => scan::bench(Plan::read(flags)?),
        // Parts of benchmarks that are processes of their own.
        ["stand-in", rest @ ..] => stand_in::serve(rest),
        ["crowd", rest @ ..] => crowd::join(rest),
        ["rescan", rest @ ..] => scan::rescan(rest),
        _ => {
            Err("which benchmark? one of store, accept, run, follow, gateway, outage, scan, recovery; --quick for a first look"
                .into())
        }
    }
}

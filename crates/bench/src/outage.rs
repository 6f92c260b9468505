//! What happens while a provider is down, refuses, stalls or cuts off, and after it: the real server and the real simulator, in
//! real time, under a steady load of jobs while the rest of the API is used as well. Each drill takes some minutes and tells
//! how it goes.
//!
//! `cargo xtask bench outage [503|429|stall|reset]… [--quick]`; all of them if none is named. The tests `outage::…` of
//! crates/kinds try the same in simulated time.

mod cut_off;
mod down;
mod ends;
mod stage;
mod stalled;
mod throttled;
mod traffic;

use std::time::Duration;

use tempfile::TempDir;

use crate::failure::Fallible;
use crate::machine::Machine;
use crate::report::Report;

const DRILLS: [&str; 4] = ["503", "429", "stall", "reset"];

/// How long it goes well before anything goes wrong, and for how long it goes wrong.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    before: Duration,
    wrong: Duration,
}

/// Runs the drills that are named and prints what came of them.
pub(crate) fn bench(args: &[&str]) -> Fallible<()> {
    let (flags, named): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with('-'));
    let divisor = match flags.as_slice() {
        [] => 1,
        ["--quick"] => 4,
        _ => return Err(format!("unknown flags: {}; there is --quick", flags.join(" ")).into()),
    };
    if let Some(unknown) = named.iter().find(|name| !DRILLS.contains(name)) {
        return Err(format!("there is no drill {unknown:?}: one of {}", DRILLS.join(", ")).into());
    }
    let lengths = Lengths { before: Duration::from_secs(40) / divisor, wrong: Duration::from_secs(60) / divisor };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(drill(&named, lengths))
}

async fn drill(named: &[&str], lengths: Lengths) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let mut report = Report::new("Outage: drills against the simulator", Machine::look(scratch.path())?);
    for name in DRILLS.into_iter().filter(|name| named.is_empty() || named.contains(name)) {
        match name {
            "503" => down::drill(scratch.path(), lengths, &mut report).await?,
            "429" => throttled::drill(scratch.path(), lengths, &mut report).await?,
            "stall" => stalled::drill(scratch.path(), lengths, &mut report).await?,
            _ => cut_off::drill(scratch.path(), lengths, &mut report).await?,
        }
    }
    report.note("One run of each drill: what matters is whether it holds, not by how many milliseconds.");
    report.print();
    Ok(())
}

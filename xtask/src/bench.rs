//! `cargo xtask bench`: measures what is shipped. What is measured and how is told by the crate raincheck-bench.

use crate::run::{Failure, command, run};
use crate::{place, python, rivals};

const BENCHMARKS: [&str; 8] = ["store", "accept", "run", "follow", "gateway", "outage", "scan", "recovery"];

/// Builds the server and the benchmarks in the shipped profile and runs the one named first in `args`, or all.
pub(crate) fn bench(args: &[String]) -> Result<(), Failure> {
    let names = || format!("one of {}, all", BENCHMARKS.join(", "));
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::usage(format!("which benchmark? {}", names())));
    };
    let chosen: Vec<&str> = match BENCHMARKS.iter().find(|known| **known == name.as_str()) {
        Some(known) => vec![known],
        None if name.as_str() == "all" => BENCHMARKS.to_vec(),
        None => return Err(Failure::usage(format!("there is no benchmark \"{name}\": {}", names()))),
    };
    run(
        command(place::cargo()).args(["build", "--profile", "dist", "-p", "raincheck", "-p", "raincheck-bench"]),
        "the benchmarks do not build",
    )?;
    chosen.iter().try_for_each(|benchmark| measure(benchmark, rest))
}

fn measure(benchmark: &str, args: &[String]) -> Result<(), Failure> {
    let dist = place::target().join("dist");
    let mut bench = command(dist.join("raincheck-bench"));
    bench.arg(benchmark).args(args).env("RAINCHECK_BIN", dist.join("raincheck"));
    // The scan is measured beside soundfile and pyloudnorm in the same run.
    if benchmark == "scan" {
        bench.env(python::VARIABLE, python::prepare()?);
    }
    // The gateway is measured beside others.
    if benchmark == "gateway" {
        bench.envs(rivals::prepare());
    }
    run(&mut bench, &format!("the benchmark {benchmark} failed"))
}

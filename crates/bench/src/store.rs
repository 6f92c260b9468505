//! What the embedded store does in a second, held against a bare append-only log on the same disk at the same time: the
//! most that any store could do which syncs before it answers.

mod callers;
mod deep;
mod floor;
mod report;
mod subject;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use callers::{Load, Measured};
use floor::Log;
use report::Report;
use subject::{Jobs, Subject};

/// How long and how often each figure is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    runs: usize,
    run: Duration,
    deep: u64,
}

/// Measures everything and prints a table and JSON.
pub(crate) fn run(options: &[&str]) -> ExitCode {
    let mut effort = Effort { runs: 5, run: Duration::from_secs(3), deep: 1_000_000 };
    let mut directory = PathBuf::from(".");
    let mut only = None;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match (*option, options.as_slice().first()) {
            ("--quick", _) => effort = Effort { runs: 1, run: Duration::from_secs(1), deep: 100_000 },
            ("--dir", Some(path)) => directory = path.into(),
            ("--only", Some(name)) => only = Some((*name).to_owned()),
            ("fill-and-die", Some(path)) => deep::fill_and_die(Path::new(path), effort.deep),
            _ => continue,
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(measure(effort, &directory, only.as_deref()))) {
        Ok(report) => report.print(),
        Err(error) => {
            eprintln!("the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn measure(effort: Effort, directory: &Path, only: Option<&str>) -> Report {
    let mut report = Report::default();
    for load in Load::ALL.into_iter().filter(|load| only.is_none_or(|only| load.name() == only)) {
        let (mut floors, mut stores) = (Vec::new(), Vec::new());
        // In turns, so that both see the same disk and the same neighbours.
        for _ in 0..effort.runs {
            floors.push(fresh::<Log>(directory, load, effort).await);
            stores.push(fresh::<Jobs>(directory, load, effort).await);
        }
        report.add(load, &floors, &stores);
    }
    if only.is_none_or(|only| only == "deep") {
        deep::measure(effort, directory, &mut report).await;
    }
    report
}

async fn fresh<S: Subject>(directory: &Path, load: Load, effort: Effort) -> Measured {
    let directory = tempfile::tempdir_in(directory).expect("a directory to measure in");
    let subject = Arc::new(S::open(directory.path()).await);
    let measured = load.run(&subject, effort.run).await;
    subject.close().await;
    measured
}

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use crate::store::Effort;
use crate::store::callers::{Load, Measured, fill};
use crate::store::report::Report;
use crate::store::subject::{Jobs, Subject};

/// How it goes with many jobs waiting: the same figures again, and the time to open after the process was killed.
pub(crate) async fn measure(effort: Effort, directory: &Path, report: &mut Report) {
    let directory = tempfile::tempdir_in(directory).expect("a directory to measure in");
    let loads = [Load::Accept(64), Load::Cycle(64)];
    let shallow = rates(effort, directory.path(), loads, 0).await;
    let path = directory.path().join("deep");
    let deep = rates(effort, &path, loads, effort.deep).await;
    for ((load, before), after) in loads.into_iter().zip(shallow).zip(deep) {
        let text = format!("{after:.0}/s, {:.2} of the {before:.0}/s of an empty store", after / before);
        report.note(&format!("{} with {} waiting", load.name(), effort.deep), &text, &json!(after / before));
    }
    std::fs::remove_dir_all(&path).expect("the deep store is removed");
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program);
    child.arg("store");
    if effort.deep < 1_000_000 {
        child.arg("--quick");
    }
    child.arg("fill-and-die").arg(&path).stderr(Stdio::null());
    let status = child.status().expect("the child runs");
    assert!(!status.success(), "the child dies");
    let wal = std::fs::metadata(path.join("raincheck.db-wal")).map_or(0, |file| file.len());
    let begin = instant();
    let store = Jobs::open(&path).await;
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(store.waiting(), effort.deep);
    let text = format!("{seconds:.2} s ({} MiB in the WAL)", wal >> 20);
    report.note(&format!("open with {} waiting after kill -9", effort.deep), &text, &json!(seconds));
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn instant() -> Instant {
    Instant::now()
}

async fn rates(effort: Effort, directory: &Path, loads: [Load; 2], waiting: u64) -> Vec<f64> {
    let subject = Arc::new(Jobs::open(directory).await);
    fill(&subject, waiting).await;
    let mut rates = Vec::new();
    for load in loads {
        let mut runs = Vec::new();
        for _ in 0..effort.runs {
            let Measured { accepted, cycled, .. } = load.run(&subject, effort.run).await;
            runs.push(accepted.max(cycled));
        }
        runs.sort_by(f64::total_cmp);
        rates.push(runs[runs.len() / 2]);
    }
    subject.close().await;
    rates
}

/// What the child does: accepts so many jobs, and dies without closing.
pub(crate) fn fill_and_die(directory: &Path, count: u64) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime starts");
    runtime.block_on(async {
        let subject = Arc::new(Jobs::open(directory).await);
        fill(&subject, count).await;
        std::process::abort()
    })
}

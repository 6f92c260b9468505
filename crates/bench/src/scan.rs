//! `audio.scan` beside what people use in Python, over the same files in the same run.
//!
//! Measured is the scan itself, as the server calls it; what the server adds is one job.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};

use raincheck_audio::{Options, Tier, fixtures, scan};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::figures::Figures;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::proc;
use crate::report::{Report, count};

const FILES: usize = 1_000;
/// What the peers do, in Python.
const PEERS: &str = include_str!("../../audio/benches/peers_bench.py");
/// A Python that has soundfile, pyloudnorm and numpy; `cargo xtask bench` sets it.
const PYTHON: &str = "RAINCHECK_TEST_PYTHON";

/// Measures and prints.
pub(crate) fn bench(plan: Plan) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let machine = Machine::look(scratch.path())?;
    let library = scratch.path().join("library");
    std::fs::create_dir(&library)?;
    let made = fixtures::library(&library, &fixtures::Plan::new(plan.scaled(FILES)))?;
    let mut figures = Figures::default();
    for round in 0..plan.rounds {
        eprintln!("scan: round {} of {}", round + 1, plan.rounds);
        ours(&library, scratch.path(), &mut figures)?;
        peers(&library, &mut figures)?;
    }
    let calls = calls_of_rescan(&library, &scratch.path().join("full.jsonl"))?;
    report(machine, &made, &figures, &calls);
    Ok(())
}

fn options(tier: Tier, manifest: &Path) -> Options {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Options { tier, threads, ..Options::new(manifest) }
}

fn ours(library: &Path, scratch: &Path, figures: &mut Figures) -> Fallible<()> {
    let full = scratch.join("full.jsonl");
    let [quick_cpu, quick_wall, quick_cores] = measure(library, &options(Tier::Quick, &scratch.join("quick.jsonl")))?;
    figures.add("quick", quick_cpu);
    figures.add("quick_wall", quick_wall);
    figures.add("quick_cores", quick_cores);
    let [full_cpu, full_wall, full_cores] = measure(library, &options(Tier::Full, &full))?;
    figures.add("full", full_cpu);
    figures.add("full_wall", full_wall);
    figures.add("full_cores", full_cores);
    let again = Options { previous: Some(full.clone()), ..options(Tier::Full, &full) };
    let [again_cpu, again_wall, _] = measure(library, &again)?;
    figures.add("again", again_cpu);
    figures.add("again_wall", again_wall);
    Ok(())
}

/// Files per second of CPU, files per second, and cores in use; over as many scans as fill two seconds of CPU.
#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 files")]
fn measure(library: &Path, options: &Options) -> Fallible<[f64; 3]> {
    let pid = std::process::id();
    let (before, begun, mut files) = (proc::cpu_seconds(pid)?, Instant::now(), 0);
    loop {
        files += scan(library, options, &())?.files;
        let (cpu, wall) = (proc::cpu_seconds(pid)? - before, begun.elapsed().as_secs_f64());
        if cpu >= 2.0 {
            return Ok([files as f64 / cpu, files as f64 / wall, cpu / wall]);
        }
    }
}

fn peers(library: &Path, figures: &mut Figures) -> Fallible<()> {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python);
    child.args(["-"]).arg(library).arg("1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(PEERS.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("the peers ended with {}: is {PYTHON} set?", output.status).into());
    }
    let measured: Value = serde_json::from_slice(&output.stdout)?;
    let of = |tier: &str| measured[tier]["files_per_cpu_second"].as_f64().ok_or("the peers gave no figure");
    figures.add("peer_quick", of("quick")?);
    figures.add("peer_full", of("full")?);
    Ok(())
}

/// Scans again what a manifest knows: `rescan DIRECTORY MANIFEST`. A process of its own, so that its calls can be counted.
pub(crate) fn rescan(args: &[&str]) -> Fallible<()> {
    let [library, manifest] = args else { return Err("usage: rescan DIRECTORY MANIFEST".into()) };
    let manifest = Path::new(manifest);
    let again = Options { previous: Some(manifest.to_owned()), ..options(Tier::Full, manifest) };
    let summary = scan(Path::new(library), &again, &())?;
    println!("{} of {} files taken over", summary.reused, summary.files);
    Ok(())
}

/// What a second scan asks of the kernel about the audio files, told in a sentence.
fn calls_of_rescan(library: &Path, manifest: &Path) -> Fallible<String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=file,read,pread64,readv,preadv,mmap", "-o"]);
    let log = manifest.with_extension("strace");
    command.arg(&log).arg(std::env::current_exe()?).arg("rescan").arg(library).arg(manifest);
    let Ok(output) = command.output() else { return Ok("strace is not installed: not counted".to_owned()) };
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let text = std::fs::read_to_string(&log)?;
    let of_audio = text.lines().filter(|line| line.contains(".wav"));
    let (stats, others): (Vec<&str>, Vec<&str>) = of_audio.partition(|line| line.contains("stat"));
    Ok(format!("{said}: {} stat calls on audio files, {} other calls on them", stats.len(), others.len()))
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn report(machine: Machine, made: &fixtures::Library, figures: &Figures, calls: &str) {
    let mut report = Report::new("Scan: audio.scan beside soundfile and pyloudnorm", machine);
    let per_cpu = |name: &str| format!("{} files per CPU-second", count(figures.median(name)));
    let ratio = |ours: &str, peer: &str| format!("{:.1} ×", figures.median(ours) / figures.median(peer));
    let files = format!("{} files, {:.2} h, 24 kHz mono", count(made.files.len() as f64), made.seconds / 3600.0);
    report.row("library", files, "");
    report.row("soundfile.info", per_cpu("peer_quick"), "");
    report.row("`quick`", per_cpu("quick"), "");
    report.row("`quick` ÷ soundfile.info", ratio("quick", "peer_quick"), "≥ 5 ×");
    report.row("soundfile.read + pyloudnorm + numpy", per_cpu("peer_full"), "");
    report.row("`full`, with SHA-256 of file and of audio", per_cpu("full"), "");
    report.row("`full` ÷ soundfile + pyloudnorm", ratio("full", "peer_full"), "≥ 4 ×");
    let cores = format!("quick {:.2}, full {:.2}", figures.median("quick_cores"), figures.median("full_cores"));
    report.row("cores in use", cores, "both");
    let wall = |name: &str| count(figures.median(name));
    let all = format!("quick {}, full {}, again {}", wall("quick_wall"), wall("full_wall"), wall("again_wall"));
    report.row("files per second, all cores", all, "");
    report.row("second `full` scan, nothing changed", per_cpu("again"), "stat calls only");
    report.note(format!("Second scan: {calls}."));
    report.data("scan", figures.json());
    report.print();
}

//! Measures scans: `scan_bench <directory> [threads] [rounds] [tiers]` prints one JSON object with files per CPU-second for each tier.
//!
//! `scan_bench --make <directory> <files>` makes a LibriTTS-like tree to measure on; `--bad <directory>` one of each bad file.

use raincheck_audio::{Export, Exports, Options, Tier, fixtures, scan};
use std::num::NonZeroUsize;
use std::path::Path;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// User and system time of this process, in seconds.
fn cpu_seconds() -> Fallible<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Fields 14 and 15, in ticks of 10 ms; the name in field 2 may contain spaces but ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// Files per CPU-second and per second, over as many scans as fill a second of CPU time, the best of `rounds`.
#[expect(clippy::disallowed_methods, reason = "measuring time is what it is for")]
fn measure(directory: &Path, options: &Options, rounds: usize) -> Fallible<serde_json::Value> {
    let (mut best_cpu, mut best_wall, mut files_seen) = (0.0_f64, 0.0_f64, 0);
    for _ in 0..rounds {
        let (cpu, wall, mut files) = (cpu_seconds()?, std::time::Instant::now(), 0);
        while cpu_seconds()? - cpu < 1.0 {
            files_seen = scan(directory, options, &())?.files;
            files += files_seen;
        }
        best_cpu = best_cpu.max(files as f64 / (cpu_seconds()? - cpu));
        best_wall = best_wall.max(files as f64 / wall.elapsed().as_secs_f64());
    }
    Ok(
        serde_json::json!({ "files": files_seen, "files_per_cpu_second": best_cpu.round(), "files_per_second": best_wall.round() }),
    )
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--make", directory, files] => {
            std::fs::create_dir_all(directory)?;
            let made = fixtures::library(Path::new(directory), &fixtures::Plan::new(files.parse()?))?;
            println!("{}", serde_json::json!({ "files": made.files.len(), "seconds": made.seconds, "speakers": made.speakers }));
            Ok(())
        }
        ["--bad", directory] => {
            std::fs::create_dir_all(directory)?;
            println!("{}", serde_json::json!({ "files": fixtures::bad_files(Path::new(directory))?.len() }));
            Ok(())
        }
        ["--scan", directory, manifest, exports] => {
            let formats = vec![Export::NeMo, Export::Lhotse, Export::HfAudiofolder, Export::LjSpeech];
            std::fs::create_dir_all(exports)?;
            let exports = Some(Exports { formats, directory: exports.into() });
            let options = Options { tier: Tier::Full, exports, ..Options::new(manifest) };
            println!("{}", serde_json::to_string_pretty(&scan(Path::new(directory), &options, &())?)?);
            Ok(())
        }
        [directory] => tiers(Path::new(directory), 1, 3, "quick standard full"),
        [directory, threads] => tiers(Path::new(directory), threads.parse()?, 3, "quick standard full"),
        [directory, threads, rounds] => {
            tiers(Path::new(directory), threads.parse()?, rounds.parse()?, "quick standard full")
        }
        [directory, threads, rounds, only] => tiers(Path::new(directory), threads.parse()?, rounds.parse()?, only),
        _ => Err("usage: scan_bench <directory> [threads] [rounds] | --make <directory> <files> | --bad <directory> | --scan <directory> <manifest> <exports>".into()),
    }
}

fn tiers(directory: &Path, threads: usize, rounds: usize, only: &str) -> Fallible<()> {
    let scratch = std::env::temp_dir().join(format!("scan_bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let mut result = serde_json::Map::new();
    for (name, tier) in [("quick", Tier::Quick), ("standard", Tier::Standard), ("full", Tier::Full)] {
        if !only.contains(name) {
            continue;
        }
        let manifest = scratch.join(format!("{name}.jsonl"));
        let options = Options {
            tier,
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            ..Options::new(&manifest)
        };
        result.insert(name.into(), measure(directory, &options, rounds)?);
        if tier == Tier::Full {
            let again = Options { previous: Some(manifest.clone()), ..options };
            result.insert("full_unchanged".into(), measure(directory, &again, rounds)?);
        }
    }
    std::fs::remove_dir_all(&scratch)?;
    println!("{}", serde_json::Value::Object(result));
    Ok(())
}

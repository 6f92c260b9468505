//! What it was measured on: figures mean nothing without it.

use std::fs::{File, read_to_string};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::load::micros;

/// How often a write is synced to learn how long that takes.
const SYNCS: usize = 500;

/// A machine, and what its disk does just now.
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    load: String,
    sync_p50: f64,
    sync_p99: f64,
}

impl Machine {
    /// Looks at this machine, with the disk that `directory` is on.
    pub(crate) fn look(directory: &Path) -> Fallible<Self> {
        let syncs = syncs(directory)?;
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: processor(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            load: first_line("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            sync_p50: quantile(&syncs, 0.5),
            sync_p99: quantile(&syncs, 0.99),
        })
    }

    /// In a sentence.
    pub(crate) fn told(&self) -> String {
        let Self { cores, processor, kernel, load, sync_p50, sync_p99 } = self;
        format!(
            "{cores} cores of {processor}, Linux {kernel}, load average before {load}, fdatasync of 4 KiB p50 \
             {sync_p50:.0} µs, p99 {sync_p99:.0} µs."
        )
    }

    pub(crate) fn json(&self) -> Value {
        let Self { cores, processor, kernel, load, sync_p50, sync_p99 } = self;
        json!({
            "cores": cores, "processor": processor, "kernel": kernel, "load": load,
            "fdatasync_p50_us": sync_p50, "fdatasync_p99_us": sync_p99,
        })
    }
}

/// How long it takes to write 4 KiB where there is a file already, and sync: what every durable promise waits for.
fn syncs(directory: &Path) -> Fallible<Histogram<u64>> {
    let mut file = File::create(directory.join("sync"))?;
    let block = [7_u8; 4096];
    for _ in 0..64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let mut took = Histogram::new(3)?;
    for turn in 0..SYNCS {
        file.seek(SeekFrom::Start((turn % 64 * block.len()) as u64))?;
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        took.record(micros(begun.elapsed()))?;
    }
    Ok(took)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a measurement")]
fn quantile(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64
}

fn processor() -> String {
    let text = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "an unknown processor".to_owned(), |(_, name)| name.trim().to_owned())
}

fn first_line(path: &str) -> String {
    read_to_string(path).unwrap_or_default().lines().next().unwrap_or("?").to_owned()
}

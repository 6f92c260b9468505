//! What `audio.scan` promises, one file per promise.

mod bad_files;
mod cancel;
mod compressed;
mod duplicates;
mod exports;
mod library;
mod rescan;
mod walker;

use raincheck_audio::{Code, Options, Row, Summary, Tier, scan};
use std::path::{Path, PathBuf};

/// A directory to scan and one for what a scan writes.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        std::fs::create_dir(place.root()).expect("create");
        place
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn manifest(&self) -> PathBuf {
        self.directory.path().join("manifest.jsonl")
    }

    fn options(&self, tier: Tier) -> Options {
        Options { tier, threads: std::num::NonZeroUsize::new(3).expect("not zero"), ..Options::new(self.manifest()) }
    }

    fn scan(&self, tier: Tier) -> (Summary, Vec<Row>) {
        self.scan_with(&self.options(tier))
    }

    fn scan_with(&self, options: &Options) -> (Summary, Vec<Row>) {
        let summary = scan(&self.root(), options, &()).expect("a scan");
        (summary, rows(&options.manifest))
    }
}

fn rows(manifest: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(manifest).expect("a manifest");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

fn codes(row: &Row) -> Vec<Code> {
    let mut codes: Vec<Code> = row.issues.iter().map(|issue| issue.code).collect();
    codes.sort_unstable();
    codes
}

//! A scan: one thread walks, some inspect, the caller's thread writes, in the walk's order.

mod pipeline;

use crate::duplicates::Finder;
use crate::error::ScanError;
use crate::libritts::Speakers;
use crate::manifest::Manifest;
use crate::options::{Control, Options, Tier};
use crate::path::escape;
use crate::previous::Previous;
use crate::row::Row;
use crate::summary::{Fault, Summary};
use crate::tally::Tally;
use crate::walk;
use pipeline::{Done, Outcome};
use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

/// Scans every audio file below `root`.
///
/// Writes one row per file to `options.manifest`, in the order of the walk: in each directory first its files by name, then its
/// subdirectories by name. Nothing that is wrong with a file ends the scan. Blocks the calling thread.
///
/// # Errors
/// See [`ScanError`]; [`ScanError::Cancelled`] within a second of `control` saying so.
pub fn scan(root: &Path, options: &Options, control: &dyn Control) -> Result<Summary, ScanError> {
    #[expect(clippy::disallowed_methods, reason = "how long the scan took; nothing is decided by it")]
    let started = Instant::now();
    let directory = open_root(root)?;
    let (manifest, resumed) = Manifest::create(&options.manifest)?;
    let previous = match &options.previous {
        Some(path) => Previous::open(path).map_err(|source| ScanError::Previous { path: path.clone(), source })?,
        None => None,
    };
    let has_previous = previous.is_some();
    // The earlier manifest comes first: every file is looked up in it, which tells what was removed.
    let previous: Vec<Previous> = previous.into_iter().chain(resumed).collect();
    let speakers = Speakers::find(root, options.tables_below.as_deref());
    let mut report = Report::new(manifest, options.tier);
    let is_whole = match walk::survey(&directory, &|| control.cancelled()) {
        Some(survey) => {
            control.progress(0, survey.total);
            pipeline::run(&directory, options, control, &previous, &speakers, survey, &mut report)?
        }
        None => false,
    };
    let partial = |report: Report| -> Result<Box<Summary>, ScanError> {
        let mut summary = report.tally_up(&speakers, started);
        summary.0.is_partial = true;
        summary.1.keep()?;
        Ok(Box::new(summary.0))
    };
    if !is_whole {
        return Err(ScanError::Cancelled { partial: partial(report)? });
    }
    if !is_still_there(root, &directory) {
        return Err(ScanError::RootVanished { partial: partial(report)? });
    }
    if let Some(previous) = previous.first().filter(|_| has_previous) {
        previous.unseen(|path| report.tally.summary.removed.add(path));
    }
    let (mut summary, manifest) = report.tally_up(&speakers, started);
    manifest.finish()?;
    if let Some(exports) = &options.exports {
        summary.exports = crate::export::write(root, &options.manifest, exports)?;
    }
    Ok(summary)
}

fn open_root(root: &Path) -> Result<OwnedFd, ScanError> {
    rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| ScanError::Root(errno.into()))
}

fn is_still_there(root: &Path, directory: &OwnedFd) -> bool {
    let (Ok(now), Ok(then)) = (rustix::fs::stat(root), rustix::fs::fstat(directory)) else { return false };
    (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)
}

/// Where rows arrive, in order.
struct Report {
    manifest: Manifest,
    tally: Tally,
    by_content: Finder,
    by_audio: Finder,
    /// Tables are read, so that their rows without audio can be told.
    reads_tables: bool,
}

impl Report {
    fn new(manifest: Manifest, tier: Tier) -> Self {
        Self {
            manifest,
            tally: Tally::new(tier),
            by_content: Finder::default(),
            by_audio: Finder::default(),
            reads_tables: tier >= Tier::Standard,
        }
    }

    fn take(&mut self, outcome: Outcome) -> Result<(), ScanError> {
        match outcome {
            Outcome::Rows(rows) => rows.into_iter().try_for_each(|done| self.row(done)),
            Outcome::Orphans(stems) => {
                for stem in stems {
                    self.tally.summary.orphans.text_without_audio.add(escape(&stem).0);
                }
                Ok(())
            }
            Outcome::Closed(folder) => {
                let unseen = if self.reads_tables { folder.tables().unseen() } else { Vec::new() };
                for id in unseen {
                    let path = escape(&folder.join(id.as_bytes())).0;
                    self.tally.summary.orphans.table_row_without_audio.add(path);
                }
                Ok(())
            }
            Outcome::Fault(path, code) => {
                self.tally.summary.faults.add(Fault { path: escape(&path).0, code });
                Ok(())
            }
        }
    }

    fn row(&mut self, done: Done) -> Result<(), ScanError> {
        let Done { mut row, mut line, is_reused } = done;
        let before = (row.duplicate_of.take(), row.audio_duplicate_of.take());
        self.find_duplicates(&mut row)?;
        if before != (row.duplicate_of.clone(), row.audio_duplicate_of.clone()) {
            line = to_line(&row);
        }
        let place = self.manifest.append(&line)?;
        if let Some(sha256) = &row.sha256 {
            self.by_content.remember(sha256, place);
        }
        if let Some(sha256) = &row.audio_sha256 {
            self.by_audio.remember(sha256, place);
        }
        self.tally.add(&row, is_reused);
        Ok(())
    }

    /// The same bytes have the same audio, so only files that differ are compared by their audio.
    fn find_duplicates(&mut self, row: &mut Row) -> Result<(), ScanError> {
        if let Some(sha256) = &row.sha256 {
            row.duplicate_of = self.by_content.repeated(sha256, row, &mut self.manifest)?;
        }
        if let (None, Some(sha256)) = (&row.duplicate_of, &row.audio_sha256) {
            row.audio_duplicate_of = self.by_audio.repeated(sha256, row, &mut self.manifest)?;
        }
        Ok(())
    }

    fn tally_up(self, speakers: &Speakers, started: Instant) -> (Summary, Manifest) {
        let mut summary = self.tally.finish(speakers, started.elapsed());
        summary.duplicates = self.by_content.finish();
        summary.audio_duplicates = self.by_audio.finish();
        (summary, self.manifest)
    }
}

/// A row as a line of the manifest.
fn to_line(row: &Row) -> Vec<u8> {
    let mut line = Vec::with_capacity(1024);
    // A row has string keys and finite numbers only, and memory takes every byte: this cannot fail.
    let _ = serde_json::to_writer(&mut line, row);
    line
}

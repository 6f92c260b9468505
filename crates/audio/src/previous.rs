//! An earlier manifest: what was known about each file, without holding it in memory.

use crate::content::fill;
use crate::path::unescape;
use crate::row::Row;
use crate::stamp::Stamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows of an earlier manifest that are remembered; files beyond are scanned anew. 40 bytes of memory each.
pub(crate) const MAX_ROWS: usize = 8_000_000;

/// The longest line of a manifest that is read, in bytes; longer ones are no rows of ours.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// An index over the lines of an earlier manifest.
pub(crate) struct Previous {
    file: File,
    lines: HashMap<u64, usize>,
    spans: Vec<Span>,
}

struct Span {
    start: u64,
    length: usize,
    seen: AtomicBool,
}

/// As much of a row as the index needs.
#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(default)]
    path_escaped: bool,
}

impl Previous {
    /// Indexes the manifest at `path`; `None` if there is none. Lines that are no rows (a torn last one) are passed over.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Self::index(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn index(file: File) -> io::Result<Self> {
        let (mut lines, mut spans) = (HashMap::new(), Vec::new());
        let mut reader = Lines::new(&file);
        while let Some((start, line)) = reader.next_line()? {
            let Ok(name) = serde_json::from_slice::<Name<'_>>(line) else { continue };
            if spans.len() >= MAX_ROWS {
                break;
            }
            lines.insert(key(&unescape(&name.path, name.path_escaped)), spans.len());
            spans.push(Span { start, length: line.len(), seen: AtomicBool::new(false) });
        }
        Ok(Self { file, lines, spans })
    }

    /// The row about `path`, which is thereby not removed.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Row> {
        let span = &self.spans[*self.lines.get(&key(path))?];
        let row = self.read(span)?;
        if *unescape(&row.path, row.path_escaped) != *path {
            return None;
        }
        span.seen.store(true, Ordering::Relaxed);
        Some(row)
    }

    /// Hands over the paths that were not asked for, in the order of the manifest.
    pub(crate) fn unseen(&self, mut each: impl FnMut(String)) {
        // A path may stand in a resumed manifest twice; only its last line counts.
        let mut last: Vec<usize> =
            self.lines.values().copied().filter(|at| !self.spans[*at].seen.load(Ordering::Relaxed)).collect();
        last.sort_unstable();
        for row in last.into_iter().filter_map(|at| self.read(&self.spans[at])) {
            each(row.path);
        }
    }

    fn read(&self, span: &Span) -> Option<Row> {
        let mut line = vec![0; span.length];
        let read = fill(&self.file, span.start, &mut line).ok()?.len();
        serde_json::from_slice(line.get(..read)?).ok()
    }
}

fn key(path: &[u8]) -> u64 {
    Stamp::new().bytes(path).full()
}

/// The lines of a manifest, of bounded length.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    at: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, source), line: Vec::new(), at: 0 }
    }

    /// The next line without its end, and where it starts. Over-long lines are passed over.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            self.line.clear();
            let start = self.at;
            let read = (&mut self.reader).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.at += read as u64;
            if read == MAX_LINE_BYTES && self.line.last() != Some(&b'\n') {
                self.at += self.reader.skip_until(b'\n')? as u64;
                continue;
            }
            return Ok(Some((start, self.line.strip_suffix(b"\n").unwrap_or(&self.line))));
        }
    }
}

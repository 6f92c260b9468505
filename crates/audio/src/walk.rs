//! Finding the audio files below a directory, in a stable order and in bounded memory.
//!
//! Order: in each directory first its files by name, then its subdirectories by name. A directory of more than
//! [`MAX_NAMES_HELD`] entries is taken in portions of that size, each sorted by itself.

use crate::folder::{Chapter, Folder};
use crate::libritts::{NORMALIZED, ORIGINAL, is_book_table, is_transcript_table};
use crate::sniff::audio_extension;
use rustix::fs::{FileType, RawDir};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Names of one directory that are in memory at a time.
pub(crate) const MAX_NAMES_HELD: usize = 16_384;

/// Directories that are remembered, each an open handle; processes may often open 1,024 files.
pub(crate) const MAX_FOLDERS_HELD: usize = 256;

/// Bytes of directory entries that are read at a time.
const ENTRIES_BYTES: usize = 32 * 1024;

/// Directories below one another; deeper ones are reported and skipped. Each level holds an open handle and a buffer.
pub(crate) const MAX_DEPTH: usize = 64;

/// Something with an audio file's name.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) extension: &'static str,
    pub(crate) kind: Kind,
}

/// What the directory says that it is; to be checked when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Symlink,
    Other,
}

/// What the walk finds, in order.
pub(crate) enum Found {
    /// Files of one directory.
    Files(Arc<Folder>, Vec<Item>),
    /// Transcripts beside files that are not there: paths without ending.
    Orphans(Vec<Vec<u8>>),
    /// All files of this directory, which has tables, have been handed over.
    Closed(Arc<Folder>),
    /// A directory that could not be read, and why.
    Fault(Vec<u8>, &'static str),
}

/// How much there is to do.
pub(crate) struct Survey {
    /// Files that [`walk`] will hand over.
    pub(crate) total: u64,
    /// All that was found, if it is little enough to be remembered; then there is no need to walk again.
    pub(crate) found: Option<Vec<Found>>,
}

/// Counts the files below `root`, and remembers them if they are few. `None` if stopped.
pub(crate) fn survey(root: &OwnedFd, stopped: &dyn Fn() -> bool) -> Option<Survey> {
    // Not a duplicate, which would share the place up to which the directory has been read.
    let root = crate::open::directory_at(root, b".").ok()?;
    let mut survey = Survey { total: 0, found: Some(Vec::new()) };
    let outcome = walk(root, &mut |next| {
        if let Found::Files(_, items) = &next {
            survey.total += items.len() as u64;
        }
        match &mut survey.found {
            Some(found) if survey.total <= MAX_NAMES_HELD as u64 && found.len() < MAX_FOLDERS_HELD => found.push(next),
            _ => survey.found = None,
        }
        if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    outcome.is_continue().then_some(survey)
}

type Sink<'a> = dyn FnMut(Found) -> ControlFlow<()> + 'a;

/// Hands everything below `root` to `sink` until that breaks.
pub(crate) fn walk(root: OwnedFd, sink: &mut Sink<'_>) -> ControlFlow<()> {
    walk_in(&Arc::new(root), &Arc::from([]), 0, sink)
}

fn walk_in(handle: &Arc<OwnedFd>, path: &Arc<[u8]>, depth: usize, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut buffer = Vec::with_capacity(ENTRIES_BYTES);
    let mut entries = RawDir::new(&**handle, buffer.spare_capacity_mut());
    let mut folder: Option<Arc<Folder>> = None;
    loop {
        let mut portion = Portion::read(handle, &mut entries);
        portion.sort();
        let orphans = portion.orphans(handle, path);
        let chapter = folder.take().map_or_else(
            || Arc::new(Chapter::new(std::mem::take(&mut portion.tables))),
            |folder| Arc::clone(&folder.chapter),
        );
        // In a later portion side-cars may lie in another one than their files, so they are looked for.
        let has_sidecars = !portion.sidecars.ends.is_empty() || !portion.is_last;
        let now = Arc::new(Folder { handle: Arc::clone(handle), path: Arc::clone(path), has_sidecars, chapter });
        if !portion.items.is_empty() {
            sink(Found::Files(Arc::clone(&now), portion.items))?;
        }
        if !orphans.is_empty() {
            sink(Found::Orphans(orphans))?;
        }
        for name in portion.directories {
            descend(handle, &now, &name, depth, sink)?;
        }
        if portion.is_last {
            return if now.chapter.is_empty() { ControlFlow::Continue(()) } else { sink(Found::Closed(now)) };
        }
        folder = Some(now);
    }
}

fn descend(parent: &OwnedFd, folder: &Folder, name: &[u8], depth: usize, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut path = folder.join(name);
    if depth >= MAX_DEPTH {
        return sink(Found::Fault(path, "too_deep"));
    }
    match crate::open::directory_at(parent, name) {
        Ok(below) => {
            path.push(b'/');
            walk_in(&Arc::new(below), &Arc::from(path), depth + 1, sink)
        }
        Err(rustix::io::Errno::NOENT) => sink(Found::Fault(path, "directory_vanished")),
        Err(_) => sink(Found::Fault(path, "directory_unreadable")),
    }
}

/// Part of a directory's entries.
#[derive(Default)]
struct Portion {
    items: Vec<Item>,
    directories: Vec<Vec<u8>>,
    sidecars: Stems,
    tables: Vec<Vec<u8>>,
    is_last: bool,
}

impl Portion {
    fn read(directory: &OwnedFd, entries: &mut RawDir<'_, &OwnedFd>) -> Self {
        let mut portion = Self::default();
        for _ in 0..MAX_NAMES_HELD {
            let Some(Ok(entry)) = entries.next() else {
                portion.is_last = true;
                break;
            };
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                portion.take(directory, name, entry.file_type());
            }
        }
        portion
    }

    fn take(&mut self, directory: &OwnedFd, name: &[u8], mut kind: FileType) {
        let extension = audio_extension(name);
        if kind == FileType::Unknown {
            // Some file systems do not tell in the directory.
            kind = crate::open::stat_at(directory, name).map_or(kind, |stat| FileType::from_raw_mode(stat.st_mode));
        }
        if kind == FileType::Directory {
            self.directories.push(name.to_vec());
        }
        if let Some(extension) = extension {
            let kind = match kind {
                FileType::RegularFile | FileType::Unknown => Kind::File,
                FileType::Symlink => Kind::Symlink,
                _ => Kind::Other,
            };
            self.items.push(Item { name: name.to_vec(), extension, kind });
        } else if is_transcript_table(name) || is_book_table(name) {
            self.tables.push(name.to_vec());
        } else if let Some(stem) = sidecar_of(name) {
            self.sidecars.add(stem);
        }
    }

    fn sort(&mut self) {
        self.items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.directories.sort_unstable();
    }

    /// Side-cars whose audio is neither in this portion nor anywhere in the directory. The items are sorted.
    fn orphans(&self, directory: &OwnedFd, path: &[u8]) -> Vec<Vec<u8>> {
        let mut audio: Vec<&[u8]> = self.items.iter().map(|item| stem(&item.name)).collect();
        audio.sort_unstable();
        let elsewhere = |stem: &[u8]| crate::open::stat_at(directory, &[stem, b".wav"].concat()).is_ok();
        let mut orphans: Vec<&[u8]> = self.sidecars.iter().filter(|stem| audio.binary_search(stem).is_err()).collect();
        orphans.sort_unstable();
        orphans.dedup();
        orphans.into_iter().filter(|stem| !elsewhere(stem)).map(|stem| [path, stem].concat()).collect()
    }
}

/// Names without ending of the files that side-cars belong to, in one piece of memory: there are two for every file.
#[derive(Default)]
struct Stems {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Stems {
    fn add(&mut self, stem: &[u8]) {
        self.bytes.extend_from_slice(stem);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

fn sidecar_of(name: &[u8]) -> Option<&[u8]> {
    let stem = name.strip_suffix(NORMALIZED.as_bytes()).or_else(|| name.strip_suffix(ORIGINAL.as_bytes()))?;
    (!stem.starts_with(b"._")).then_some(stem)
}

/// The name without its extension.
pub(crate) fn stem(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'.').map_or(name, |dot| &name[..dot])
}

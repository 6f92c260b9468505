//! One directory of the tree while its files are worked on: an open handle, so that nobody can exchange it meanwhile, and the
//! tables that lie in it.

use crate::libritts::{NORMALIZED, ORIGINAL, Tables, is_book_table};
use crate::stamp::Stamp;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

/// The largest table read, in bytes.
pub(crate) const MAX_TABLE_BYTES: u64 = 16 << 20;

/// Tables read in one directory; LibriTTS has two.
pub(crate) const MAX_TABLES: usize = 16;

/// A directory that is being scanned.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) handle: Arc<OwnedFd>,
    /// Relative to the scanned directory, ending in `/` unless empty.
    pub(crate) path: Arc<[u8]>,
    /// Whether transcripts lie beside files here.
    pub(crate) has_sidecars: bool,
    pub(crate) chapter: Arc<Chapter>,
}

impl Folder {
    /// The path of a file in it, relative to the scanned directory.
    pub(crate) fn join(&self, name: &[u8]) -> Vec<u8> {
        [&self.path[..], name].concat()
    }

    /// Whether transcripts can be expected for the files here.
    pub(crate) fn has_texts(&self) -> bool {
        self.has_sidecars || !self.chapter.names.is_empty()
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.loaded().tables
    }

    fn loaded(&self) -> &Loaded {
        self.chapter.loaded.get_or_init(|| Loaded::read(&self.handle, &self.chapter.names))
    }

    /// The state of every text that speaks about the file `stem`.
    pub(crate) fn text_stamp(&self, stem: &[u8]) -> u64 {
        let mut stamp = self.loaded().stamp;
        if self.has_sidecars {
            for ending in [NORMALIZED, ORIGINAL] {
                let name = [stem, ending.as_bytes()].concat();
                stamp = stamp.stat(crate::open::stat_at(&*self.handle, &name).ok().as_ref());
            }
        }
        stamp.value()
    }
}

/// The tables of a directory, read when the first file needs them.
#[derive(Debug, Default)]
pub(crate) struct Chapter {
    names: Vec<Vec<u8>>,
    loaded: OnceLock<Loaded>,
}

impl Chapter {
    pub(crate) fn new(mut names: Vec<Vec<u8>>) -> Self {
        names.sort_unstable();
        names.truncate(MAX_TABLES);
        Self { names, loaded: OnceLock::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[derive(Debug)]
struct Loaded {
    tables: Tables,
    stamp: Stamp,
}

impl Loaded {
    fn read(directory: &OwnedFd, names: &[Vec<u8>]) -> Self {
        let mut loaded = Self { tables: Tables::default(), stamp: Stamp::new() };
        for name in names {
            let Ok((file, stat)) = crate::open::regular_at(directory, name) else { continue };
            loaded.stamp = loaded.stamp.stat(Some(&stat));
            // An unreadable table shows as missing transcripts.
            let Ok(text) = crate::open::text(&file, MAX_TABLE_BYTES) else { continue };
            match is_book_table(name) {
                true => loaded.tables.add_book(&text),
                false => loaded.tables.add_transcripts(&text),
            }
        }
        loaded
    }
}

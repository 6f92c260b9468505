//! Files that were uploaded.

use bytes::Bytes;

use crate::sim::Bounded;

/// Files that are kept.
pub const FILES_MAX: usize = 1_000;
/// What all files together may hold; the oldest make room.
pub const FILES_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) purpose: String,
    pub(crate) content: Bytes,
}

/// The files.
#[derive(Debug)]
pub(crate) struct Files {
    kept: Bounded<String, File>,
    bytes: usize,
}

impl Default for Files {
    fn default() -> Self {
        Self { kept: Bounded::new(FILES_MAX), bytes: 0 }
    }
}

impl Files {
    pub(crate) fn add(&mut self, file: File) {
        self.remove(&file.id);
        self.bytes += file.content.len();
        if let Some(oldest) = self.kept.insert(file.id.clone(), file) {
            self.bytes -= oldest.content.len();
        }
        while self.bytes > FILES_BYTES_MAX {
            let Some(oldest) = self.kept.pop_oldest() else { break };
            self.bytes -= oldest.content.len();
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<File> {
        self.kept.get(&id.to_owned()).cloned()
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<File> {
        let removed = self.kept.remove(&id.to_owned())?;
        self.bytes -= removed.content.len();
        Some(removed)
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<File> {
        self.kept.iter().rev().map(|(_, file)| file.clone()).collect()
    }
}

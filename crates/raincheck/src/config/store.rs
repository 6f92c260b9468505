use raincheck_store_sqlite::Options;

use super::limits::Limits;
use super::reader::Reader;
use super::server::Server;
use super::size::Size;
use super::value::{Value, one_of, word_of};

/// `[store]`: where jobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// What keeps the jobs.
    pub(crate) kind: StoreKind,
    /// How many calls may wait to be committed.
    commit_queue: usize,
    /// How many bytes these calls may hold.
    commit_queue_bytes: Size,
    /// With less free on the file system no new jobs are taken.
    free_space_min: Size,
    /// How many threads read.
    readers: usize,
}

/// What keeps the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// SQLite in the data directory: survives power cuts.
    Sqlite,
    /// Memory: nothing survives the process.
    Memory,
}

const KINDS: &[(&str, StoreKind)] = &[("sqlite", StoreKind::Sqlite), ("memory", StoreKind::Memory)];

impl Value for StoreKind {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, KINDS)
    }

    fn show(&self) -> String {
        word_of(self, KINDS)
    }
}

impl Default for Store {
    fn default() -> Self {
        let Options { commit_queue, commit_queue_bytes, free_space_min, readers, .. } = Options::new("");
        let (commit_queue_bytes, free_space_min) = (Size::of(commit_queue_bytes), Size(free_space_min));
        Self { kind: StoreKind::Sqlite, commit_queue, commit_queue_bytes, free_space_min, readers }
    }
}

impl Store {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut section = reader.section("store");
        let some = |number: &usize| *number > 0;
        let enough = |size: &Size| *size >= Size(1 << 20);
        Self {
            kind: section.get("kind", default.kind),
            commit_queue: section.get_if("commit_queue", default.commit_queue, some, "must be at least 1"),
            commit_queue_bytes: section.get_if(
                "commit_queue_bytes",
                default.commit_queue_bytes,
                enough,
                "must be at least 1 MiB",
            ),
            free_space_min: section.get("free_space_min", default.free_space_min),
            readers: section.get_if("readers", default.readers, some, "must be at least 1"),
        }
    }

    /// What the embedded store is opened with.
    pub(crate) fn options(&self, server: &Server, limits: &Limits) -> Options {
        Options {
            limits: limits.of_store(),
            commit_queue: self.commit_queue,
            commit_queue_bytes: self.commit_queue_bytes.as_usize(),
            free_space_min: self.free_space_min.0,
            readers: self.readers,
            ..Options::new(&server.data_dir)
        }
    }
}

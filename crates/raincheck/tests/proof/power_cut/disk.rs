//! A disk that forgets: what was synced stays, and of the rest a power cut leaves whatever it likes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

use super::trace::{Name, Op};

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// Which syncs the disk only pretends to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    None,
    /// As with `synchronous=NORMAL`: commits are not synced.
    NoWalSync,
    NoDatabaseSync,
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Dropped,
    Kept,
    /// Each write is kept with this chance: as if the disk had reordered them.
    Reordered(f64),
    /// Each sector of each write is kept with this chance.
    Torn(f64),
}

impl Fate {
    pub(super) fn draw(chance: &mut StdRng) -> Self {
        let share = chance.random_range(0.1..0.95);
        match chance.random_range(0..8) {
            0 => Self::Dropped,
            1 => Self::Kept,
            2..=4 => Self::Reordered(share),
            _ => Self::Torn(share),
        }
    }
}

#[derive(Clone)]
enum Change {
    Write(usize, Arc<[u8]>),
    Resize(usize),
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    /// Not synced yet, in order.
    pending: Vec<Change>,
    /// How many of these were there when the sync that is under way began.
    covered: usize,
    /// Whether its name is synced too.
    named: bool,
}

/// The disk under the replay.
pub(super) struct Disk {
    files: BTreeMap<Name, File>,
    lie: Lie,
}

/// What a power cut left.
pub(super) struct Image(BTreeMap<Name, Vec<u8>>);

impl Disk {
    pub(super) fn new(lie: Lie) -> Self {
        Self { files: BTreeMap::new(), lie }
    }

    pub(super) fn apply(&mut self, op: &Op) {
        let lies = |name: Name| match self.lie {
            Lie::None => false,
            Lie::NoWalSync => name == Name::Wal,
            Lie::NoDatabaseSync => name == Name::Database,
        };
        match op {
            Op::Told(_) => {}
            Op::Create(name) => drop(self.files.insert(*name, File::default())),
            Op::DirectorySynced => self.files.values_mut().for_each(|file| file.named = true),
            Op::Write(name, at, bytes) => self.pending(*name).push(Change::Write(*at, Arc::clone(bytes))),
            Op::Resize(name, size) => self.pending(*name).push(Change::Resize(*size)),
            Op::SyncBegun(name) => {
                let file = self.files.entry(*name).or_default();
                file.covered = file.pending.len();
            }
            Op::SyncEnded(name) if lies(*name) => {}
            Op::SyncEnded(name) => {
                let file = self.files.entry(*name).or_default();
                let File { synced, pending, covered, .. } = file;
                pending.drain(..*covered).for_each(|change| change.apply(synced));
                file.covered = 0;
            }
        }
    }

    fn pending(&mut self, name: Name) -> &mut Vec<Change> {
        &mut self.files.entry(name).or_default().pending
    }

    /// What is left if the power is cut now.
    pub(super) fn image(&self, fate: Fate, chance: &mut StdRng) -> Image {
        let there = self.files.iter().filter(|(_, file)| file.named || matches!(fate, Fate::Kept));
        Image(there.map(|(name, file)| (*name, file.left(fate, chance))).collect())
    }
}

impl File {
    fn left(&self, fate: Fate, chance: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.pending {
            match fate {
                Fate::Dropped => {}
                Fate::Kept => change.apply(&mut bytes),
                Fate::Reordered(share) if chance.random_bool(share) => change.apply(&mut bytes),
                Fate::Reordered(_) => {}
                Fate::Torn(share) => change.tear(&mut bytes, share, chance),
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Resize(size) => file.resize(*size, 0),
            Self::Write(at, bytes) => write(file, *at, bytes),
        }
    }

    fn tear(&self, file: &mut Vec<u8>, share: f64, chance: &mut StdRng) {
        let Self::Write(at, bytes) = self else {
            if chance.random_bool(share) {
                self.apply(file);
            }
            return;
        };
        let (mut start, end) = (*at, at + bytes.len());
        while start < end {
            let next = ((start / SECTOR + 1) * SECTOR).min(end);
            if chance.random_bool(share) {
                write(file, start, &bytes[start - at..next - at]);
            }
            start = next;
        }
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Image {
    /// What a file holds; nothing if it is not there.
    pub(super) fn bytes(&self, name: Name) -> &[u8] {
        self.0.get(&name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn write(&self, directory: &Path) {
        for (name, bytes) in &self.0 {
            std::fs::write(directory.join(name.file()), bytes).expect("write an image");
        }
    }
}

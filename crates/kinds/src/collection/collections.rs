use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::folder;
use super::index::Index;

/// The collections of a server: folders of texts, each indexed in memory. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Collections(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    folders: BTreeMap<String, PathBuf>,
    indexes: RwLock<BTreeMap<String, Arc<Index>>>,
}

/// A collection that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("collection {name}: {detail}")]
pub struct CollectionError {
    /// Its name.
    pub name: String,
    /// What is wrong, where, and what is expected.
    pub detail: String,
}

impl Collections {
    /// Indexes the texts in these folders, each under its name. Blocks while it reads.
    ///
    /// # Errors
    /// If a folder cannot be read or holds more than it may.
    pub fn open(folders: BTreeMap<String, PathBuf>) -> Result<Self, CollectionError> {
        let indexes = RwLock::new(index(&folders)?);
        Ok(Self(Arc::new(Inner { folders, indexes })))
    }

    /// Indexes every folder anew; if one cannot be, all stay as they were. Searches go on meanwhile. Blocks while it reads.
    ///
    /// # Errors
    /// As of [`Collections::open`].
    pub fn reload(&self) -> Result<(), CollectionError> {
        let fresh = index(&self.0.folders)?;
        *self.0.indexes.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.folders.keys().cloned().collect()
    }

    /// How many passages there are in all.
    #[must_use]
    pub fn passages(&self) -> usize {
        let indexes = self.0.indexes.read().unwrap_or_else(PoisonError::into_inner);
        indexes.values().map(|index| index.passages.len()).sum()
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Index>> {
        self.0.indexes.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

fn index(folders: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Arc<Index>>, CollectionError> {
    let indexed = folders.iter().map(|(name, path)| {
        let index = folder::read(path).and_then(|files| Index::of(&files));
        let index = index.map_err(|detail| CollectionError { name: name.clone(), detail })?;
        Ok((name.clone(), Arc::new(index)))
    });
    indexed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_anew_all_or_none() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.md");
        std::fs::write(&file, "# One\n\nA lighthouse.\n").unwrap();
        let collections = Collections::open(BTreeMap::from([("sea".into(), place.path().into())])).unwrap();
        let first = collections.get("sea").unwrap();
        std::fs::write(&file, "# One\n\nA lighthouse and a harbour.\n").unwrap();
        assert!(collections.get("sea").unwrap().search("harbour", 5).is_empty());
        collections.reload().unwrap();
        let second = collections.get("sea").unwrap();
        assert_eq!(second.search("harbour", 5).len(), 1);
        assert_ne!(first.generation, second.generation);
        std::fs::write(&file, [0xFF, 0xFE, 0x00]).unwrap();
        let told = collections.reload().unwrap_err().to_string();
        assert!(told.starts_with("collection sea: ") && told.contains("a.md") && told.contains("UTF-8"), "{told}");
        assert_eq!(collections.get("sea").unwrap().generation, second.generation);
    }
}

//! Files that are the same, byte for byte or in what is heard.

use crate::error::ScanError;
use crate::manifest::{Manifest, Place};
use crate::row::Row;
use crate::summary::MAX_LISTED;
use serde::Serialize;
use std::collections::HashMap;

/// Hashes remembered; duplicates of files beyond are not found, and the summary says so. About 50 bytes of memory each.
pub(crate) const MAX_HASHES: usize = 2_000_000;

/// Paths listed per group.
pub(crate) const MAX_PATHS: usize = 16;

/// Groups of files that are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Groups {
    /// How many groups there are.
    pub count: u64,
    /// How many files could be removed without losing anything: all but one of each group.
    pub redundant: u64,
    /// False if there were more files than could be compared.
    pub is_complete: bool,
    /// The first groups found.
    pub listed: Vec<Group>,
}

/// Files that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The SHA-256 they share.
    pub sha256: String,
    /// How many files.
    pub files: u64,
    /// The first of them.
    pub paths: Vec<String>,
}

/// Finds repetitions of one sort of hash in the order of the manifest.
#[derive(Default)]
pub(crate) struct Finder {
    first: HashMap<u128, First>,
    groups: Groups,
    overflowed: bool,
}

struct First {
    place: Place,
    group: Option<u32>,
    is_counted: bool,
}

impl Finder {
    /// The path of the first file with this hash, if there was one before `row`.
    pub(crate) fn repeated(
        &mut self,
        sha256: &str,
        row: &Row,
        manifest: &mut Manifest,
    ) -> Result<Option<String>, ScanError> {
        let Some(first) = key(sha256).and_then(|key| self.first.get_mut(&key)) else { return Ok(None) };
        let groups = &mut self.groups;
        groups.redundant += 1;
        if let Some(group) = first.group.and_then(|at| groups.listed.get_mut(at as usize)) {
            group.files += 1;
            if group.paths.len() < MAX_PATHS {
                group.paths.push(row.path.clone());
            }
            return Ok(group.paths.first().cloned());
        }
        let path =
            serde_json::from_slice::<Row>(&manifest.read(first.place)?).map_or_else(|_| String::new(), |row| row.path);
        if !first.is_counted {
            first.is_counted = true;
            groups.count += 1;
            if groups.listed.len() < MAX_LISTED {
                first.group = u32::try_from(groups.listed.len()).ok();
                groups.listed.push(Group {
                    sha256: sha256.to_owned(),
                    files: 2,
                    paths: vec![path.clone(), row.path.clone()],
                });
            }
        }
        Ok(Some(path))
    }

    /// Remembers the first file with this hash.
    pub(crate) fn remember(&mut self, sha256: &str, place: Place) {
        let Some(key) = key(sha256) else { return };
        if self.first.len() >= MAX_HASHES {
            self.overflowed |= !self.first.contains_key(&key);
            return;
        }
        self.first.entry(key).or_insert(First { place, group: None, is_counted: false });
    }

    pub(crate) fn finish(self) -> Groups {
        Groups { is_complete: !self.overflowed, ..self.groups }
    }
}

/// Half of a SHA-256 tells 2 million files apart as surely as the whole.
fn key(sha256: &str) -> Option<u128> {
    u128::from_str_radix(sha256.get(..32)?, 16).ok()
}

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// How many directories' manifests are kept.
const KEPT_MAX: usize = 256;

/// The manifest of the last scan of each directory, by which a later scan reads only what changed. Jobs have links of
/// their own to what they made, so that forgetting one here takes nothing from them.
#[derive(Clone, Debug)]
pub(crate) struct History {
    directory: PathBuf,
}

impl History {
    /// The history of a server, in `data_dir`.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let directory = data_dir.join("scans");
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Where the manifest of a scanned directory is kept; what an interrupted scan leaves stands beside it.
    pub(crate) fn manifest(&self, scanned: &Path) -> PathBuf {
        self.directory.join(format!("{}.jsonl", name(scanned)))
    }

    /// Forgets the directories whose last scan is longest ago, until there is room for this one among so many as are
    /// kept. A scan under way writes all the time, so its directory is never among these.
    pub(crate) fn make_room(&self, scanned: &Path) -> io::Result<()> {
        let mut kept = self.kept()?;
        kept.remove(&name(scanned));
        let mut by_age: Vec<(SystemTime, Vec<PathBuf>)> = kept.into_values().collect();
        by_age.sort();
        let too_many = (by_age.len() + 1).saturating_sub(KEPT_MAX);
        let mut files = by_age.into_iter().take(too_many).flat_map(|(_, files)| files);
        files.try_for_each(|file| match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }

    /// The files of each directory, and when the newest of them was written.
    fn kept(&self) -> io::Result<BTreeMap<String, (SystemTime, Vec<PathBuf>)>> {
        let mut kept = BTreeMap::new();
        for entry in std::fs::read_dir(&self.directory)?.flatten() {
            let file_name = entry.file_name();
            let Some((name, _)) = file_name.to_str().and_then(|name| name.split_once('.')) else { continue };
            // One that is just being renamed counts as old: its directory has another file.
            let written = entry.metadata().and_then(|of| of.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let (newest, files) = kept.entry(name.to_owned()).or_insert((written, Vec::new()));
            *newest = written.max(*newest);
            files.push(entry.path());
        }
        Ok(kept)
    }
}

/// Any path as a file name.
fn name(scanned: &Path) -> String {
    let digest = Sha256::digest(scanned.as_os_str().as_encoded_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_directories_are_remembered_and_the_oldest_go_first() {
        let place = tempfile::tempdir().unwrap();
        let history = History::open(place.path()).unwrap();
        let scanned = |number: usize| PathBuf::from(format!("/library/{number}"));
        let write = |path: &Path, age: usize| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(1_000_000 - age).unwrap());
            File::create(path).unwrap().set_modified(time).unwrap();
        };
        for number in 0..KEPT_MAX + 2 {
            write(&history.manifest(&scanned(number)), number);
        }
        let interrupted = history.manifest(&scanned(KEPT_MAX + 1)).with_extension("jsonl.partial");
        write(&interrupted, 0);
        history.make_room(&scanned(KEPT_MAX + 7)).unwrap();
        assert_eq!(history.kept().unwrap().len(), KEPT_MAX - 1);
        assert!(interrupted.exists(), "its directory is the newest");
        for (number, is_kept) in [(0, true), (KEPT_MAX - 3, true), (KEPT_MAX - 2, false), (KEPT_MAX, false)] {
            assert_eq!(history.manifest(&scanned(number)).exists(), is_kept, "{number}");
        }
        history.make_room(&scanned(0)).unwrap();
        assert_eq!(history.kept().unwrap().len(), KEPT_MAX - 1, "one that is scanned again needs no room");
    }
}

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory of a test's own, which goes with the test.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("raincheck-test-").expect("a temporary directory"))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where servers that are started here keep their data.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Where servers that are started here write their log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// That log, to be added to.
    pub(crate) fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.log()).expect("the log can be written")
    }

    /// Writes a file here, and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path
    }
}

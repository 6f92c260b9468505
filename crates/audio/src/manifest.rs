//! Writing the manifest: under another name until it is complete, so that nobody reads half of one.
//!
//! An interrupted scan leaves `<manifest>.partial`. The next one moves its rows to `<manifest>.resume`, takes over what has not
//! changed, and removes both at its end.

use crate::error::ScanError;
use crate::previous::Previous;
use rustix::fs::FlockOperation;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A manifest being written.
pub(crate) struct Manifest {
    path: PathBuf,
    partial: PathBuf,
    resume: PathBuf,
    file: BufWriter<File>,
    at: u64,
}

/// Where a row stands in the manifest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    start: u64,
    length: u32,
}

impl Manifest {
    /// Starts a manifest and opens what an interrupted scan left. The lock on the partial file is held until the end.
    pub(crate) fn create(path: &Path) -> Result<(Self, Option<Previous>), ScanError> {
        let (partial, resume) = (with_suffix(path, ".partial"), with_suffix(path, ".resume"));
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| ScanError::Manifest { path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial)
            .map_err(fault(&partial))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ScanError::Busy(path.to_owned())),
            Err(errno) => return Err(fault(&partial)(errno.into())),
        }
        keep_rows(&mut file, &resume).map_err(fault(&resume))?;
        file.set_len(0).and_then(|()| file.rewind()).map_err(fault(&partial))?;
        let resumed = Previous::open(&resume).map_err(fault(&resume))?;
        let manifest =
            Self { path: path.to_owned(), partial, resume, file: BufWriter::with_capacity(1 << 16, file), at: 0 };
        Ok((manifest, resumed))
    }

    /// Appends a row.
    pub(crate) fn append(&mut self, line: &[u8]) -> Result<Place, ScanError> {
        let written = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| self.fault(source))?;
        let place = Place { start: self.at, length: u32::try_from(line.len()).unwrap_or(u32::MAX) };
        self.at += line.len() as u64 + 1;
        Ok(place)
    }

    /// Reads back a row.
    pub(crate) fn read(&mut self, place: Place) -> Result<Vec<u8>, ScanError> {
        let mut line = vec![0; place.length as usize];
        let read = self.file.flush().and_then(|()| self.file.get_ref().read_exact_at(&mut line, place.start));
        read.map_err(|source| self.fault(source))?;
        Ok(line)
    }

    /// Everything is written: makes it durable and visible under its own name.
    pub(crate) fn finish(mut self) -> Result<(), ScanError> {
        let done = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.partial, &self.path));
        done.and_then(|()| sync_parent(&self.path)).map_err(|source| self.fault(source))?;
        match std::fs::remove_file(&self.resume) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fault(error)),
            _ => Ok(()),
        }
    }

    /// The scan ends early: what there is stays for the next one.
    pub(crate) fn keep(mut self) -> Result<(), ScanError> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(|source| self.fault(source))
    }

    fn fault(&self, source: io::Error) -> ScanError {
        ScanError::Manifest { path: self.partial.clone(), source }
    }
}

/// Appends the rows of an interrupted scan to those it had itself taken over.
fn keep_rows(partial: &mut File, resume: &Path) -> io::Result<()> {
    if partial.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut kept = OpenOptions::new().append(true).create(true).open(resume)?;
    io::copy(partial, &mut kept)?;
    // The last row may be torn; the next ones must not become part of it.
    kept.write_all(b"\n")?;
    kept.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// A rename is durable when the directory is.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

//! Opening files that somebody else may have put there.
//!
//! Links are never followed, nothing blocks (a FIFO opened for reading waits for a writer for ever), and what is not a regular
//! file is refused.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Why a file could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is gone.
    Vanished,
    /// It is a link.
    Symlink,
    /// It is a directory, FIFO, socket or device.
    NotRegular,
    /// Anything else, mostly a lack of permission.
    Unreadable(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Vanished,
            Errno::LOOP => Self::Symlink,
            // A socket, or a device without a driver.
            Errno::NXIO | Errno::NODEV => Self::NotRegular,
            errno => Self::Unreadable(errno),
        }
    }
}

const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// Opens the regular file `name` in `directory`; its status is that of the file that is open, not of the name.
pub(crate) fn regular_at(directory: impl AsFd, name: &[u8]) -> Result<(File, Stat), Refusal> {
    let file = openat(directory, name, READ, Mode::empty())?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Refusal::NotRegular);
    }
    Ok((File::from(file), stat))
}

/// Opens the regular file at `path`.
pub(crate) fn regular(path: &Path) -> io::Result<File> {
    let file = rustix::fs::open(path, READ, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(File::from(file))
}

/// Opens the directory `name` in `parent` without following a link.
pub(crate) fn directory_at(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    openat(parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Status of the name itself; a link is not followed.
pub(crate) fn stat_at(directory: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Time of the last change, in nanoseconds since 1970.
pub(crate) fn mtime_ns(stat: &Stat) -> i64 {
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

/// All text of a file of at most `limit` bytes.
pub(crate) fn text(file: &File, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

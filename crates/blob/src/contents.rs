//! Contents: the bytes of files by their SHA-256, each once for a tenant. Never shared between tenants, so that nobody learns from
//! how fast something is taken whether somebody else has it.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use raincheck_core::Tenant;
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use crate::About;
use crate::room::Reserved;

/// Where the contents of a tenant are, in its directory.
pub(crate) const CONTENTS: &str = ".content";
/// What is added to a content's name: that the bucket's copy is to be removed, and the name of its upload in parts.
const GONE: &str = "gone";
const SENDING: &str = "upload";
const DIGITS: usize = 64;

/// What a content is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) tenant: Tenant,
    pub(crate) sha256: String,
}

/// What stands in the directory of a tenant's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The bytes of this content.
    Bytes(Key),
    /// The note that this content is to be removed from the bucket.
    Gone(Key),
}

impl Key {
    pub(crate) fn of(about: &About) -> Self {
        Self { tenant: about.tenant.clone(), sha256: about.sha256.clone() }
    }

    pub(crate) fn directory(&self, root: &Path) -> PathBuf {
        root.join(self.tenant.as_str()).join(CONTENTS)
    }

    /// Where the bytes are, if they are on this disk.
    pub(crate) fn bytes(&self, root: &Path) -> PathBuf {
        self.directory(root).join(&self.sha256)
    }

    /// Where it is noted that the bucket's copy is to be removed.
    pub(crate) fn gone(&self, root: &Path) -> PathBuf {
        self.bytes(root).with_extension(GONE)
    }

    /// Where the name of an upload in parts is noted.
    pub(crate) fn sending(&self, root: &Path) -> PathBuf {
        self.bytes(root).with_extension(SENDING)
    }
}

impl Entry {
    /// What a name in the directory of a tenant's contents stands for, if it is one of ours.
    pub(crate) fn of(tenant: &Tenant, name: &str) -> Option<Self> {
        let (digits, extension) = name.split_once('.').unwrap_or((name, ""));
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_sha256 = digits.len() == DIGITS && digits.bytes().all(is_hex);
        let key = Key { tenant: tenant.clone(), sha256: digits.to_owned() };
        match extension {
            "" if is_sha256 => Some(Self::Bytes(key)),
            GONE if is_sha256 => Some(Self::Gone(key)),
            _ => None,
        }
    }
}

/// The bytes of a file, to be read from wherever they are.
pub struct Content(From);

enum From {
    Disk(File),
    Bucket(StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>),
}

impl Content {
    pub(crate) fn on_disk(file: File) -> Self {
        Self(From::Disk(file))
    }

    pub(crate) fn in_bucket(pieces: BoxStream<'static, io::Result<Bytes>>) -> Self {
        Self(From::Bucket(StreamReader::new(pieces)))
    }
}

impl AsyncRead for Content {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            From::Disk(file) => Pin::new(file).poll_read(context, read),
            From::Bucket(pieces) => Pin::new(pieces).poll_read(context, read),
        }
    }
}

/// A file's bytes on this disk, for those who read here and there in it.
#[derive(Debug)]
pub struct Local {
    /// The bytes.
    pub file: File,
    /// What a copy takes of the room; to be kept as long as the file.
    pub room: Reserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_contents_are_contents() {
        let tenant: Tenant = "voice".parse().unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let key = Key { tenant: tenant.clone(), sha256: sha256.clone() };
        assert_eq!(Entry::of(&tenant, &sha256), Some(Entry::Bytes(key.clone())));
        assert_eq!(Entry::of(&tenant, &format!("{sha256}.gone")), Some(Entry::Gone(key)));
        for other in [&format!("{sha256}.upload"), &sha256[1..], &sha256.to_uppercase(), "", ".gone"] {
            assert_eq!(Entry::of(&tenant, other), None);
        }
    }
}

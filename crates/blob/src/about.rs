use std::fmt;
use std::str::FromStr;

use raincheck_core::{JobId, Tenant, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const PREFIX: &str = "file-";
const DIGITS: usize = 32;

/// The name of a file: `file-` and 32 hexadecimal digits. Those of uploads sort by when they came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileId(String);

/// Text that names no file.
#[derive(Debug, PartialEq, Eq)]
pub struct FileIdError;

impl FileId {
    /// The name of a new file that came at `now`.
    #[must_use]
    pub fn new(now: Time, random: u64) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(format!("{PREFIX}{millis:016x}{random:016x}"))
    }

    /// The name of what a job leaves under `role`: the same whenever it is asked for, so that it is left once.
    #[must_use]
    pub fn of_job(job: JobId, role: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(job.to_string());
        hash.update([0]);
        hash.update(role);
        // Among the uploads it stands where its job does.
        let millis = u64::try_from(job.key().minted_at().as_millis()).unwrap_or(0);
        Self(format!("{PREFIX}{millis:016x}{}", hex(&hash.finalize()[..8])))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileId {
    type Err = FileIdError;

    fn from_str(text: &str) -> Result<Self, FileIdError> {
        let digits = text.strip_prefix(PREFIX).ok_or(FileIdError)?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() == DIGITS && digits.bytes().all(is_hex) { Ok(Self(text.to_owned())) } else { Err(FileIdError) }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be known of a new file.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name here.
    pub id: FileId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name as its owner knows it.
    pub filename: String,
    /// What it is for, in a word.
    pub purpose: String,
    /// When it came.
    pub created_at: Time,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name here.
    pub id: FileId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name as its owner knows it.
    pub filename: String,
    /// What it is for, in a word.
    pub purpose: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// When it came.
    pub created_at: Time,
    /// When it is removed, if it does not stay until somebody deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

impl About {
    /// Whether its time has passed: it is as good as removed.
    #[must_use]
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether it is none of the files that its owner sees, but a piece of what will be one.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.purpose.starts_with('.')
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use raincheck_core::Time;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

use crate::about::hex;
use crate::blobs::content;
use crate::room::Reserved;
use crate::{About, Blobs, Wanted};

/// Why a file was not taken.
#[derive(Debug)]
pub enum UploadError {
    /// It is larger than this.
    TooLarge(u64),
    /// The tenant has as many files as it may.
    TooMany(usize),
    /// So many bytes wait for the bucket already, and it has not taken any for a while.
    NoRoom(u64),
    /// What was to be kept did not come whole.
    Source(io::Error),
    /// It could not be written.
    Io(io::Error),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A file that is being written. Until it is finished nobody sees it; if it never is, nothing is left of it.
pub struct Upload {
    blobs: Blobs,
    wanted: Wanted,
    place: PathBuf,
    file: File,
    room: Reserved,
    hash: Sha256,
    bytes: u64,
    bytes_max: u64,
    expires_at: Option<Time>,
    is_put: bool,
}

impl Upload {
    pub(crate) async fn begin(
        blobs: Blobs,
        wanted: Wanted,
        place: PathBuf,
        bytes_max: u64,
        room: Reserved,
    ) -> Result<Self, UploadError> {
        // One of the same name may have been left by an attempt that died.
        match fs::remove_dir_all(&place).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir(&place).await?,
        }
        let file = File::create(content(&place)).await?;
        let hash = Sha256::new();
        Ok(Self { blobs, wanted, place, file, room, hash, bytes: 0, bytes_max, expires_at: None, is_put: false })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// If there are too many, or they cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(UploadError::TooLarge(self.bytes_max));
        }
        self.room.grow(bytes.len() as u64).await.map_err(UploadError::NoRoom)?;
        self.hash.update(bytes);
        Ok(self.file.write_all(bytes).await?)
    }

    /// What its owner calls it, where that is learned on the way.
    pub fn describe(&mut self, filename: String, purpose: String) {
        (self.wanted.filename, self.wanted.purpose) = (filename, purpose);
    }

    /// What it is called if its owner calls it nothing.
    pub(crate) fn name_if_nameless(&mut self, name: impl FnOnce() -> String) {
        if self.wanted.filename.is_empty() {
            self.wanted.filename = name();
        }
    }

    /// Has the file removed at that time.
    pub fn expire_at(&mut self, at: Time) {
        self.expires_at = Some(at);
    }

    /// When its last bytes were written, by the clock of the file system.
    ///
    /// # Errors
    /// If the file system does not say.
    pub async fn written_at(&mut self) -> io::Result<Time> {
        self.file.flush().await?;
        let since = self.file.metadata().await?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Time::EPOCH.after(since))
    }

    /// Puts the file in its place: durable and seen by its tenant when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn finish(mut self) -> Result<Arc<About>, UploadError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let Wanted { id, tenant, filename, purpose, created_at } = self.wanted.clone();
        let sha256 = hex(&std::mem::take(&mut self.hash).finalize());
        let (bytes, expires_at) = (self.bytes, self.expires_at);
        let about = About { id, tenant, filename, purpose, bytes, sha256, created_at, expires_at };
        let about = self.blobs.put(&self.place, about, std::mem::take(&mut self.room)).await?;
        self.is_put = true;
        Ok(about)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Two files of a directory of their own: that takes no time worth a thread.
        if !self.is_put
            && let Err(error) = std::fs::remove_dir_all(&self.place)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "what was left of an upload could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use raincheck_core::Time;

    use super::*;
    use crate::FileId;

    fn wanted(tenant: &str, number: u64) -> Wanted {
        Wanted {
            id: FileId::new(Time::EPOCH, number),
            tenant: tenant.parse().unwrap(),
            filename: "a.jsonl".into(),
            purpose: "batch".into(),
            created_at: Time::EPOCH,
        }
    }

    async fn put(blobs: &Blobs, tenant: &str, number: u64, bytes: &[u8]) -> Arc<About> {
        let mut upload = blobs.begin(wanted(tenant, number), 100).await.unwrap();
        upload.write(bytes).await.unwrap();
        upload.finish().await.unwrap()
    }

    #[tokio::test]
    async fn a_file_is_there_whole_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let about = put(&blobs, "voice", 1, b"abc").await;
        assert_eq!(about.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let again = Blobs::open(directory.path().into()).unwrap();
        let voice = "voice".parse().unwrap();
        assert_eq!(again.get(&voice, &about.id), Some(Arc::clone(&about)));
        assert!(again.list(&"other".parse().unwrap()).is_empty());
        assert!(again.remove(&voice, &about.id).await.unwrap() && !again.remove(&voice, &about.id).await.unwrap());
        assert!(Blobs::open(directory.path().into()).unwrap().list(&voice).is_empty());
    }

    #[tokio::test]
    async fn a_file_whose_time_has_passed_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let kept = put(&blobs, "voice", 1, b"abc").await;
        let mut upload = blobs.begin(wanted("voice", 2), 100).await.unwrap();
        let at = upload.written_at().await.unwrap().after(std::time::Duration::from_secs(60));
        upload.expire_at(at);
        let about = upload.finish().await.unwrap();
        assert!(about.is_expired(at) && !about.is_expired(Time::from_millis(at.as_millis() - 1)));
        // Known after a restart, too.
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let voice = "voice".parse().unwrap();
        assert_eq!(blobs.get(&voice, &about.id), Some(Arc::clone(&about)));
        assert_eq!(blobs.remove_expired(Time::from_millis(at.as_millis() - 1)).await, 0);
        assert_eq!(blobs.remove_expired(at).await, 1);
        assert_eq!(blobs.list(&voice), [Arc::clone(&kept)]);
        let about = std::fs::read_to_string(directory.path().join(format!("voice/{}/about.json", kept.id))).unwrap();
        assert!(!about.contains("expires_at"), "{about}");
    }

    #[tokio::test]
    async fn half_an_upload_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let left = || std::fs::read_dir(directory.path().join(".new")).unwrap().count();
        let mut upload = blobs.begin(wanted("voice", 1), 4).await.unwrap();
        upload.write(b"abc").await.unwrap();
        assert!(matches!(upload.write(b"de").await, Err(UploadError::TooLarge(4))));
        drop(upload);
        assert_eq!(left(), 0);
        // One whose server was killed.
        std::mem::forget(blobs.begin(wanted("voice", 2), 4).await.unwrap());
        assert_eq!(left(), 1);
        Blobs::open(directory.path().into()).unwrap();
        assert_eq!(left(), 0);
    }

    #[tokio::test]
    async fn what_a_job_leaves_twice_is_there_once() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let first = put(&blobs, "voice", 1, b"abc").await;
        assert_eq!(put(&blobs, "voice", 1, b"other").await, first);
        let job = "job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11".parse().unwrap();
        assert_eq!(FileId::of_job(job, "output"), FileId::of_job(job, "output"));
        assert_ne!(FileId::of_job(job, "output"), FileId::of_job(job, "error"));
        assert!(FileId::of_job(job, "output").as_str().parse::<FileId>().is_ok());
    }
}

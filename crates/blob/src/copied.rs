use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use raincheck_core::Time;
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::{About, Blobs};

/// A copy of a file at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The upstream's name for it.
    pub id: String,
    /// When the upstream may forget it, if ever.
    pub expires_at: Option<Time>,
}

impl Blobs {
    /// The copy of a file at an account of an upstream; or of another file of the same tenant with the same bytes, name and
    /// purpose, which is the same to whoever reads it.
    pub async fn copy(&self, about: &About, account: &str) -> Option<Copied> {
        for alike in self.alike(about) {
            let text = fs::read(self.note(&alike, account)).await.ok();
            if let Some(copy) = text.and_then(|text| serde_json::from_slice(&text).ok()) {
                return Some(copy);
            }
        }
        None
    }

    /// Notes that a file was copied to an account of an upstream: durable when this returns, for as long as the file is here.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn note_copy(&self, about: &About, account: &str, copy: &Copied) -> io::Result<()> {
        let note = self.note(about, account);
        // Whoever writes at the same time writes another file, and the last one stands.
        let new = note.with_extension("new");
        let mut file = match fs::File::create(&new).await {
            // The file has been removed meanwhile: there is nothing to note.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            created => created?,
        };
        file.write_all(&serde_json::to_vec(copy)?).await?;
        file.sync_all().await?;
        fs::rename(&new, &note).await?;
        fs::File::open(self.place(about)).await?.sync_all().await
    }

    /// Forgets a copy that the upstream no longer has.
    ///
    /// # Errors
    /// If it cannot be forgotten.
    pub async fn forget_copy(&self, about: &About, account: &str, id: &str) -> io::Result<()> {
        for alike in self.alike(about) {
            let note = self.note(&alike, account);
            let text = fs::read(&note).await.unwrap_or_default();
            if serde_json::from_slice(&text).is_ok_and(|copy: Copied| copy.id == id) {
                fs::remove_file(&note).await?;
            }
        }
        Ok(())
    }

    /// Files of the tenant that are the same to whoever reads them, this one before the others.
    fn alike(&self, about: &About) -> Vec<Arc<About>> {
        let is_alike = |other: &&Arc<About>| {
            other.sha256 == about.sha256 && other.filename == about.filename && other.purpose == about.purpose
        };
        let mut alike: Vec<Arc<About>> =
            self.of(&about.tenant, |files| files.values().filter(is_alike).cloned().collect());
        alike.sort_by_key(|other| other.id != about.id);
        alike
    }

    fn note(&self, about: &About, account: &str) -> PathBuf {
        self.place(about).join(format!("at-{account}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileId, Wanted};

    async fn put(blobs: &Blobs, number: u64, filename: &str, bytes: &[u8]) -> Arc<About> {
        let wanted = Wanted {
            id: FileId::new(Time::EPOCH, number),
            tenant: "voice".parse().unwrap(),
            filename: filename.into(),
            purpose: "user_data".into(),
            created_at: Time::EPOCH,
        };
        let mut upload = blobs.begin(wanted, 100).await.unwrap();
        upload.write(bytes).await.unwrap();
        upload.finish().await.unwrap()
    }

    #[tokio::test]
    async fn a_copy_is_known_for_the_same_content_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let first = put(&blobs, 1, "a.txt", b"abc").await;
        let again = put(&blobs, 2, "a.txt", b"abc").await;
        let [named, other] = [put(&blobs, 3, "b.txt", b"abc").await, put(&blobs, 4, "a.txt", b"xyz").await];
        let copy = Copied { id: "theirs".into(), expires_at: Some(Time::from_millis(9)) };
        blobs.note_copy(&first, "acc", &copy).await.unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        for same in [&first, &again] {
            assert_eq!(blobs.copy(same, "acc").await, Some(copy.clone()));
            assert_eq!(blobs.copy(same, "another account").await, None);
        }
        for different in [&named, &other] {
            assert_eq!(blobs.copy(different, "acc").await, None);
        }
        blobs.forget_copy(&again, "acc", "something else").await.unwrap();
        assert!(blobs.copy(&again, "acc").await.is_some());
        blobs.forget_copy(&again, "acc", "theirs").await.unwrap();
        assert_eq!(blobs.copy(&first, "acc").await, None);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_has_no_copies() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let about = put(&blobs, 1, "a.txt", b"abc").await;
        let copy = Copied { id: "theirs".into(), expires_at: None };
        blobs.note_copy(&about, "acc", &copy).await.unwrap();
        assert!(blobs.remove(&about.tenant, &about.id).await.unwrap());
        blobs.note_copy(&about, "acc", &copy).await.unwrap();
        assert_eq!(blobs.copy(&about, "acc").await, None);
        assert!(Blobs::open(directory.path().into()).unwrap().list(&about.tenant).is_empty());
    }
}

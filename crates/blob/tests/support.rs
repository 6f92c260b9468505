use std::sync::Arc;
use std::time::Duration;

use raincheck_blob::{About, Blobs, Bucket, BucketConfig, FileId, Wanted};
use raincheck_core::{Tenant, Time};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use crate::s3::{BUCKET, KEY, KEY_ID, S3};

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SPOOL: u64 = 64 << 20;

/// A store of blobs, and what it keeps them in.
pub(crate) struct Kept {
    pub(crate) blobs: Blobs,
    pub(crate) s3: Option<S3>,
    pub(crate) directory: TempDir,
    carrying: Option<JoinHandle<()>>,
}

pub(crate) fn config(s3: &S3) -> BucketConfig {
    BucketConfig {
        bucket: BUCKET.into(),
        region: "us-east-1".into(),
        endpoint: Some(s3.endpoint()),
        path_style: true,
        prefix: "some/prefix".into(),
        access_key_id: KEY_ID.into(),
        secret_access_key: KEY.into(),
    }
}

pub(crate) fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

pub(crate) fn wanted(tenant: &str, number: u64) -> Wanted {
    Wanted {
        id: FileId::new(Time::EPOCH, number),
        tenant: tenant.parse().unwrap(),
        filename: "a.bin".into(),
        purpose: "user_data".into(),
        created_at: Time::EPOCH,
    }
}

impl Kept {
    pub(crate) fn in_directory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        Self { blobs, s3: None, directory, carrying: None }
    }

    pub(crate) fn in_bucket() -> Self {
        Self::with_spool(SPOOL)
    }

    pub(crate) fn with_spool(spool: u64) -> Self {
        let (s3, directory) = (S3::start(), tempfile::tempdir().unwrap());
        let bucket = Bucket::new(&config(&s3)).unwrap();
        let blobs = Blobs::open_in_bucket(directory.path().into(), bucket, spool).unwrap();
        let mut kept = Self { blobs, s3: Some(s3), directory, carrying: None };
        kept.carry();
        kept
    }

    /// The service, which buckets have.
    pub(crate) fn s3(&self) -> &S3 {
        self.s3.as_ref().unwrap()
    }

    fn carry(&mut self) {
        let blobs = self.blobs.clone();
        #[expect(clippy::disallowed_methods, reason = "it is ended with the test, or by it")]
        let carrying = tokio::spawn(async move { blobs.carry().await });
        self.carrying = Some(carrying);
    }

    /// Ends what carries, in whatever it is doing.
    pub(crate) async fn crash(&mut self) {
        if let Some(carrying) = self.carrying.take() {
            carrying.abort();
            let _ = carrying.await;
        }
    }

    /// As it is after a restart.
    pub(crate) async fn restart(&mut self) {
        self.crash().await;
        let root = self.directory.path().to_path_buf();
        match &self.s3 {
            Some(s3) => {
                let bucket = Bucket::new(&config(s3)).unwrap();
                self.blobs = Blobs::open_in_bucket(root, bucket, SPOOL).unwrap();
                self.carry();
            }
            None => self.blobs = Blobs::open(root).unwrap(),
        }
    }

    /// The same files, with a bucket from now on.
    pub(crate) async fn moved_to(mut self, s3: S3) -> Self {
        self.s3 = Some(s3);
        self.restart().await;
        self
    }

    pub(crate) async fn put(&self, tenant: &str, number: u64, bytes: &[u8]) -> Arc<About> {
        let mut upload = self.blobs.begin(wanted(tenant, number), u64::MAX).await.unwrap();
        for piece in bytes.chunks(1 << 20) {
            upload.write(piece).await.unwrap();
        }
        upload.finish().await.unwrap()
    }

    pub(crate) async fn read(&self, about: &About) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.blobs.read(about).await?.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// Waits until everything is where it is to be in the end.
    pub(crate) async fn settled(&self) {
        until(|| self.blobs.due() == 0).await;
    }

    /// The contents that are kept, wherever that is.
    pub(crate) fn contents(&self) -> usize {
        match &self.s3 {
            Some(s3) => s3.objects().len(),
            None => self.on_disk(),
        }
    }

    /// What is in the directories of contents.
    pub(crate) fn on_disk(&self) -> usize {
        let tenants = std::fs::read_dir(self.directory.path()).unwrap().flatten();
        tenants.filter_map(|tenant| Some(std::fs::read_dir(tenant.path().join(".content")).ok()?.count())).sum()
    }

    /// What is half written.
    pub(crate) fn unfinished(&self) -> usize {
        std::fs::read_dir(self.directory.path().join(".new")).unwrap().count()
    }
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it did not come to that");
}

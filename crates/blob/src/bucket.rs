//! A bucket of an S3 service: what of it is used here.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use hyper::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Place;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig};
use tokio::fs::{self, File};
use tokio::io::AsyncReadExt;

use crate::contents::Key;
use crate::trouble::Trouble;
use crate::wire::Wire;

/// What is larger goes in parts of this size: what is in memory of an upload.
const PART: u64 = 8 << 20;
/// As many parts may an object have.
const PARTS_MAX: u64 = 10_000;
/// A request that fails in a way that may pass is sent again so often, and no longer than this. Whoever asked tries again later.
const RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(30);
/// How long the first look at a bucket may take: a server does not wait for one that is down.
const CHECK_TIME: Duration = Duration::from_secs(10);
/// What is written, and removed again, to see whether it can be.
const CHECK: &str = ".raincheck-check";
/// What presigned links say of the bytes: whatever somebody uploaded is no page of the bucket's host.
const DOWNLOAD: [(&str, &str); 2] =
    [("response-content-disposition", "attachment"), ("response-content-type", "application/octet-stream")];

/// Where a bucket is, and with which key it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Its name.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The address of the service; that of AWS in the region if left out.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of addresses rather than in the host.
    pub path_style: bool,
    /// What the names of all objects begin with; may be empty.
    pub prefix: String,
    /// The id of the key.
    pub access_key_id: String,
    /// The key itself. It is shown nowhere.
    pub secret_access_key: String,
}

impl fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, region, endpoint, path_style, prefix, .. } = self;
        let mut f = f.debug_struct("BucketConfig");
        f.field("bucket", bucket).field("region", region).field("endpoint", endpoint);
        f.field("path_style", path_style).field("prefix", prefix).finish_non_exhaustive()
    }
}

/// A bucket of an S3 service. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    s3: AmazonS3,
    prefix: String,
    name: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Bucket {
    /// A bucket, which nobody has looked at yet.
    ///
    /// # Errors
    /// If the configuration names no address, or the certificates of this machine cannot be read.
    pub fn new(config: &BucketConfig) -> io::Result<Self> {
        let backoff =
            BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(5), base: 2. };
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_access_key_id(&config.access_key_id)
            .with_secret_access_key(&config.secret_access_key)
            .with_virtual_hosted_style_request(!config.path_style)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIME })
            // One object a request: not every service knows how to remove several at once.
            .with_disable_bulk_delete(true)
            .with_http_connector(Wire::new()?);
        let builder = match &config.endpoint {
            Some(endpoint) => builder.with_endpoint(base(endpoint, config)?),
            None => builder,
        };
        let s3 = builder.build().map_err(|error| io::Error::other(Trouble::of(&error)))?;
        let prefix = config.prefix.trim_matches('/').to_owned();
        Ok(Self { s3, prefix, name: config.bucket.clone() })
    }

    /// Looks whether objects can be written and removed there, by doing it.
    ///
    /// # Errors
    /// Why not; [`Trouble::is_refusal`] says whether it would be in vain to try later.
    pub async fn check(&self) -> Result<(), Trouble> {
        let place = self.named(CHECK);
        let checking = async {
            self.s3.put(&place, PutPayload::from_static(b"raincheck")).await?;
            self.s3.delete(&place).await
        };
        let checked = tokio::time::timeout(CHECK_TIME, checking).await;
        checked.map_err(|_| Trouble::odd("it did not answer in time"))?.map_err(|error| Trouble::of(&error))
    }

    fn named(&self, name: &str) -> Place {
        Place::from(if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) })
    }

    fn place(&self, key: &Key) -> Place {
        self.named(&format!("{}/{}", key.tenant, key.sha256))
    }

    /// Has the content there. `note` is where the name of an upload in parts is written, so that one that was cut off can be
    /// taken back.
    pub(crate) async fn put(&self, key: &Key, mut file: File, bytes: u64, note: &Path) -> Result<(), Trouble> {
        let place = self.place(key);
        if bytes <= PART {
            let payload = PutPayload::from(piece(&mut file, bytes).await?);
            return self.put_whole(&place, payload).await;
        }
        self.take_back(&place, note).await?;
        match self.s3.head(&place).await.map_err(|error| Trouble::of(&error)) {
            Ok(there) if there.size == bytes => return Ok(()),
            Err(trouble) if !trouble.is_missing() => return Err(trouble),
            _ => {}
        }
        let id = self.s3.create_multipart(&place).await.map_err(|error| Trouble::of(&error))?;
        let put = async {
            fs::write(note, &id).await.map_err(|error| unreadable(&error))?;
            let size = PART.max(bytes.div_ceil(PARTS_MAX));
            let mut parts: Vec<PartId> = Vec::new();
            let mut left = bytes;
            while left > 0 {
                let length = left.min(size);
                let payload = PutPayload::from(piece(&mut file, length).await?);
                let part = self.s3.put_part(&place, &id, parts.len(), payload).await;
                parts.push(part.map_err(|error| Trouble::of(&error))?);
                left -= length;
            }
            self.s3.complete_multipart(&place, &id, parts).await.map_err(|error| Trouble::of(&error))
        };
        let put = put.await;
        if put.is_err() {
            // If the service cannot be reached, the next attempt takes it back.
            let _ = self.s3.abort_multipart(&place, &id).await;
        } else {
            let _ = fs::remove_file(note).await;
        }
        put.map(drop)
    }

    /// Puts what is in memory, unless it is there. Its name is that of its content, so what is there is the same.
    async fn put_whole(&self, place: &Place, payload: PutPayload) -> Result<(), Trouble> {
        let if_absent = PutOptions::from(PutMode::Create);
        match self.s3.put_opts(place, payload.clone(), if_absent).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            // A service that has no conditions writes the same bytes over the same.
            Err(error) if Trouble::of(&error).is_unknown() => {
                self.s3.put(place, payload).await.map(drop).map_err(|error| Trouble::of(&error))
            }
            Err(error) => Err(Trouble::of(&error)),
        }
    }

    /// Takes back an upload in parts that was cut off, whose parts would stay there unseen.
    async fn take_back(&self, place: &Place, note: &Path) -> Result<(), Trouble> {
        let Ok(id) = fs::read_to_string(note).await else { return Ok(()) };
        match self.s3.abort_multipart(place, &id).await.map_err(|error| Trouble::of(&error)) {
            Err(trouble) if !trouble.is_refusal() => Err(trouble),
            // It is not there any more, or cannot be taken back.
            _ => fs::remove_file(note).await.map_err(|error| unreadable(&error)),
        }
    }

    /// The bytes of a content, as they come.
    pub(crate) async fn get(&self, key: &Key) -> Result<BoxStream<'static, io::Result<Bytes>>, Trouble> {
        let object = self.s3.get(&self.place(key)).await.map_err(|error| Trouble::of(&error))?;
        Ok(Box::pin(object.into_stream().map_err(|error| io::Error::other(Trouble::of(&error)))))
    }

    /// Removes a content, if it is there, and what of it may have been cut off.
    pub(crate) async fn delete(&self, key: &Key, note: &Path) -> Result<(), Trouble> {
        let place = self.place(key);
        self.take_back(&place, note).await?;
        match self.s3.delete(&place).await.map_err(|error| Trouble::of(&error)) {
            Err(trouble) if !trouble.is_missing() => Err(trouble),
            _ => Ok(()),
        }
    }

    /// An address from which anybody may read a content for so long.
    pub(crate) async fn link(&self, key: &Key, expires: Duration) -> Result<String, Trouble> {
        let options = SignedUrlOptions::new().with_query(DOWNLOAD);
        let link = self.s3.signed_url_opts(Method::GET, &self.place(key), expires, &options).await;
        link.map(String::from).map_err(|error| Trouble::of(&error))
    }
}

/// The address that the names of objects are appended to, as `object_store` wants it.
fn base(endpoint: &str, config: &BucketConfig) -> io::Result<String> {
    let (scheme, host) = endpoint
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .ok_or_else(|| io::Error::other(format!("{endpoint:?} is no address such as https://s3.example.com")))?;
    let host = host.trim_end_matches('/');
    Ok(if config.path_style { format!("{scheme}://{host}") } else { format!("{scheme}://{}.{host}", config.bucket) })
}

/// The next bytes of a file, all of them in one piece.
async fn piece(file: &mut File, bytes: u64) -> Result<Bytes, Trouble> {
    let length = usize::try_from(bytes).map_err(|_| Trouble::odd("it is too large for this machine"))?;
    let mut piece = BytesMut::zeroed(length);
    file.read_exact(&mut piece).await.map_err(|error| unreadable(&error))?;
    Ok(piece.freeze())
}

fn unreadable(error: &io::Error) -> Trouble {
    Trouble::odd(format!("the data directory: {error}"))
}

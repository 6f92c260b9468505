//! `file.fetch`: copies a picture from where it is into the tenant's files, before its provider forgets it.

mod data_url;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_blob::{About as File, Blobs, FileId, NotTaken, PictureUpload, Seen, UploadError, Wanted};
use raincheck_core::{Json, Picture, Problem, ProblemType, Retry};
use raincheck_engine::{About, Clock, Context, Failure, Handler};
use raincheck_upstream::{FetchFailure, Fetched, Fetcher};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::calling::ATTEMPTS;
use crate::input;
use data_url::DataUrl;

/// The largest file that may be asked for, and that is taken unless it is asked otherwise.
const BYTES_MAX: u64 = 100_000_000;
const BYTES: u64 = 20_000_000;
/// The longest name of a file, in characters.
const FILENAME_MAX: usize = 200;
/// The longest address, in bytes, unless it is the file itself.
const URL_MAX: usize = 8_192;
/// What fetched files are for, in the word that files of OpenAI have for pictures.
const PURPOSE: &str = "vision";
/// Other servers may be slow, and nobody's place is taken: a fetch waits for the most part.
const CONCURRENCY: usize = 64;

/// Runs the jobs of kind `file.fetch`.
pub struct FileFetch {
    blobs: Blobs,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
}

/// What `file.fetch` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Where the picture is: an https address, or the picture itself as `data:image/png;base64,…`.
    url: String,
    /// The most bytes that it may have, up to 100000000.
    #[serde(default = "usual_bytes")]
    #[schemars(range(min = 1, max = 100_000_000))]
    max_bytes: u64,
    /// The media types that it may have.
    #[serde(default = "all_types")]
    #[schemars(schema_with = "types_schema")]
    types: Vec<String>,
    /// What the file is called; by its format if left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    filename: Option<String>,
    /// After how many seconds it is removed; it stays until it is deleted if left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    keep_seconds: Option<NonZeroU32>,
}

fn usual_bytes() -> u64 {
    BYTES
}

fn all_types() -> Vec<String> {
    Picture::ALL.map(|picture| picture.media_type().to_owned()).to_vec()
}

fn types_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let types = Picture::ALL.map(Picture::media_type);
    json_schema!({ "type": "array", "items": { "enum": types }, "minItems": 1, "uniqueItems": true, "default": types })
}

/// What is to be fetched, once it has been looked at.
struct Wish {
    input: Input,
    types: Vec<Picture>,
    /// The picture, if it came with its address.
    data: Option<DataUrl>,
}

impl FileFetch {
    /// A handler that fetches into these files.
    #[must_use]
    pub fn new(blobs: Blobs, fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self { blobs, fetcher, clock }
    }

    pub(crate) fn described() -> About {
        let kind = "file.fetch".parse().expect("a constant name");
        let schema = Json::from_value(&schemars::schema_for!(Input)).unwrap_or_default();
        let summary = "Copies a picture from its address into the tenant's files.";
        About { max_attempts: ATTEMPTS, concurrency: CONCURRENCY, ..About::new(kind, summary, schema) }
    }

    fn read(&self, input: &Json) -> Result<Wish, Problem> {
        let input: Input = input::read(input)?;
        let wrong = |field: &str, detail: String| {
            Problem::new(ProblemType::INVALID_INPUT, detail).at(format!("/input/{field}"))
        };
        if !(1..=BYTES_MAX).contains(&input.max_bytes) {
            return Err(wrong("max_bytes", format!("max_bytes must be from 1 to {BYTES_MAX}")));
        }
        let mut types = Vec::new();
        for (number, name) in input.types.iter().enumerate() {
            let known = || format!("only pictures are fetched: {}", all_types().join(", "));
            types.push(Picture::of_media_type(name).ok_or_else(|| wrong(&format!("types/{number}"), known()))?);
        }
        if types.is_empty() {
            return Err(wrong("types", "name at least one media type, or leave it out".to_owned()));
        }
        if let Some(name) = &input.filename
            && (name.trim().is_empty() || name.chars().count() > FILENAME_MAX || name.contains(char::is_control))
        {
            return Err(wrong("filename", format!("a name has 1 to {FILENAME_MAX} characters")));
        }
        let data = DataUrl::parse(&input.url, input.max_bytes).map_err(|detail| wrong("url", detail))?;
        if data.is_none() {
            if input.url.len() > URL_MAX {
                return Err(wrong("url", format!("an address has up to {URL_MAX} bytes")));
            }
            self.fetcher.check(&input.url).map_err(|detail| wrong("url", detail))?;
        }
        Ok(Wish { input, types, data })
    }

    async fn fetch(&self, wish: &Wish, wanted: Wanted) -> Result<(Arc<File>, Seen), Failure> {
        let max = wish.input.max_bytes;
        if let Some(data) = &wish.data {
            let mut taken = self.begin(wish, wanted, Some(&data.media_type)).await?;
            taken.write(&data.bytes).await.map_err(not_taken)?;
            return taken.finish().await.map_err(not_taken);
        }
        let accept = wish.types.iter().map(|picture| picture.media_type()).collect::<Vec<_>>().join(", ");
        let mut fetched: Fetched = self.fetcher.fetch(&wish.input.url, &accept).await.map_err(failed)?;
        if let Some(bytes) = fetched.bytes.filter(|bytes| *bytes > max) {
            return Err(refused(format!("it has {bytes} bytes, and may have {max}")));
        }
        let mut taken = self.begin(wish, wanted, fetched.media_type.as_deref()).await?;
        while let Some(piece) = fetched.next().await.map_err(failed)? {
            taken.write(&piece).await.map_err(not_taken)?;
        }
        taken.finish().await.map_err(not_taken)
    }

    async fn begin(&self, wish: &Wish, wanted: Wanted, declared: Option<&str>) -> Result<PictureUpload, Failure> {
        let mut upload =
            self.blobs.begin(wanted, wish.input.max_bytes).await.map_err(|error| not_taken(error.into()))?;
        if let Some(seconds) = wish.input.keep_seconds {
            upload.expire_at(self.clock.now().after(Duration::from_secs(seconds.get().into())));
        }
        PictureUpload::new(upload, wish.types.clone(), declared).map_err(not_taken)
    }

    /// A file that an attempt which died had put in its place.
    async fn there(&self, file: Arc<File>) -> Result<(Arc<File>, Seen), Failure> {
        let unread =
            |error: std::io::Error| Failure::transient(format!("the file {} cannot be read: {error}", file.id));
        let mut head = Vec::new();
        let content = self.blobs.read(&file).await.map_err(unread)?;
        content.take(Seen::HEAD_MAX as u64).read_to_end(&mut head).await.map_err(unread)?;
        let seen = Seen::of(&head).ok_or_else(|| refused(format!("the file {} is no picture any more", file.id)))?;
        Ok((file, seen))
    }
}

/// What has been fetched is not taken, and will not be if it is fetched again.
fn refused(detail: String) -> Failure {
    Failure::fatal(Problem::new(ProblemType::FILE_REFUSED, detail))
}

/// Why a picture is not kept, as the end of a job.
fn not_taken(why: NotTaken) -> Failure {
    match why {
        NotTaken::Format(detail) | NotTaken::Refused(detail) => refused(detail),
        NotTaken::Upload(UploadError::TooLarge(max)) => {
            refused(format!("it has more than the {max} bytes that it may have"))
        }
        NotTaken::Upload(UploadError::TooMany(max)) => {
            refused(format!("the tenant has {max} files already; delete some"))
        }
        NotTaken::Upload(UploadError::NoRoom(max)) => {
            Failure::transient(format!("{max} bytes of files wait for the bucket already"))
        }
        NotTaken::Upload(UploadError::Io(error) | UploadError::Source(error)) => {
            Failure::transient(format!("the file cannot be kept: {error}"))
        }
    }
}

fn failed(failure: FetchFailure) -> Failure {
    match failure {
        FetchFailure::Refused(detail) => refused(detail),
        FetchFailure::Failed(detail) => {
            Failure { problem: Problem::new(ProblemType::UPSTREAM_FAILED, detail), retry: Retry::Backoff }
        }
        FetchFailure::Status { status, retry_after } => {
            let detail = format!("the server of the file answered {status}");
            let may_pass = matches!(status, 408 | 425 | 429) || status >= 500;
            let of_type = if may_pass { ProblemType::UPSTREAM_FAILED } else { ProblemType::UPSTREAM_REFUSED };
            let wait = retry_after.map_or(Retry::Backoff, |wait: Duration| Retry::After(wait));
            let problem = Problem::new(of_type, detail).of_upstream(status, None);
            Failure { problem, retry: if may_pass { wait } else { Retry::Never } }
        }
    }
}

#[async_trait]
impl Handler for FileFetch {
    fn about(&self) -> About {
        Self::described()
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        self.read(input).map(drop)
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let wish = self.read(&input)?;
        let (job, tenant) = (context.job().id, context.job().spec.tenant.clone());
        let id = FileId::of_job(job, &format!("fetched {}", context.key()));
        let (file, seen) = match self.blobs.get(&tenant, &id) {
            Some(file) => self.there(file).await?,
            None => {
                let filename = wish.input.filename.clone().unwrap_or_default();
                let purpose = PURPOSE.to_owned();
                let wanted = Wanted { id, tenant, filename, purpose, created_at: self.clock.now() };
                tokio::select! {
                    fetched = self.fetch(&wish, wanted) => fetched?,
                    _ = context.cancelled() => return Err(Failure::cancelled()),
                }
            }
        };
        let result = json!({
            "id": file.id,
            "filename": file.filename,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "media_type": seen.picture.media_type(),
            "width": seen.width,
            "height": seen.height,
        });
        Ok(result.into())
    }
}

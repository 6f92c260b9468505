//! Files on their way to an upstream: those that a job's input names are uploaded before its call, each content once.

mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use raincheck_blob::{About, Blobs, Content, Copied, FileId, Mention, mentions, rename};
use raincheck_core::{Problem, ProblemType, Progress, Tenant};
use raincheck_engine::{Clock, Context, Failure};
use raincheck_upstream::{CallFailure, Request, Route, Upload, Upstreams};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::calling::{enter, seconds, unless_down};
use turns::Turns;

/// So many files may a job name.
const FILES_MAX: usize = 100;
/// How often a job uploads a file because the upstream lost it.
const UPLOADS_MAX: usize = 5;
/// A copy that the upstream may forget sooner than this is not relied on: a call takes its time.
const LASTS_MIN: Duration = Duration::from_secs(30 * 60);
/// How much of a file is read at once.
const CHUNK: usize = 64 * 1024;

/// Has the files of tenants at the upstream that a call goes to. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Courier(Arc<Inner>);

struct Inner {
    blobs: Blobs,
    upstreams: Upstreams,
    clock: Arc<dyn Clock>,
    /// Jobs that need the same file at the same time upload it once.
    turns: Turns,
}

/// A call's body as its upstream is sent it, and the names that its files have there.
pub(crate) struct Brought {
    pub(crate) body: Map<String, Value>,
    names: BTreeMap<FileId, String>,
}

/// What is recorded of an upload.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    /// The upstream's name for the file.
    id: String,
    filename: String,
    bytes: u64,
    /// How long its upload took; nothing if it was there.
    seconds: f64,
}

/// What became of a part of an attempt: the attempt ends by the outer error, the call comes to nothing by the inner one.
type Called<T> = Result<Result<T, CallFailure>, Failure>;

impl Courier {
    /// Takes these files to these upstreams.
    #[must_use]
    pub fn new(blobs: Blobs, upstreams: Upstreams, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { blobs, upstreams, clock, turns: Turns::default() }))
    }

    /// The files that it takes.
    pub(crate) fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// Whether every file that an input names is there for the tenant.
    ///
    /// # Errors
    /// Where it names one that is not.
    pub(crate) fn check(&self, tenant: &Tenant, input: &Value) -> Result<(), Problem> {
        let mentions = mentions(input);
        let ids: BTreeSet<&FileId> = mentions.iter().map(|mention| &mention.id).collect();
        if ids.len() > FILES_MAX {
            let detail = format!("it names {} files, and may name {FILES_MAX}; split it", ids.len());
            return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input"));
        }
        let is_missing =
            |mention: &&Mention| self.0.blobs.get(tenant, &mention.id).is_none_or(|about| about.is_hidden());
        mentions.iter().find(is_missing).map_or(Ok(()), |Mention { id, pointer }| {
            let detail = format!(
                "there is no file {id}; upload it first (POST /openai/v1/files, with a key of the same tenant)"
            );
            Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(format!("/input{pointer}")))
        })
    }

    /// Has the files that a body names at an upstream; gives the body with the upstream's names for them. Copies that are `lost`
    /// are made anew.
    ///
    /// # Errors
    /// If the attempt has to end.
    pub(crate) async fn bring(
        &self,
        context: &Context,
        route: &Route,
        body: &Map<String, Value>,
        lost: &BTreeSet<String>,
    ) -> Called<Brought> {
        let mut body = Value::Object(body.clone());
        let ids: BTreeSet<FileId> = mentions(&body).into_iter().map(|mention| mention.id).collect();
        let mut names = BTreeMap::new();
        for id in ids {
            match self.name(context, route, &id, lost).await? {
                Ok(name) => names.insert(id, name),
                Err(failure) => return Ok(Err(failure)),
            };
        }
        if !names.is_empty() {
            rename(&mut body, &names);
            let served = route.served();
            context.progress(Progress::percent(0.0, format!("Asking {} at {}", served.model, served.upstream)));
        }
        let Value::Object(body) = body else { unreachable!("it was made an object") };
        Ok(Ok(Brought { body, names }))
    }

    /// The name of a file at the upstream, recorded as a step of the job.
    async fn name(&self, context: &Context, route: &Route, id: &FileId, lost: &BTreeSet<String>) -> Called<String> {
        let upstream = route.served().upstream;
        for number in 1..=UPLOADS_MAX {
            let again = if number == 1 { String::new() } else { format!(", upload {number}") };
            let (step, mut refused) = (format!("{id} at {upstream}{again}"), None);
            let sent = context.step(&step, async {
                self.copy(context, route, id, lost).await?.map_err(|failure| {
                    refused = Some(failure);
                    Failure::transient("the upstream did not take a file")
                })
            });
            match sent.await {
                Ok(Sent { id, .. }) if lost.contains(&id) => {}
                Ok(Sent { id, .. }) => return Ok(Ok(id)),
                Err(failure) => return refused.map_or(Err(failure), |refused| Ok(Err(refused))),
            }
        }
        Err(Failure::transient(format!("{upstream} has lost {id} {UPLOADS_MAX} times")))
    }

    /// A copy of a file at the upstream: the one that is there, or a new one.
    async fn copy(&self, context: &Context, route: &Route, id: &FileId, lost: &BTreeSet<String>) -> Called<Sent> {
        let tenant = &context.job().spec.tenant;
        let Some(about) = self.0.blobs.get(tenant, id) else {
            let detail = format!("the file {id} was deleted before it was sent to {}", route.served().upstream);
            return Err(Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input")));
        };
        let account = route.account();
        let sent = |id: String, took: Duration| Sent {
            id,
            filename: about.filename.clone(),
            bytes: about.bytes,
            seconds: seconds(took),
        };
        if let Some(id) = self.there(&about, &account, lost).await {
            return Ok(Ok(sent(id, Duration::ZERO)));
        }
        let (now, upstream) = (self.0.clock.now(), route.served().upstream);
        context.progress(Progress::percent(0.0, format!("Uploading {} to {upstream}", about.filename)));
        let turn = self.0.turns.of((tenant.clone(), about.sha256.clone(), account.clone()));
        let _turn = tokio::select! {
            turn = turn.lock() => turn,
            _ = context.cancelled() => return Err(Failure::cancelled()),
        };
        // Another job may have uploaded it meanwhile.
        if let Some(id) = self.there(&about, &account, lost).await {
            return Ok(Ok(sent(id, Duration::ZERO)));
        }
        let began = Instant::now();
        let id = match self.upload(context, route, &about).await? {
            Ok(id) => id,
            Err(failure) => return Ok(Err(failure)),
        };
        let expires_at = route.config().files_expire_after.map(|after| now.after(after));
        // A copy that could not be noted is this job's alone: its step records it.
        let _ = self.0.blobs.note_copy(&about, &account, &Copied { id: id.clone(), expires_at }).await;
        Ok(Ok(sent(id, began.elapsed())))
    }

    /// The name of a copy that is there, and will be for long enough.
    async fn there(&self, about: &About, account: &str, lost: &BTreeSet<String>) -> Option<String> {
        let needed_until = self.0.clock.now().after(LASTS_MIN);
        let lasts = |copy: &Copied| copy.expires_at.is_none_or(|at| at > needed_until) && !lost.contains(&copy.id);
        self.0.blobs.copy(about, account).await.filter(lasts).map(|copy| copy.id)
    }

    async fn upload(&self, context: &Context, route: &Route, about: &About) -> Called<String> {
        let files = self.0.upstreams.files(route);
        let message = format!("Uploading {} to {}", about.filename, route.served().upstream);
        unless_down(&files)?;
        let permit = enter(context, &files, 0).await?;
        let file = self.0.blobs.read(about).await;
        let file = file.map_err(|error| Failure::transient(format!("{} cannot be read: {error}", about.filename)))?;
        let upload = Upload {
            filename: about.filename.clone(),
            purpose: about.purpose.clone(),
            bytes: about.bytes,
            sha256: about.sha256.clone(),
        };
        let (teller, whole) = (context.clone(), about.bytes.max(1));
        let pieces = pieces(file, move |read| {
            teller.progress(Progress::percent(0.0, format!("{message}, {} %", read * 100 / whole)));
        });
        let uploaded = tokio::select! {
            uploaded = files.upload(permit, &upload, pieces) => uploaded,
            _ = context.cancelled() => return Err(Failure::cancelled()),
        };
        Ok(uploaded.map_err(|mut failure| {
            failure.detail = format!("the file {}: {}", about.filename, failure.detail);
            // A file that is there twice costs nothing worth a person's time.
            failure.verdict.is_ambiguous = false;
            failure
        }))
    }

    /// Which of the files that were brought the upstream no longer has, now that it refused a call; they are forgotten.
    pub(crate) async fn lost(
        &self,
        context: &Context,
        route: &Route,
        brought: &Brought,
        refused: &CallFailure,
    ) -> BTreeSet<String> {
        let mut lost = BTreeSet::new();
        // How a missing file is refused differs. Whether it is there, the upstream says without a doubt.
        if !matches!(refused.status, Some(400 | 404 | 410 | 422)) {
            return lost;
        }
        for (id, name) in &brought.names {
            let question = Request::get(format!("/files/{name}"));
            let asked = tokio::select! {
                asked = route.send_aside(&question) => asked,
                _ = context.cancelled() => break,
            };
            if asked.is_err_and(|failure| failure.status == Some(404)) {
                if let Some(about) = self.0.blobs.get(&context.job().spec.tenant, id) {
                    // If it cannot be forgotten, the next call finds out again.
                    let _ = self.0.blobs.forget_copy(&about, &route.account(), name).await;
                }
                lost.insert(name.clone());
            }
        }
        lost
    }
}

/// A file piece by piece; `tell` hears how many bytes have been read.
fn pieces(
    file: Content,
    tell: impl Fn(u64) + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, 0, tell), async |(mut file, read, tell)| {
        let mut piece = BytesMut::with_capacity(CHUNK);
        let bytes = file.read_buf(&mut piece).await?;
        let read = read + bytes as u64;
        tell(read);
        Ok((bytes > 0).then(|| (piece.freeze(), (file, read, tell))))
    })
}

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use raincheck_core::{Tenant, Time};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};

use crate::about::hex;
use crate::contents::{CONTENTS, Entry, Key};
use crate::due::Due;
use crate::room::{Reserved, Room};
use crate::upload::{Upload, UploadError};
use crate::{About, Bucket, Content, FileId, Local, Wanted};

/// Where files are written before they are put in their place.
const NEW: &str = ".new";
const CONTENT: &str = "content";
const ABOUT: &str = "about.json";
/// Files of one tenant. What is known of each takes about 300 bytes of memory.
const FILES_MAX: usize = 10_000;
/// Among so many locks the contents are divided.
const TURNS: usize = 64;

/// What is known of the files of all tenants.
type Known = BTreeMap<Tenant, BTreeMap<FileId, Arc<About>>>;

/// The files of all tenants of a server. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    root: PathBuf,
    /// What is there, so that lists read no directories.
    known: RwLock<Known>,
    /// Whoever changes where a content is, or what refers to it, holds the lock that it falls to.
    turns: [Mutex<()>; TURNS],
    /// Where contents go in the end, if not into the directory.
    remote: Option<Remote>,
    /// Tells apart the copies that are read here and there.
    copies: AtomicU64,
}

/// A bucket, and what is on its way there.
pub(crate) struct Remote {
    pub(crate) bucket: Bucket,
    pub(crate) due: Due,
    room: Arc<Room>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs").field("root", &self.0.root).finish_non_exhaustive()
    }
}

impl Blobs {
    /// Opens the files in `root`, which is made if need be. What an earlier life of the server left half written is removed.
    ///
    /// # Errors
    /// If the directory cannot be made or read.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        Self::open_with(root, None)
    }

    /// Opens files whose bytes go to a bucket: up to `spool` bytes of them are in `root` until the bucket has taken them, for which
    /// somebody must poll [`Blobs::carry`]. Bytes that are there from before go to the bucket as well.
    ///
    /// # Errors
    /// If the directory cannot be made or read.
    pub fn open_in_bucket(root: PathBuf, bucket: Bucket, spool: u64) -> io::Result<Self> {
        let room = Arc::new(Room::new(spool));
        Self::open_with(root, Some(Remote { bucket, room, due: Due::default() }))
    }

    fn open_with(root: PathBuf, remote: Option<Remote>) -> io::Result<Self> {
        absent_is_fine(std::fs::remove_dir_all(root.join(NEW)))?;
        std::fs::create_dir_all(root.join(NEW))?;
        let mut known = Known::new();
        for entry in std::fs::read_dir(&root)?.flatten() {
            let tenant: Option<Tenant> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(tenant) = tenant.filter(|_| entry.path().is_dir()) else { continue };
            std::fs::create_dir_all(entry.path().join(CONTENTS))?;
            let of_tenant = files(&root, &entry.path())?;
            look_through(&root, &tenant, &of_tenant, remote.as_ref())?;
            known.insert(tenant, of_tenant);
        }
        let turns = [const { Mutex::const_new(()) }; TURNS];
        Ok(Self(Arc::new(Inner { root, known: RwLock::new(known), turns, remote, copies: AtomicU64::new(0) })))
    }

    /// Begins a file of up to `bytes_max` bytes.
    ///
    /// # Errors
    /// If the tenant has as many files as it may, or nothing can be written.
    pub async fn begin(&self, wanted: Wanted, bytes_max: u64) -> Result<Upload, UploadError> {
        if self.of(&wanted.tenant, BTreeMap::len) >= FILES_MAX {
            return Err(UploadError::TooMany(FILES_MAX));
        }
        let place = self.0.root.join(NEW).join(wanted.id.as_str());
        Upload::begin(self.clone(), wanted, place, bytes_max, self.reserved()).await
    }

    /// Keeps what a stream brings, up to `bytes_max` bytes. Its SHA-256 and its size are known with it.
    ///
    /// # Errors
    /// As [`Blobs::begin`] and [`Upload::write`]; [`UploadError::Source`] if the stream breaks. Nothing is left then.
    pub async fn put_stream(
        &self,
        wanted: Wanted,
        bytes_max: u64,
        stream: impl Stream<Item = io::Result<Bytes>>,
    ) -> Result<Arc<About>, UploadError> {
        let mut upload = self.begin(wanted, bytes_max).await?;
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.next().await {
            upload.write(&piece.map_err(UploadError::Source)?).await?;
        }
        upload.finish().await
    }

    /// No room yet of what there is.
    fn reserved(&self) -> Reserved {
        Reserved::of(self.0.remote.as_ref().map(|remote| Arc::clone(&remote.room)))
    }

    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.0.remote.as_ref()
    }

    /// The right to change where a content is, and what refers to it.
    pub(crate) async fn turn(&self, key: &Key) -> MutexGuard<'_, ()> {
        let number = usize::from_str_radix(key.sha256.get(..4).unwrap_or_default(), 16).unwrap_or(0);
        self.0.turns[number % TURNS].lock().await
    }

    /// How many files have this content.
    fn references(&self, key: &Key) -> usize {
        self.of(&key.tenant, |files| files.values().filter(|about| about.sha256 == key.sha256).count())
    }

    pub(crate) fn is_referenced(&self, key: &Key) -> bool {
        self.references(key) > 0
    }

    /// Puts a file that is written whole in its place.
    pub(crate) async fn put(&self, place: &Path, about: About, room: Reserved) -> io::Result<Arc<About>> {
        let key = Key::of(&about);
        let _turn = self.turn(&key).await;
        if let Some(there) = self.get(&about.tenant, &about.id) {
            fs::remove_dir_all(place).await?;
            return Ok(there);
        }
        let put = self.put_in_turn(place, about, &key).await;
        if put.is_err() {
            let _ = self.drop_unreferenced(&key).await;
        } else if let Some(remote) = &self.0.remote {
            remote.due.add(&key, Some(room));
        }
        put
    }

    async fn put_in_turn(&self, place: &Path, about: About, key: &Key) -> io::Result<Arc<About>> {
        let directory = self.0.root.join(about.tenant.as_str());
        let contents = key.directory(&self.0.root);
        fs::create_dir_all(&contents).await?;
        fs::write(place.join(ABOUT), serde_json::to_vec(&about)?).await?;
        sync(&place.join(ABOUT)).await?;
        // The content first: what a file says it has is there.
        let bytes = key.bytes(&self.0.root);
        if fs::try_exists(&bytes).await? {
            fs::remove_file(content(place)).await?;
        } else {
            fs::rename(content(place), &bytes).await?;
            sync(&contents).await?;
        }
        sync(place).await?;
        fs::rename(place, directory.join(about.id.as_str())).await?;
        sync(&directory).await?;
        sync(&self.0.root).await?;
        let about = Arc::new(about);
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(about.tenant.clone()).or_default().insert(about.id.clone(), Arc::clone(&about));
        Ok(about)
    }

    pub(crate) fn of<T: Default>(&self, tenant: &Tenant, look: impl FnOnce(&BTreeMap<FileId, Arc<About>>) -> T) -> T {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).map(look).unwrap_or_default()
    }

    /// What is known of a file of the tenant.
    #[must_use]
    pub fn get(&self, tenant: &Tenant, id: &FileId) -> Option<Arc<About>> {
        self.of(tenant, |files| files.get(id).cloned())
    }

    /// Every file of the tenant, the oldest first.
    #[must_use]
    pub fn list(&self, tenant: &Tenant) -> Vec<Arc<About>> {
        self.of(tenant, |files| files.values().cloned().collect())
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// If it cannot be opened; it may just have been removed. [`ErrorKind::NotConnected`] if its bucket cannot be reached.
    pub async fn read(&self, about: &About) -> io::Result<Content> {
        let key = Key::of(about);
        match (File::open(key.bytes(&self.0.root)).await, &self.0.remote) {
            (Ok(file), _) => Ok(Content::on_disk(file)),
            (Err(error), Some(remote)) if error.kind() == ErrorKind::NotFound => {
                Ok(Content::in_bucket(remote.bucket.get(&key).await?))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The bytes of a file on this disk, for those who read here and there in it. From a bucket they are copied first, and checked;
    /// the copy goes when it is closed.
    ///
    /// # Errors
    /// As [`Blobs::read`]; [`ErrorKind::StorageFull`] if there is no room for the copy.
    pub async fn local(&self, about: &About) -> io::Result<Local> {
        let key = Key::of(about);
        let mut room = self.reserved();
        let remote = match (File::open(key.bytes(&self.0.root)).await, &self.0.remote) {
            (Ok(file), _) => return Ok(Local { file, room }),
            (Err(error), Some(remote)) if error.kind() == ErrorKind::NotFound => remote,
            (Err(error), _) => return Err(error),
        };
        let no_room = |max| io::Error::new(ErrorKind::StorageFull, format!("{max} bytes wait for the bucket already"));
        room.grow(about.bytes).await.map_err(no_room)?;
        let mut pieces = remote.bucket.get(&key).await?;
        let number = self.0.copies.fetch_add(1, Ordering::Relaxed);
        let path = self.0.root.join(NEW).join(format!("copy-{number}"));
        let mut file = File::options().create_new(true).read(true).write(true).open(&path).await?;
        // From here on it is nowhere but in our hand.
        fs::remove_file(&path).await?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            if bytes > about.bytes {
                break;
            }
            hash.update(&piece);
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        if hex(&hash.finalize()) != about.sha256 {
            return Err(io::Error::new(ErrorKind::InvalidData, "the bucket does not have what was brought there"));
        }
        file.rewind().await?;
        Ok(Local { file, room })
    }

    /// An address from which anybody may read a file until `expires` has passed, without asking this server. `None` if its bytes are
    /// in the directory, for good or until the bucket has taken them.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn link(&self, about: &About, expires: Duration) -> io::Result<Option<String>> {
        let key = Key::of(about);
        match &self.0.remote {
            Some(remote) if !fs::try_exists(key.bytes(&self.0.root)).await? => {
                Ok(Some(remote.bucket.link(&key, expires).await?))
            }
            _ => Ok(None),
        }
    }

    /// How many contents are yet to be brought to the bucket, or removed from it.
    #[must_use]
    pub fn due(&self) -> usize {
        self.0.remote.as_ref().map_or(0, |remote| remote.due.len())
    }

    /// Removes a file; whether it was there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub async fn remove(&self, tenant: &Tenant, id: &FileId) -> io::Result<bool> {
        let Some(about) = self.get(tenant, id) else { return Ok(false) };
        let key = Key::of(&about);
        let _turn = self.turn(&key).await;
        if self.get(tenant, id).is_none() {
            return Ok(false);
        }
        if self.0.remote.is_some() && self.references(&key) == 1 {
            // Before the last file that has it goes, so that the bucket's copy is not forgotten.
            File::create(key.gone(&self.0.root)).await?;
            sync(&key.directory(&self.0.root)).await?;
        }
        // Out of its place in one step, so that nobody finds half of it after a crash.
        let gone = self.0.root.join(NEW).join(format!("gone-{id}"));
        fs::rename(self.place(&about), &gone).await?;
        sync(&self.0.root.join(tenant.as_str())).await?;
        {
            let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
            known.get_mut(tenant).map(|files| files.remove(id));
        }
        self.drop_unreferenced(&key).await?;
        fs::remove_dir_all(gone).await?;
        Ok(true)
    }

    /// Removes a content that no file has, in its turn.
    async fn drop_unreferenced(&self, key: &Key) -> io::Result<()> {
        if self.is_referenced(key) {
            return Ok(());
        }
        self.drop_bytes(key).await?;
        if let Some(remote) = &self.0.remote {
            remote.due.add(key, None);
        }
        Ok(())
    }

    /// Removes the bytes of a content from this disk.
    pub(crate) async fn drop_bytes(&self, key: &Key) -> io::Result<()> {
        absent_is_fine(fs::remove_file(key.bytes(&self.0.root)).await)?;
        if let Some(remote) = &self.0.remote {
            remote.due.free(key);
        }
        Ok(())
    }

    /// Removes the files whose time has passed; how many that were. One that cannot be removed does not keep the others.
    pub async fn remove_expired(&self, now: Time) -> usize {
        let expired: Vec<Arc<About>> = {
            let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
            known.values().flat_map(BTreeMap::values).filter(|about| about.is_expired(now)).cloned().collect()
        };
        let mut removed = 0;
        for about in &expired {
            match self.remove(&about.tenant, &about.id).await {
                Ok(was_there) => removed += usize::from(was_there),
                Err(error) => tracing::warn!(file = %about.id, %error, "a file whose time has passed is not removed"),
            }
        }
        removed
    }

    /// Where everything is kept. Names that begin with a dot are free for those who keep work of their own beside the files.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    pub(crate) fn place(&self, about: &About) -> PathBuf {
        self.0.root.join(about.tenant.as_str()).join(about.id.as_str())
    }
}

/// The files of a tenant, in its directory.
fn files(root: &Path, directory: &Path) -> io::Result<BTreeMap<FileId, Arc<About>>> {
    let mut files = BTreeMap::new();
    for file in std::fs::read_dir(directory)?.flatten().filter(|file| file.file_name() != CONTENTS) {
        match read(root, &file.path()) {
            Ok(about) => {
                files.insert(about.id.clone(), Arc::new(about));
            }
            Err(error) => tracing::warn!(path = %file.path().display(), %error, "a file cannot be read"),
        }
    }
    Ok(files)
}

fn read(root: &Path, place: &Path) -> io::Result<About> {
    let about: About = serde_json::from_slice(&std::fs::read(place.join(ABOUT))?)?;
    if place.file_name().and_then(|name| name.to_str()) != Some(about.id.as_str()) {
        return Err(io::Error::other("it is not what its name says"));
    }
    // As they were kept before contents had places of their own.
    absent_is_fine(std::fs::rename(content(place), Key::of(&about).bytes(root)))?;
    Ok(about)
}

/// Removes contents that no file has, and finds out what the bucket is yet to be told.
fn look_through(
    root: &Path,
    tenant: &Tenant,
    files: &BTreeMap<FileId, Arc<About>>,
    remote: Option<&Remote>,
) -> io::Result<()> {
    let mut missing: BTreeSet<&str> = files.values().map(|about| &*about.sha256).collect();
    let referenced = missing.clone();
    for entry in std::fs::read_dir(root.join(tenant.as_str()).join(CONTENTS))?.flatten() {
        let bytes = entry.metadata()?.len();
        match entry.file_name().to_str().and_then(|name| Entry::of(tenant, name)) {
            Some(Entry::Bytes(key)) if referenced.contains(&*key.sha256) => {
                missing.remove(&*key.sha256);
                if let Some(remote) = remote {
                    remote.due.add(&key, Some(remote.room.taken_already(bytes)));
                }
            }
            Some(Entry::Bytes(_)) => std::fs::remove_file(entry.path())?,
            Some(Entry::Gone(key)) if referenced.contains(&*key.sha256) => std::fs::remove_file(key.gone(root))?,
            Some(Entry::Gone(key)) => {
                if let Some(remote) = remote {
                    remote.due.add(&key, None);
                }
            }
            None => {}
        }
    }
    if remote.is_none() && !missing.is_empty() {
        let contents = missing.len();
        tracing::warn!(%tenant, contents, "files are not in the directory; they may be in a bucket that is not configured any more");
    }
    Ok(())
}

pub(crate) fn content(place: &Path) -> PathBuf {
    place.join(CONTENT)
}

/// What was to be gone is.
pub(crate) fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes a file or a directory durable as it is.
async fn sync(path: &Path) -> io::Result<()> {
    File::open(path).await?.sync_all().await
}

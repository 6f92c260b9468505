use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use raincheck_core::{Tenant, Time};
use tokio::fs;

use crate::upload::{Upload, UploadError};
use crate::{About, FileId, Wanted};

/// Where files are written before they are put in their place.
const NEW: &str = ".new";
const CONTENT: &str = "content";
const ABOUT: &str = "about.json";
/// Files of one tenant. What is known of each takes about 300 bytes of memory.
const FILES_MAX: usize = 10_000;

/// The files of all tenants of a server. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    root: PathBuf,
    /// What is there, so that lists read no directories.
    known: RwLock<BTreeMap<Tenant, BTreeMap<FileId, Arc<About>>>>,
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
        match std::fs::remove_dir_all(root.join(NEW)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(root.join(NEW))?;
        let mut known = BTreeMap::<Tenant, BTreeMap<FileId, Arc<About>>>::new();
        for entry in std::fs::read_dir(&root)?.flatten() {
            let tenant: Option<Tenant> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(tenant) = tenant else { continue };
            let of_tenant = known.entry(tenant).or_default();
            for file in std::fs::read_dir(entry.path())?.flatten() {
                match read(&file.path()) {
                    Ok(about) => {
                        of_tenant.insert(about.id.clone(), Arc::new(about));
                    }
                    Err(error) => tracing::warn!(path = %file.path().display(), %error, "a file cannot be read"),
                }
            }
        }
        Ok(Self(Arc::new(Inner { root, known: RwLock::new(known) })))
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
        Upload::begin(self.clone(), wanted, place, bytes_max).await
    }

    /// Puts a file that is written whole in its place.
    pub(crate) async fn put(&self, place: &Path, about: About) -> io::Result<Arc<About>> {
        if let Some(there) = self.get(&about.tenant, &about.id) {
            fs::remove_dir_all(place).await?;
            return Ok(there);
        }
        let directory = self.0.root.join(about.tenant.as_str());
        fs::create_dir_all(&directory).await?;
        fs::write(place.join(ABOUT), serde_json::to_vec(&about)?).await?;
        for path in [place.join(ABOUT), place.to_owned()] {
            fs::File::open(path).await?.sync_all().await?;
        }
        fs::rename(place, directory.join(about.id.as_str())).await?;
        for path in [&directory, &self.0.root] {
            fs::File::open(path).await?.sync_all().await?;
        }
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
    /// If it cannot be opened; it may just have been removed.
    pub async fn read(&self, about: &About) -> io::Result<fs::File> {
        fs::File::open(self.place(about).join(CONTENT)).await
    }

    /// Removes a file; whether it was there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub async fn remove(&self, tenant: &Tenant, id: &FileId) -> io::Result<bool> {
        let Some(about) = self.get(tenant, id) else { return Ok(false) };
        // Out of its place in one step, so that nobody finds half of it after a crash.
        let gone = self.0.root.join(NEW).join(format!("gone-{id}"));
        fs::rename(self.place(&about), &gone).await?;
        {
            let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
            known.get_mut(tenant).map(|files| files.remove(id));
        }
        fs::remove_dir_all(gone).await?;
        Ok(true)
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

fn read(place: &Path) -> io::Result<About> {
    let about: About = serde_json::from_slice(&std::fs::read(place.join(ABOUT))?)?;
    if place.file_name().and_then(|name| name.to_str()) == Some(about.id.as_str()) {
        Ok(about)
    } else {
        Err(io::Error::other("it is not what its name says"))
    }
}

pub(crate) fn content(place: &Path) -> PathBuf {
    place.join(CONTENT)
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raincheck_api::ApiSettings;
use raincheck_blob::Blobs;
use raincheck_engine::{Blocking, BlockingContext, BlockingHandler, Chance, Context, Engine, Failure, Handler, Hub};
use raincheck_engine::{Registry, Settings, SystemClock};
use raincheck_kinds::JobFiles;
use raincheck_store::Limits;
use raincheck_store_sqlite::Options;
use raincheck_upstream::{Egress, Messenger};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::typed;
use crate::wiring::{Keep, Kept, UPLOADS};
use crate::{Raincheck, StartError};

/// Where everything is kept unless told otherwise: the same as of `raincheck serve`.
const DATA_DIR: &str = "raincheck-data";
/// How long running attempts may take to end at a shutdown, before they are handed back.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// What a [`Raincheck`] is to be: where it keeps what it must not lose, and which kinds of jobs it runs. All but the handlers
/// has a default that is right for most.
#[must_use]
pub struct Builder {
    data_dir: PathBuf,
    in_memory: bool,
    limits: Limits,
    registry: Registry,
    settings: Settings,
    api: ApiSettings,
    drain_grace: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        // Webhooks are told, but never at addresses of private networks.
        let mut api = ApiSettings::default();
        api.doors.messenger = Some(Messenger::new(Egress::default()));
        Self {
            data_dir: DATA_DIR.into(),
            in_memory: false,
            limits: Limits::default(),
            registry: Registry::default(),
            settings: Settings::default(),
            api,
            drain_grace: DRAIN_GRACE,
        }
    }
}

impl Builder {
    /// The directory of everything that is kept; made if it is missing. One process at a time can use it.
    /// `raincheck-data` unless given.
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data_dir = directory.into();
        self
    }

    /// Keeps jobs in memory: nothing survives the process. For tests and trials.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// Runs the jobs of a kind by an async function. [`handler`](crate::handler) with [`Self::register`] can say more.
    ///
    /// # Panics
    /// If the name is none of a kind, or has a handler already.
    #[track_caller]
    pub fn handler<F, Fut, I, O>(self, kind: &str, function: F) -> Self
    where
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Failure>> + Send + 'static,
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + Send + 'static,
    {
        self.register(typed::handler(kind, function))
    }

    /// Runs the jobs of a kind by a function that blocks, each attempt on a thread of its own.
    /// [`blocking`](crate::blocking) with [`Self::register_blocking`] can say more.
    ///
    /// # Panics
    /// As [`Self::handler`].
    #[track_caller]
    pub fn blocking_handler<F, I, O>(self, kind: &str, function: F) -> Self
    where
        F: Fn(&BlockingContext, I) -> Result<O, Failure> + Send + Sync + 'static,
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + 'static,
    {
        self.register_blocking(typed::blocking(kind, function))
    }

    /// Runs the jobs of a kind by a handler.
    ///
    /// # Panics
    /// If its kind has a handler already.
    #[track_caller]
    pub fn register(mut self, handler: impl Handler) -> Self {
        let kind = handler.about().kind;
        assert!(self.registry.get(&kind).is_none(), "the kind {:?} has a handler already", kind.as_str());
        self.registry = self.registry.with(handler);
        self
    }

    /// Runs the jobs of a kind by a handler that blocks.
    ///
    /// # Panics
    /// If its kind has a handler already.
    #[track_caller]
    pub fn register_blocking(self, handler: impl BlockingHandler) -> Self {
        self.register(Blocking::new(handler))
    }

    /// How many jobs may wait at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How jobs are run: leases, how many at once, how often progress is recorded.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How the HTTP side behaves. `keyless`, `files` and `path` are not taken from it: they follow from the address, the data
    /// directory and [`Self::path`].
    pub fn api_settings(mut self, settings: ApiSettings) -> Self {
        let ApiSettings { path, doors, .. } = self.api;
        self.api = ApiSettings { path, ..settings };
        // Who only wants another limit does not mean to tell no webhooks any more.
        self.api.doors.messenger = self.api.doors.messenger.or(doors.messenger);
        self
    }

    /// The path under which [`Raincheck::router`] has its routes, such as `/jobs`; links lead there. At the root unless given.
    ///
    /// # Panics
    /// If it does not begin with a slash, or ends with one.
    #[track_caller]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        assert!(path.starts_with('/') && !path.ends_with('/'), "a path such as /jobs is expected, not {path:?}");
        self.api.path = path;
        self
    }

    /// How long running attempts may take to end when [`Raincheck::shutdown`] is called, before they are handed back.
    /// 30 seconds unless given.
    pub fn drain_grace(mut self, grace: Duration) -> Self {
        self.drain_grace = grace;
        self
    }

    /// Opens the data directory and begins to run jobs: first of all those that waited or ran when the last life ended.
    /// To be called within a tokio runtime.
    ///
    /// # Errors
    /// If the data directory cannot be used, for example by another process that uses it.
    pub async fn start(self) -> Result<Raincheck, StartError> {
        let hub = Hub::new();
        let keep = if self.in_memory {
            Keep::Memory(self.limits)
        } else {
            Keep::Sqlite(Options { limits: self.limits, ..Options::new(&self.data_dir) })
        };
        let kept = Kept::open(keep, Arc::clone(&hub)).await?;
        let unusable = |source| StartError::Files { directory: kept.directory.clone(), source };
        let files = JobFiles::open(&kept.directory).map_err(unusable)?;
        let blobs = Blobs::open(kept.directory.join(UPLOADS)).map_err(unusable)?;
        let (store, clock) = (Arc::clone(&kept.store), Arc::new(SystemClock));
        let engine = Engine::start(store, hub, self.registry, self.settings, clock, Chance::from_system()).await?;
        let api = ApiSettings { keyless: false, files: Some(files.root().to_owned()), ..self.api };
        Ok(Raincheck::new(engine, kept, (files, blobs), api, self.drain_grace))
    }
}

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use raincheck_api::{ApiSettings, Router};
use raincheck_blob::Blobs;
use raincheck_core::JobId;
use raincheck_engine::Engine;
use raincheck_kinds::JobFiles;
use raincheck_store::StoreError;
use serde::Serialize;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::wiring::{self, Access, Kept};
use crate::{Builder, JobHandle, RunError, Submit};

/// How long the answers under way may take once the store has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Jobs that are durable, and the handlers that do them, in this process. Cheap to clone; all clones are the same.
///
/// It runs until [`Self::shutdown`] is called. If the process ends without, nothing is lost: the jobs that were running start
/// again with the next life on the same data directory, behind the last step that they recorded.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use raincheck::{Context, Raincheck};
///
/// let raincheck = Raincheck::builder()
///     .in_memory()
///     .handler("text.shout", |_: Context, text: String| async move { Ok(text.to_uppercase()) })
///     .start()
///     .await?;
/// let job = raincheck.submit("text.shout", "rain").send().await?;
/// assert_eq!(job.result::<String>().await?, "RAIN");
///
/// // The jobs' own routes, /v1/jobs and the others, beside those of the program.
/// let app: axum::Router = axum::Router::new()
///     .route("/health", axum::routing::get(|| async { "fine" }))
///     .merge(raincheck.router());
/// # drop(app);
/// raincheck.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Raincheck(Arc<Parts>);

struct Parts {
    engine: Engine,
    kept: Kept,
    api: ApiSettings,
    router: Router,
    drain_grace: Duration,
    /// Cancelled when streams and waiting requests should end.
    closing: CancellationToken,
    tasks: TaskTracker,
    stopped: OnceCell<Result<(), StoreError>>,
}

impl Raincheck {
    /// Says what it is to be, and starts it.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        engine: Engine,
        kept: Kept,
        (files, blobs): (JobFiles, Blobs),
        api: ApiSettings,
        drain_grace: Duration,
    ) -> Self {
        let closing = CancellationToken::new();
        let router = raincheck_api::routes_within(engine.clone(), Arc::new(api.clone()), closing.clone());
        let (tasks, store, until) = (TaskTracker::new(), Arc::clone(&kept.store), closing.clone());
        let upkeep = async move { wiring::remove_forgotten(&files, &blobs, &store).await };
        drop(tasks.spawn(async move { until.run_until_cancelled(upkeep).await }));
        let stopped = OnceCell::new();
        Self(Arc::new(Parts { engine, kept, api, router, drain_grace, closing, tasks, stopped }))
    }

    /// A wish for a job of this kind, to be [sent](Submit::send). The input is what the kind's handler reads.
    pub fn submit<I: Serialize + ?Sized>(&self, kind: &str, input: &I) -> Submit {
        Submit::new(self.clone(), kind, input)
    }

    /// A job that was submitted before, whoever it belongs to. Nothing is looked up yet.
    #[must_use]
    pub fn job(&self, id: JobId) -> JobHandle {
        JobHandle::new(self.clone(), id, false)
    }

    /// The routes of the HTTP API (docs/api.md), to be merged into the program's own router; see [`Builder::path`].
    ///
    /// Who calls them sends an API key, as to `raincheck serve`, and works for the key's tenant; `raincheck key create
    /// --data-dir` makes keys. A program that knows its users by other means lets a middleware put an
    /// [`Identity`](crate::Identity) into the request's extensions: whoever has one needs no key.
    pub fn router(&self) -> Router {
        self.0.router.clone()
    }

    /// Serves the HTTP API at an address as `raincheck serve` does and at the root, until the process is told to stop (SIGINT, SIGTERM) or
    /// [`Self::shutdown`] is called, and shuts down in order. As long as there is no API key everybody on this machine is
    /// served.
    ///
    /// # Errors
    /// If the address cannot be listened on; if others reach it and there is no API key; or if the store fails.
    pub async fn run(&self, address: impl ToSocketAddrs) -> Result<(), RunError> {
        let address = resolve(address).await?;
        let unusable = |source| RunError::Address { address: address.to_string(), source };
        let socket = wiring::bind(address).map_err(unusable)?;
        let keyless = match wiring::access(address, &*self.0.kept.store, self.0.engine.clock().now()).await? {
            Access::Everybody => true,
            Access::Keyed => false,
            Access::Nobody => return Err(RunError::Unsafe(address)),
        };
        let listener = wiring::listen(socket).map_err(unusable)?;
        let api = Arc::new(ApiSettings { keyless, path: String::new(), ..self.0.api.clone() });
        let router = raincheck_api::router(self.0.engine.clone(), api, self.0.closing.clone());
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        self.serve(listener, router, told).await
    }

    /// Serves the program's own router, with [`Self::router`] in it, until `told` ends or [`Self::shutdown`] is called, and
    /// shuts down in order: requests are answered while running jobs are waited for.
    ///
    /// This is what `raincheck serve` listens with: unlike `axum::serve` it bounds how many connections there are and how
    /// slowly each may send and take ([`ApiSettings`]), and speaks TLS if told so.
    ///
    /// # Errors
    /// If the store fails, or cannot be closed. The program should end then: only a new start can tell what is stored.
    pub async fn serve(
        &self,
        listener: TcpListener,
        app: Router,
        told: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let (api, closing) = (Arc::new(self.0.api.clone()), self.0.closing.clone());
        let mut http = std::pin::pin!(raincheck_api::serve(listener, app, api, closing.clone()));
        tokio::select! {
            ended = &mut http => {
                // Somebody else has begun to shut down.
                self.shutdown().await?;
                return Ok(ended?);
            }
            reason = self.failed() => {
                closing.cancel();
                // Those who wait for an answer are told that it is unknown, if they take it at once.
                let _ = tokio::time::timeout(LAST_WORDS, &mut http).await;
                return Err(RunError::StoreFailed(reason));
            }
            () = told => {}
        }
        let (stopped, ended) = tokio::join!(self.shutdown(), http);
        stopped?;
        Ok(ended?)
    }

    /// Claims no more jobs, gives running attempts [`Builder::drain_grace`] to end, hands back those that do not, ends
    /// streams and waiting requests, and closes the data directory. Nothing is left half done, and what was handed back goes on
    /// at the next start. May be called again, also at the same time: each call ends when all of this is done.
    ///
    /// # Errors
    /// If the store could not be closed.
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        let stop = async {
            let drained = self.0.engine.drain(self.0.drain_grace).await;
            self.0.closing.cancel();
            self.0.tasks.close();
            self.0.tasks.wait().await;
            drained
        };
        self.0.stopped.get_or_init(|| stop).await.clone()
    }

    /// Waits until a write has failed in a way that only a restart can clear up, and gives the reason; never ends otherwise.
    /// No job is accepted or done after it. [`Self::run`] and [`Self::serve`] watch for it themselves; a program that serves
    /// the router otherwise should end when this does.
    pub async fn failed(&self) -> String {
        self.0.kept.failed().await
    }

    /// The engine, for what has no method here.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The largest input that the HTTP side takes, in bytes. It is the largest for the program as well.
    pub(crate) fn input_bytes_max(&self) -> usize {
        self.0.api.input_bytes_max
    }
}

impl fmt::Debug for Raincheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raincheck").field("directory", &self.0.kept.directory).finish_non_exhaustive()
    }
}

async fn resolve(address: impl ToSocketAddrs) -> Result<SocketAddr, RunError> {
    let unusable = |source| RunError::Address { address: "the address".to_owned(), source };
    let none = || unusable(std::io::Error::from(std::io::ErrorKind::AddrNotAvailable));
    tokio::net::lookup_host(address).await.map_err(unusable)?.next().ok_or_else(none)
}

//! `raincheck serve`: puts store, engine and HTTP together, and takes them apart again in order.

mod announce;
mod blobs;
mod guard;
pub(crate) mod limits;
pub(crate) mod listen;
mod logs;
mod recipes;
pub(crate) mod signals;
mod stop;
pub(crate) mod store;
mod tls;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raincheck::wiring::{self, Kept};
use raincheck_api::{Doors, Passage, Tls};
use raincheck_blob::Blobs;
use raincheck_core::{Json, Kind};
use raincheck_engine::{About, Blocking, Chance, Clock, Engine, Hub, Registry, SystemClock};
use raincheck_kinds::{
    AudioScan, Batch, ConversationSummarize, Courier, Echo, HttpRequest, ImageGenerate, JobFiles, Llm, MessageBatch,
    Recipes, Sleep,
};
use raincheck_recipes::Book;
use raincheck_store::StoreError;
use raincheck_upstream::{Egress, Messenger, Upstreams};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Layers, Loaded};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use recipes::Shelf;
use signals::{Signals, hangup};

/// How long the answers under way may take once the store has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs the server.
///
/// Settings come from the file, the environment and these flags, the later before the earlier; `raincheck config show`
/// tells what is in force and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The address and port to listen on; port 0 takes a free one [default: 127.0.0.1:7246]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Where everything is kept that must not be lost [default: raincheck-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's certificate in PEM, with those that lead to its authority; with it TLS is spoken
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The configuration file [default: raincheck.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "RAINCHECK_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// What keeps the jobs: sqlite (in the data directory) or memory (nothing survives, for trials) [default: sqlite]
    #[arg(long, value_name = "KIND")]
    store: Option<String>,
    /// A recipe, or a folder of recipes; may be given again, and replaces recipes.paths of the configuration
    #[arg(long, value_name = "PATH")]
    recipes: Vec<PathBuf>,
    /// A directory that audio.scan may look into; may be given again, and replaces audio.roots of the configuration
    #[arg(long, value_name = "DIR")]
    audio_root: Vec<PathBuf>,
}

impl Args {
    /// The configuration that these flags, the environment and the file give together.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    fn load(&self) -> Result<Loaded, Failure> {
        let mut layers = Layers::here(self.config.as_deref())?;
        let roots = self.audio_root.iter().map(|root| absolute(root).into_os_string()).collect();
        let flags = [
            ("--listen", "server.listen", self.listen.iter().map(OsString::from).collect()),
            ("--data-dir", "server.data_dir", self.data_dir.iter().map(OsString::from).collect()),
            ("--tls-cert", "server.tls_cert", self.tls_cert.iter().map(OsString::from).collect()),
            ("--tls-key", "server.tls_key", self.tls_key.iter().map(OsString::from).collect()),
            ("--store", "store.kind", self.store.iter().map(OsString::from).collect()),
            ("--recipes", "recipes.paths", self.recipes.iter().map(OsString::from).collect()),
            ("--audio-root", "audio.roots", roots),
        ];
        layers.flags = flags.into_iter().filter(|(_, _, values): &(_, _, Vec<OsString>)| !values.is_empty()).collect();
        Ok(Config::load(&layers)?)
    }
}

/// A flag is typed where its path is meant; a path in the configuration must say where it starts.
fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Everything that was started.
struct Server {
    loaded: Loaded,
    opened: Kept,
    engine: Engine,
    files: JobFiles,
    /// The files that tenants upload.
    blobs: Blobs,
    shelf: Shelf,
    upstreams: Upstreams,
    address: SocketAddr,
    /// What it proves itself with, if it speaks TLS.
    tls: Option<Tls>,
    /// Whether requests without a key are served, as long as there is none.
    keyless: bool,
}

/// Serves until told to stop.
///
/// # Errors
/// If it could not start, or had to stop by itself.
pub(crate) async fn run(args: Args, console: Console) -> Result<(), Failure> {
    let loaded = args.load()?;
    logs::start(&loaded.config, console);
    loaded.warnings.iter().for_each(|warning| console.warn(&warning.to_string()));
    limits::raise_open_files();
    limits::decline_huge_pages();
    let signals = Signals::listen()?;
    let (server, listener) = Server::start(loaded).await?;
    announce::say(&server, console);
    server.serve(listener, signals, console).await
}

impl Server {
    /// The address first: if it is taken, nothing has been touched. Nobody can connect before everything is ready.
    async fn start(loaded: Loaded) -> Result<(Self, TcpListener), Failure> {
        let tls = tls::load(&loaded.config.server)?;
        let address = loaded.config.server.listen;
        let socket = listen::bind(address)?;
        let address = socket.local_addr().unwrap_or(address);
        let hub = Hub::new();
        let opened = store::open(&loaded.config, Arc::clone(&hub)).await?;
        let keyless = guard::check(loaded.config.server.listen, &opened, SystemClock.now()).await?;
        let upstreams = open_upstreams(&loaded.config, &hub)?;
        let (engine, files, blobs, shelf) = start_engine(&loaded.config, &opened, hub, &upstreams).await?;
        let listener = listen::listen(socket, address)?;
        Ok((Self { loaded, opened, engine, files, blobs, shelf, upstreams, address, tls, keyless }, listener))
    }

    /// Serves HTTP until a signal comes or the store fails, and stops in order.
    async fn serve(self, listener: TcpListener, mut signals: Signals, console: Console) -> Result<(), Failure> {
        let Config { limits, server, .. } = &self.loaded.config;
        let mut hangup = hangup()?;
        let closing = CancellationToken::new();
        let files = Some(self.files.root().to_owned());
        let (tls, doors) = (self.tls.clone(), doors(&self.upstreams, &self.blobs, &self.loaded.config));
        let recipes = Some(self.shelf.book.clone());
        let settings =
            Arc::new(raincheck_api::ApiSettings { files, tls, doors, recipes, ..limits.of_api(self.keyless) });
        let router = raincheck_api::router(self.engine.clone(), Arc::clone(&settings), closing.clone());
        let mut http = std::pin::pin!(raincheck_api::serve(listener, router, settings, closing.clone()));
        let ended_early = |error| Failure::new(Exit::Failed, format!("serving ended: {error}"));
        tokio::select! {
            ended = &mut http => return ended.map_err(ended_early),
            reason = self.opened.failed() => {
                closing.cancel();
                // Those who wait for an answer are told that it is unknown, if they take it at once.
                let _ = tokio::time::timeout(LAST_WORDS, &mut http).await;
                return Err(stop::store_failed(&reason));
            }
            () = wiring::remove_forgotten(&self.files, &self.blobs, &self.opened.store) => {}
            // What it has not brought away when the server stops waits in the directory for the next start.
            () = self.blobs.carry() => {}
            () = self.shelf.reload(&mut hangup) => {}
            signal = signals.next() => tracing::info!(signal, "stopping"),
        }
        let stopping = stop::in_order(&self.engine, &closing, server.drain_grace, console);
        tokio::select! {
            biased;
            reason = self.opened.failed() => Err(stop::store_failed(&reason)),
            signal = signals.next() => Err(stop::at_once(signal)),
            (stopped, ended) = async { tokio::join!(stopping, http) } => ended.map_err(ended_early).and(stopped),
        }
    }
}

async fn start_engine(
    config: &Config,
    opened: &Kept,
    hub: Arc<Hub>,
    upstreams: &Upstreams,
) -> Result<(Engine, JobFiles, Blobs, Shelf), Failure> {
    let unusable = |error: std::io::Error| {
        Failure::new(Exit::DataDirectory, format!("{} cannot be used: {error}", opened.directory.display()))
    };
    let files = JobFiles::open(&opened.directory).map_err(unusable)?;
    for root in config.audio.roots.iter().filter(|root| !root.is_dir()) {
        tracing::warn!(root = %root.display(), "a directory of audio.roots is not there; nothing can be scanned in it until it is");
    }
    let scan = AudioScan::new(config.audio.roots.clone(), &opened.directory, files.clone()).map_err(unusable)?;
    let bundled = Registry::default().with(Echo).with(Sleep).with(Blocking::new(scan));
    let blobs = blobs::open(config, &opened.directory).await?;
    let bundled = with_models(bundled, upstreams, &blobs).map_err(unusable)?;
    // Before the engine is: the first thing it does may be to go on with a recipe.
    let book = Book::default();
    let shelf = Shelf::open(&book, &config.recipes.paths, &opened.directory, &bundled)?;
    let bundled = bundled.clone().with(Recipes::new(book, bundled, Arc::new(SystemClock)));
    let registry = config.workers.kinds.iter().fold(bundled, |registry, kind| registry.with_external(external(kind)));
    let (store, clock) = (Arc::clone(&opened.store), Arc::new(SystemClock));
    let engine = Engine::start(store, hub, registry, config.engine.settings(), clock, Chance::from_system());
    let cannot = |error: StoreError| Failure::new(Exit::StoreFailed, format!("the engine cannot start: {error}"));
    Ok((engine.await.map_err(cannot)?, files, blobs, shelf))
}

/// Where outgoing connections may go.
fn egress(config: &Config) -> Egress {
    Egress { allow: config.egress.allow.clone() }
}

/// The upstreams of the configuration. Whenever one may take more, the engine looks for jobs that wait for it.
fn open_upstreams(config: &Config, hub: &Arc<Hub>) -> Result<Upstreams, Failure> {
    let chance = Chance::from_system();
    let upstreams = Upstreams::new(config.upstreams.clone(), &egress(config), move || chance.dice());
    let upstreams = upstreams.map_err(|error| {
        Failure::new(Exit::Failed, format!("the certificates of this machine cannot be read: {error}"))
            .hint("install them: apt-get install ca-certificates")
    })?;
    let hub = Arc::clone(hub);
    upstreams.on_change(move || hub.look_again());
    Ok(upstreams)
}

/// Where the doors of other dialects lead.
fn doors(upstreams: &Upstreams, blobs: &Blobs, config: &Config) -> Doors {
    let messenger = Messenger::new(egress(config));
    let passage = (!upstreams.is_empty()).then(|| Arc::new(upstreams.clone()) as Arc<dyn Passage>);
    let (files, links) = (Some(blobs.clone()), config.blobs.links());
    Doors { passage, files, links, messenger: Some(messenger) }
}

/// The kinds that call upstreams, if there are upstreams that could be called.
fn with_models(registry: Registry, upstreams: &Upstreams, blobs: &Blobs) -> std::io::Result<Registry> {
    if upstreams.is_empty() {
        return Ok(registry);
    }
    let kinds = [Llm::response, Llm::chat, Llm::message, Llm::embed];
    let registry = registry
        .with(ImageGenerate::new(upstreams.clone()))
        .with(HttpRequest::new(upstreams.clone()))
        .with(ConversationSummarize::new(upstreams.clone()));
    let registry =
        registry.with(MessageBatch::by(upstreams.clone())).with(Batch::by(blobs.clone(), upstreams.clone())?);
    let courier = Courier::new(blobs.clone(), upstreams.clone(), Arc::new(SystemClock));
    let kinds = kinds.into_iter().map(|kind| kind(upstreams.clone()).with_files(courier.clone()));
    Ok(kinds.fold(registry, Registry::with))
}

/// A kind of which the server knows only that workers in other processes run it.
fn external(kind: &Kind) -> About {
    About::new(kind.clone(), "Run by workers in other processes.", Json::from(serde_json::Value::Bool(true)))
}

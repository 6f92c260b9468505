//! `raincheck serve`: puts store, engine and HTTP together, and takes them apart again in order.

mod announce;
mod blobs;
mod collections;
mod guard;
pub(crate) mod limits;
pub(crate) mod listen;
mod logs;
mod recipes;
pub(crate) mod signals;
mod stop;
pub(crate) mod store;
mod tls;
mod works;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raincheck::wiring::{self, Kept};
use raincheck_api::{Doors, Links, Passage, Tls};
use raincheck_engine::{Clock, Hub, SystemClock};
use raincheck_upstream::{Egress, Messenger};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Layers, Loaded};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use signals::{Signals, hangup};
use works::Works;

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
    works: Works,
    address: SocketAddr,
    links: Links,
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
        let works = Works::start(&loaded.config, &opened, hub).await?;
        let links = Links::open(&opened.directory).map_err(|error| unusable(&opened, &error))?;
        let listener = listen::listen(socket, address)?;
        Ok((Self { loaded, opened, works, address, links, tls, keyless }, listener))
    }

    /// Serves HTTP until a signal comes or the store fails, and stops in order.
    async fn serve(self, listener: TcpListener, mut signals: Signals, console: Console) -> Result<(), Failure> {
        let Config { limits, server, .. } = &self.loaded.config;
        let mut hangup = hangup()?;
        let closing = CancellationToken::new();
        let files = Some(self.works.files.root().to_owned());
        let (tls, doors) = (self.tls.clone(), doors(&self.works, &self.loaded.config));
        let (recipes, links) = (Some(self.works.shelf.book.clone()), Some(self.links.clone()));
        let settings =
            Arc::new(raincheck_api::ApiSettings { files, tls, doors, recipes, links, ..limits.of_api(self.keyless) });
        let router = raincheck_api::router(self.works.engine.clone(), Arc::clone(&settings), closing.clone());
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
            () = wiring::remove_forgotten(&self.works.files, &self.works.blobs, &self.opened.store) => {}
            // What it has not brought away when the server stops waits in the directory for the next start.
            () = self.works.blobs.carry() => {}
            () = self.works.reload(&mut hangup) => {}
            signal = signals.next() => tracing::info!(signal, "stopping"),
        }
        let stopping = stop::in_order(&self.works.engine, &closing, server.drain_grace, console);
        tokio::select! {
            biased;
            reason = self.opened.failed() => Err(stop::store_failed(&reason)),
            signal = signals.next() => Err(stop::at_once(signal)),
            (stopped, ended) = async { tokio::join!(stopping, http) } => ended.map_err(ended_early).and(stopped),
        }
    }
}

/// The data directory, which is of no use.
fn unusable(opened: &Kept, error: &std::io::Error) -> Failure {
    Failure::new(Exit::DataDirectory, format!("{} cannot be used: {error}", opened.directory.display()))
}

/// Where outgoing connections may go.
fn egress(config: &Config) -> Egress {
    Egress { allow: config.egress.allow.clone() }
}

/// Where the doors of other dialects lead.
fn doors(Works { upstreams, blobs, .. }: &Works, config: &Config) -> Doors {
    let messenger = Messenger::new(egress(config));
    let passage = (!upstreams.is_empty()).then(|| Arc::new(upstreams.clone()) as Arc<dyn Passage>);
    let (files, link_lifetime) = (Some(blobs.clone()), config.blobs.link_lifetime());
    Doors { passage, files, link_lifetime, messenger: Some(messenger) }
}

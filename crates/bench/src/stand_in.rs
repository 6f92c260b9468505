//! The server put together without the command line, so that its commit can be taken away: `raincheck serve` has no switch
//! for that, and must not have one.
//!
//! It is the same engine, the same HTTP side and the same store as in `raincheck serve`. As `uncommitted` the store does
//! all but the database: calls go through the same queue to the same thread, are batched, change the same memory and are
//! answered in the same way, but no statement is run and nothing is synced. As `durable` nothing is taken away; that it is
//! as fast as `raincheck serve` shows that the stand-in is a fair one.

use std::path::Path;
use std::sync::Arc;

use raincheck_api::ApiSettings;
use raincheck_engine::{Chance, Engine, Hub, Registry, Settings, SystemClock};
use raincheck_kinds::{Echo, Sleep};
use raincheck_store::Limits;
use raincheck_store_sqlite::{Options, SqliteStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::failure::Fallible;

/// Serves until it is killed: `stand-in durable|uncommitted DIRECTORY`.
pub(crate) fn serve(args: &[&str]) -> Fallible<()> {
    let (uncommitted, directory) = match args {
        ["durable", directory] => (false, *directory),
        ["uncommitted", directory] => (true, *directory),
        _ => return Err("usage: stand-in durable|uncommitted DIRECTORY".into()),
    };
    // The runtime that the command line makes for `raincheck serve`.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(Path::new(directory), uncommitted))
}

async fn run(directory: &Path, uncommitted: bool) -> Fallible<()> {
    const ROOMY: usize = 100_000_000;
    let limits = Limits { waiting_per_tenant: ROOMY, waiting: ROOMY, idempotency_keys: ROOMY, ..Limits::default() };
    let hub = Hub::new();
    let options = Options { limits, uncommitted, ..Options::new(directory) };
    let store = Arc::new(SqliteStore::open(options, Arc::clone(&hub) as _).await?);
    let registry = Registry::default().with(Echo).with(Sleep);
    let (clock, chance) = (Arc::new(SystemClock), Chance::from_system());
    let engine = Engine::start(store, hub, registry, Settings::default(), clock, chance).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let settings = Arc::new(ApiSettings { keyless: true, ..ApiSettings::default() });
    let closing = CancellationToken::new();
    let router = raincheck_api::router(engine, Arc::clone(&settings), closing.clone());
    Ok(raincheck_api::serve(listener, router, settings, closing).await?)
}

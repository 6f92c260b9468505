use std::sync::Arc;

use raincheck::wiring::Kept;
use raincheck_blob::Blobs;
use raincheck_core::{Json, Kind};
use raincheck_engine::{About, Blocking, Chance, Engine, Hub, Registry, SystemClock};
use raincheck_kinds::{
    AudioScan, Batch, CollectionSearch, Collections, ConversationSummarize, Courier, Echo, FileFetch, HttpRequest,
    ImageGenerate, JobFiles, Llm, MessageBatch, Recipes, Sleep,
};
use raincheck_recipes::Book;
use raincheck_store::StoreError;
use raincheck_upstream::{Fetcher, Upstreams};
use tokio::signal::unix::Signal;

use super::recipes::Shelf;
use super::{blobs, collections, egress, unusable};
use crate::config::Config;
use crate::exit::{Exit, Failure};

/// What does the jobs, and what it does them with.
pub(super) struct Works {
    pub(super) engine: Engine,
    pub(super) upstreams: Upstreams,
    /// The files that jobs write.
    pub(super) files: JobFiles,
    /// The files that tenants upload.
    pub(super) blobs: Blobs,
    pub(super) shelf: Shelf,
    collections: Collections,
}

impl Works {
    /// Starts the engine, with all the kinds that the configuration gives it.
    ///
    /// # Errors
    /// If something that it needs cannot be used.
    pub(super) async fn start(config: &Config, opened: &Kept, hub: Arc<Hub>) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| unusable(opened, &error);
        let upstreams = open_upstreams(config, &hub)?;
        let files = JobFiles::open(&opened.directory).map_err(unusable)?;
        let blobs = blobs::open(config, &opened.directory).await?;
        let collections = collections::open(config).await?;
        for root in config.audio.roots.iter().filter(|root| !root.is_dir()) {
            tracing::warn!(root = %root.display(), "a directory of audio.roots is not there; nothing can be scanned in it until it is");
        }
        let scan = AudioScan::new(config.audio.roots.clone(), &opened.directory, files.clone()).map_err(unusable)?;
        let fetch = FileFetch::new(blobs.clone(), Fetcher::new(egress(config)), Arc::new(SystemClock));
        let bundled = Registry::default().with(Echo).with(Sleep).with(Blocking::new(scan)).with(fetch);
        let bundled = bundled.with(Blocking::new(CollectionSearch::new(collections.clone())));
        let bundled = with_models(bundled, &upstreams, &blobs).map_err(unusable)?;
        // Before the engine is: the first thing it does may be to go on with a recipe.
        let book = Book::default();
        let shelf = Shelf::open(&book, config, &opened.directory, &bundled)?;
        let bundled = bundled.clone().with(Recipes::new(book, bundled, Arc::new(SystemClock)));
        let workers = config.workers.kinds.iter();
        let registry = workers.fold(bundled, |registry, kind| registry.with_external(external(kind)));
        let (store, clock) = (Arc::clone(&opened.store), Arc::new(SystemClock));
        let engine = Engine::start(store, hub, registry, config.engine.settings(), clock, Chance::from_system());
        let cannot = |error: StoreError| Failure::new(Exit::StoreFailed, format!("the engine cannot start: {error}"));
        Ok(Self { engine: engine.await.map_err(cannot)?, upstreams, files, blobs, shelf, collections })
    }

    /// Whenever the signal comes, reads recipes and collections anew.
    pub(super) async fn reload(&self, hangup: &mut Signal) {
        while hangup.recv().await.is_some() {
            self.shelf.reload();
            collections::reload(&self.collections).await;
        }
    }
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

/// The kinds that call upstreams, if there are upstreams that could be called.
fn with_models(registry: Registry, upstreams: &Upstreams, blobs: &Blobs) -> std::io::Result<Registry> {
    if upstreams.is_empty() {
        return Ok(registry);
    }
    let kinds = [Llm::response, Llm::chat, Llm::message, Llm::embed];
    let registry = registry
        .with(ImageGenerate::new(upstreams.clone()).with_files(blobs.clone()))
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

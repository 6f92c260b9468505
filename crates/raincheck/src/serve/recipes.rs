use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use raincheck_core::Kind;
use raincheck_engine::{About, Registry};
use raincheck_kinds::BUNDLED;
use raincheck_recipes::{Book, Recipe, Step};
use serde_json::{Value, json};

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::recipes::folder;

/// Where the versions are kept that jobs began with, in the data directory.
const VERSIONS: &str = "recipes";
/// How many of them.
const VERSIONS_MAX: usize = 1_000;

/// The recipes of a server, and where they come from.
pub(super) struct Shelf {
    pub(super) book: Book,
    paths: Vec<PathBuf>,
    versions: PathBuf,
    /// What steps can be, and the JSON Schema of what each is given.
    kinds: BTreeMap<String, Value>,
}

impl Shelf {
    /// Reads the recipes, and the versions of them that jobs of earlier runs may still need.
    ///
    /// # Errors
    /// Everything that is wrong with them, or if a version cannot be kept.
    pub(super) fn open(book: &Book, config: &Config, data: &Path, registry: &Registry) -> Result<Self, Failure> {
        let (book, paths, versions) = (book.clone(), config.recipes.paths.clone(), data.join(VERSIONS));
        let upstreams: Vec<&String> = config.upstreams.keys().collect();
        let schema = |about: &About| {
            let mut schema: Value = about.input_schema.parse().unwrap_or_default();
            if let Some(upstream) = schema.pointer_mut("/properties/upstream") {
                upstream["enum"] = json!(upstreams);
            }
            (about.kind.to_string(), schema)
        };
        let kinds = registry.kinds().map(schema).collect();
        let shelf = Self { book, paths, versions, kinds };
        shelf.read()?;
        shelf.remember().map_err(|error| shelf.unkept(&error))?;
        Ok(shelf)
    }

    /// Reads the recipes anew: all of them are put into force, or none.
    pub(super) fn reload(&self) {
        match self.read() {
            Ok(()) => tracing::info!(recipes = self.book.recipes().len(), "read the recipes anew"),
            Err(failure) => {
                tracing::error!("the recipes stay as they were, for these are wrong:\n{}", failure.message);
            }
        }
    }

    fn read(&self) -> Result<(), Failure> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let recipes = folder::read(&self.paths)?;
        folder::check_calls(&recipes, &self.kinds).map_err(|failure| self.with_way_out(failure, &recipes))?;
        let pages = folder::pages(&recipes)?;
        recipes.iter().try_for_each(|recipe| self.keep(recipe)).map_err(|error| self.unkept(&error))?;
        self.book.replace(recipes).map_err(|mistakes| folder::wrong(&mistakes))?;
        self.book.show(pages);
        Ok(())
    }

    /// Of kinds that this server could have says how it gets them.
    fn with_way_out(&self, failure: Failure, recipes: &[Recipe]) -> Failure {
        let kinds = || recipes.iter().flat_map(|recipe| &recipe.steps).flat_map(Step::calls).map(|call| &call.kind);
        let is_missing = |kind: &Kind| BUNDLED.contains(&kind.as_str()) && !self.kinds.contains_key(kind.as_str());
        match kinds().find(|kind| is_missing(kind)) {
            Some(kind) => failure.hint(format!(
                "{kind} calls an upstream, and this server has none: configure [upstream.NAME] (docs/upstreams.md)"
            )),
            None => failure,
        }
    }

    /// Keeps a version. It is there whole or not at all, and there before the first job that names it.
    fn keep(&self, recipe: &Recipe) -> io::Result<()> {
        fs::create_dir_all(&self.versions)?;
        let path = self.versions.join(format!("{}.toml", recipe.version));
        if path.exists() {
            // Those in force longest ago are removed first.
            return fs::File::open(&path)?.set_modified(now());
        }
        let fresh = path.with_extension("new");
        fs::write(&fresh, &recipe.source)?;
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, &path)?;
        fs::File::open(&self.versions)?.sync_all()
    }

    /// Brings back the versions that are kept; removes the oldest of too many.
    fn remember(&self) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(&self.versions) else { return Ok(()) };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry?;
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
        kept.sort_by(|one, other| other.cmp(one));
        for (_, path) in kept.iter().skip(VERSIONS_MAX) {
            fs::remove_file(path)?;
        }
        for (_, path) in kept.iter().take(VERSIONS_MAX) {
            match Recipe::read(path, &fs::read_to_string(path)?) {
                Ok(recipe) => drop(self.book.remember(recipe)),
                Err(_) => {
                    tracing::warn!(path = %path.display(), "a version of a recipe that was kept is none to this server; jobs that began with it will fail");
                }
            }
        }
        Ok(())
    }

    fn unkept(&self, error: &io::Error) -> Failure {
        let message = format!("the versions of recipes cannot be kept in {}: {error}", self.versions.display());
        Failure::new(Exit::DataDirectory, message)
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of a file, which nothing but its removal depends on")]
fn now() -> SystemTime {
    SystemTime::now()
}

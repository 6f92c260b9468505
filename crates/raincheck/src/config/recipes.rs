use std::path::PathBuf;

use super::reader::Reader;

/// `[recipes]`: the slow endpoints that files describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipes {
    /// Files, and folders in which every file that ends in `.toml` is a recipe, but for `raincheck.toml`.
    pub(crate) paths: Vec<PathBuf>,
}

impl Recipes {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self { paths: reader.section("recipes").get("paths", Vec::new()) }
    }
}

use raincheck_core::Kind;

use super::reader::Reader;

/// Kinds that the server runs itself: nobody else can. Those that call upstreams are run by workers if they are named here.
const BUNDLED: [&str; 6] = ["audio.scan", "collection.search", "echo", "file.fetch", "recipe", "sleep"];

/// `[workers]`: what workers in other processes run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Workers {
    /// The kinds that they lease over HTTP.
    pub(crate) kinds: Vec<Kind>,
}

impl Workers {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let foreign = |kinds: &Vec<Kind>| kinds.iter().all(|kind| !BUNDLED.contains(&kind.as_str()));
        let must = "must not name kinds that the server runs itself (audio.scan, collection.search, echo, file.fetch, recipe, sleep)";
        Self { kinds: reader.section("workers").get_if("kinds", Vec::new(), foreign, must) }
    }
}

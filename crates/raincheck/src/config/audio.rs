use std::path::PathBuf;

use super::reader::Reader;

/// `[audio]`: what `audio.scan` may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audio {
    /// Only directories under these may be scanned; none, unless some are named.
    pub(crate) roots: Vec<PathBuf>,
}

impl Audio {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let absolute = |roots: &Vec<PathBuf>| roots.iter().all(|root| root.is_absolute());
        Self { roots: reader.section("audio").get_if("roots", Vec::new(), absolute, "must be absolute paths") }
    }
}

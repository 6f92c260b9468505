//! Where things are: the workspace, its target directory, this run's cargo.

use std::path::{Path, PathBuf};

/// The root of the workspace, whatever directory the chore was started in.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The directory of build products; made things that are not sources go there too, so that `cargo clean` removes them.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The cargo that started this chore, so that a chore never mixes toolchains.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

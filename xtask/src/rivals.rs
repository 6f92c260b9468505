//! Other gateways, which `cargo xtask bench gateway` measures beside ours, from crates/bench/rivals.

use std::path::PathBuf;

use crate::run::{Failure, say};
use crate::sdks::{self, Language};

/// A gateway: the list that pins it, the program of it in its place, and the variable by which the benchmark finds that.
const RIVALS: [(&str, &Language, &str, &str); 2] = [
    ("crates/bench/rivals/python.txt", &sdks::PYTHON, "bin/litellm", "BENCH_LITELLM"),
    (
        "crates/bench/rivals/node.txt",
        &sdks::NODE,
        "node_modules/@portkey-ai/gateway/build/start-server.js",
        "BENCH_PORTKEY",
    ),
];

/// Sees to it that they are there, and gives where; the benchmark goes on without those that cannot be installed.
pub(crate) fn prepare() -> Vec<(&'static str, PathBuf)> {
    say(
        "looking for other gateways in target/rivals; what is missing is installed, which takes a minute or two and 1 GB",
    );
    let mut found = Vec::new();
    for (list, language, program, variable) in RIVALS {
        match install(list, language) {
            Ok(place) => found.push((variable, place.join(program))),
            Err(failure) => say(format_args!("measuring without what {list} names: {failure}")),
        }
    }
    found
}

/// The first package of the list is the gateway.
fn install(list: &str, language: &Language) -> Result<PathBuf, Failure> {
    let packages = sdks::packages(list)?;
    let package = packages.first().ok_or_else(|| Failure::failed(format!("{list} names nothing")))?;
    sdks::install(language, "rivals", package)
}

//! The rooms and who may know whom, as docs/architecture.md draws them, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Our crates, and those of ours that each may depend on.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("raincheck-core", &[]),
    ("raincheck-audio", &[]),
    ("raincheck-blob", &["core"]),
    ("raincheck-recipes", &["core"]),
    ("raincheck-store", &["core"]),
    ("raincheck-upstream", &["core"]),
    ("raincheck-store-sqlite", &["store", "core"]),
    ("raincheck-engine", &["store", "core"]),
    ("raincheck-api", &["blob", "engine", "recipes", "upstream", "store", "core"]),
    ("raincheck-kinds", &["blob", "engine", "recipes", "upstream", "core", "audio"]),
    ("raincheck-simulator", &[]),
    (
        "raincheck",
        &["api", "blob", "engine", "recipes", "upstream", "store", "store-sqlite", "kinds", "simulator", "core"],
    ),
];
/// Tools of the project itself, which nobody depends on and which are not shipped.
const TOOLS: &[&str] = &["raincheck-bench", "xtask"];
/// Heavy or telling dependencies, and who alone may have them.
const FENCED: &[(&str, &[&str])] = &[
    ("rusqlite", &["raincheck-store-sqlite"]),
    ("axum", &["raincheck-api", "raincheck-simulator"]),
    ("hyper", &["raincheck-api", "raincheck-upstream", "raincheck-blob", "raincheck-simulator", "raincheck"]),
    ("hyper-util", &["raincheck-api", "raincheck-upstream", "raincheck-blob", "raincheck-simulator", "raincheck"]),
    // Who opens outgoing connections: upstream, the command line, and blob to the bucket that the operator named, which is the one
    // exception (docs/decisions/0005-buckets.md).
    ("hyper-rustls", &["raincheck-upstream", "raincheck-blob", "raincheck"]),
    ("object_store", &["raincheck-blob"]),
    ("tokio-rustls", &["raincheck-api"]),
    ("prometheus-client", &["raincheck-api"]),
    ("symphonia", &["raincheck-audio"]),
    ("ebur128", &["raincheck-audio"]),
    ("imagesize", &["raincheck-blob"]),
    ("pulldown-cmark", &["raincheck-kinds"]),
    ("rust-stemmers", &["raincheck-kinds"]),
    ("clap", &["raincheck"]),
    ("indicatif", &["raincheck"]),
    ("toml", &["raincheck", "raincheck-recipes"]),
    ("minijinja", &["raincheck-recipes"]),
    ("tracing-subscriber", &["raincheck"]),
];
/// What the rules must not know: they neither wait, nor read a clock, nor roll dice.
const UNKNOWN_TO_CORE: &[&str] = &["tokio", "rand", "tracing", "async-trait"];

/// By crate of ours, what it depends on to be built (not to be tested).
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let metadata: serde_json::Value = serde_json::from_slice(&output.expect("cargo runs").stdout).expect("metadata");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let entry = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let to_build = dependencies.filter(|dependency| dependency["kind"].is_null());
        (text(&package["name"]), to_build.map(|dependency| text(&dependency["name"])).collect())
    };
    packages.map(entry).filter(|(name, _)| !TOOLS.contains(&name.as_str())).collect()
}

#[test]
fn every_crate_knows_only_those_below_it() {
    let dependencies = dependencies();
    let rooms: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let drawn: BTreeSet<&str> = MAY_KNOW.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, drawn, "a new crate needs a line in MAY_KNOW, and a place in docs/architecture.md");
    for (room, may_know) in MAY_KNOW {
        let ours = dependencies[*room].iter().filter_map(|name| name.strip_prefix("raincheck-"));
        let forbidden: Vec<&str> = ours.filter(|name| !may_know.contains(name)).collect();
        assert!(forbidden.is_empty(), "{room} must not depend on {forbidden:?}");
        assert!(!dependencies[*room].contains("raincheck"), "nobody depends on the binary, but {room} does");
    }
}

#[test]
fn what_is_fenced_stays_behind_its_fence() {
    let dependencies = dependencies();
    for (fenced, owners) in FENCED {
        for (room, known) in &dependencies {
            let allowed = owners.contains(&room.as_str());
            assert!(allowed || !known.contains(*fenced), "{room} must not depend on {fenced}: only {owners:?} may");
        }
    }
}

#[test]
fn the_rules_are_pure() {
    let known = &dependencies()["raincheck-core"];
    for unknown in UNKNOWN_TO_CORE {
        assert!(!known.contains(*unknown), "raincheck-core must not depend on {unknown}");
    }
}

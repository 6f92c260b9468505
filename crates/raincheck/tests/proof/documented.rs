//! docs/promises.md names a test for every promise: each of these exists, and each test here is named there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("read a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The functions that a source defines as tests: after `#[test]`, or in a suite (`pub async fn`, `fn` in a macro).
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let name = line.split_once("fn ")?.1;
        name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
    })
}

#[test]
fn every_promise_names_a_test_and_every_test_a_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/promises.md")).expect("docs/promises.md");
    let quoted = page.split('`').skip(1).step_by(2).filter(|text| text.contains("::") && !text.contains('…'));
    let named: BTreeSet<&str> = quoted.collect();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    let texts: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).expect("a source")).collect();
    let defined: BTreeSet<&str> = texts.iter().flat_map(|text| functions(text)).collect();
    let last = |name: &str| name.rsplit("::").next().expect("a part").to_owned();
    for name in &named {
        assert!(defined.contains(last(name).as_str()), "docs/promises.md names {name}, which is no function");
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proof");
    let mut files = Vec::new();
    sources(&here, &mut files);
    for path in files.iter().filter(|path| !path.ends_with(file!().rsplit('/').next().expect("a name"))) {
        let text = std::fs::read_to_string(path).expect("a source");
        for test in text.split("#[test]\n").skip(1) {
            let name = functions(test).next().expect("a function");
            assert!(named.iter().any(|named| last(named) == name), "docs/promises.md does not name {name}");
        }
    }
}

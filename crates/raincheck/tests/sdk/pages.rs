//! The pages of the doors say with which SDKs they are tested: those that `cargo xtask test` installs, and no others.

use std::collections::BTreeSet;
use std::path::Path;

/// Packages, each with its language and a version.
type Packages = BTreeSet<(String, &'static str, String)>;

/// Where the packages of each language are listed.
const LISTS: [(&str, &str); 2] = [("Python", "tests/sdks/python.txt"), ("Node", "tests/sdks/node.txt")];
/// Installed with them, but no SDK: it drives the browser in which the pages of recipes are tried.
const NO_SDK: &str = "playwright-core";
const PAGES: [&str; 4] = ["docs/openai.md", "docs/anthropic.md", "docs/fal.md", "docs/replicate.md"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn installed() -> Packages {
    let mut packages = Packages::new();
    for (language, list) in LISTS {
        let text = read(list);
        let pinned = text.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
        for package in pinned {
            let (name, version) = package.split_once("==").or_else(|| package.rsplit_once('@')).expect("a version");
            if name != NO_SDK {
                packages.insert((name.to_owned(), language, version.to_owned()));
            }
        }
    }
    packages
}

/// What the tables of the pages tell: `| \`name\` | language | version, version |`.
fn told() -> Packages {
    let mut packages = Packages::new();
    for line in PAGES.iter().flat_map(|page| read(page).lines().map(str::to_owned).collect::<Vec<_>>()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, language, versions, _] = columns[..] else { continue };
        let Some((language, _)) = LISTS.iter().find(|(known, _)| *known == language) else { continue };
        for version in versions.split(", ") {
            packages.insert((name.trim_matches('`').to_owned(), language, version.to_owned()));
        }
    }
    packages
}

#[test]
fn the_doors_tell_which_sdks_they_are_tested_with() {
    assert_eq!(told(), installed());
}

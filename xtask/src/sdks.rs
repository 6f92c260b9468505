//! The providers' own SDKs, which the tests drive unmodified: target/sdks/NAME-VERSION, each in a place of its own, from
//! tests/sdks/python.txt and tests/sdks/node.txt.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place;
use crate::run::{Failure, command, run, say, succeeds};

/// The packages of one language and how they are installed.
struct Language {
    list: &'static str,
    /// What a place has when it is whole.
    made: fn(&Path) -> PathBuf,
    make: fn(&Path, &[&str]) -> Result<(), Failure>,
}

const LANGUAGES: [Language; 2] = [
    Language { list: "tests/sdks/python.txt", made: |place| place.join("bin/python"), make: python },
    Language { list: "tests/sdks/node.txt", made: |place| place.join("node_modules"), make: node },
];

/// Sees to it that all packages are there.
pub(crate) fn prepare() -> Result<(), Failure> {
    for language in &LANGUAGES {
        let list = place::root().join(language.list);
        let text = fs::read_to_string(&list)
            .map_err(|error| Failure::failed(format!("failed to read {}: {error}", list.display())))?;
        for packages in text.lines().filter_map(|line| line.split('#').next()) {
            // Those of a line are installed together, in the place of the first.
            let packages: Vec<&str> = packages.split_whitespace().collect();
            let Some(first) = packages.first() else { continue };
            let place = place_of(first);
            let stamp = place.join("whole");
            if stamp.exists() && (language.made)(&place).exists() {
                continue;
            }
            say(format_args!("installing {} into {}", packages.join(" "), place.display()));
            (language.make)(&place, &packages)?;
            // Last, so that a place left half made is not taken for a whole one.
            fs::write(&stamp, packages.join(" "))
                .map_err(|error| Failure::failed(format!("failed to write {}: {error}", stamp.display())))?;
        }
    }
    Ok(())
}

/// Where a package is installed: its name and version, in letters that every file system takes.
fn place_of(package: &str) -> PathBuf {
    let name = package.trim_start_matches('@').replace("==", "-").replace(['/', '@'], "-");
    place::target().join("sdks").join(name)
}

fn python(place: &Path, packages: &[&str]) -> Result<(), Failure> {
    run(
        command("python3").args(["-m", "venv", "--clear"]).arg(place),
        "the tests need CPython 3.11 or newer with its venv module (Debian: python3-venv)",
    )?;
    // Wheels only: a source package would need a compiler, and run its own code to be built.
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    run(command(place.join("bin/python")).args(install).args(packages), "a package index has to be reached")
}

fn node(place: &Path, packages: &[&str]) -> Result<(), Failure> {
    if !succeeds(command("node").arg("--version")) {
        return Err(Failure::usage("the tests need Node 20 or newer with npm (Debian: nodejs, npm)"));
    }
    fs::create_dir_all(place)
        .map_err(|error| Failure::failed(format!("failed to make {}: {error}", place.display())))?;
    let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    run(command("npm").args(install).arg(place).args(packages), "a package registry has to be reached")
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn places_are_plain_names() {
        let name = |package: &str| place_of(package).file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(name("fal-client==1.0.3"), "fal-client-1.0.3");
        assert_eq!(name("@anthropic-ai/sdk@1.12.0"), "anthropic-ai-sdk-1.12.0");
    }
}

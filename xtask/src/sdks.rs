//! The providers' own SDKs, which the tests drive unmodified: target/sdks/NAME-VERSION, each in a place of its own, from
//! tests/sdks/python.txt and tests/sdks/node.txt.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place;
use crate::run::{Failure, command, run, say, succeeds};

/// How the packages of one language are installed.
pub(crate) struct Language {
    /// What a place has when it is whole.
    made: fn(&Path) -> PathBuf,
    make: fn(&Path, &str) -> Result<(), Failure>,
}

/// By pip, in an environment of its own.
pub(crate) const PYTHON: Language = Language { made: |place| place.join("bin/python"), make: python };
/// By npm.
pub(crate) const NODE: Language = Language { made: |place| place.join("node_modules"), make: node };

const LISTS: [(&str, &Language); 2] = [("tests/sdks/python.txt", &PYTHON), ("tests/sdks/node.txt", &NODE)];

/// Sees to it that every package is there.
pub(crate) fn prepare() -> Result<(), Failure> {
    for (list, language) in LISTS {
        for package in packages(list)? {
            install(language, "sdks", &package)?;
        }
    }
    Ok(())
}

/// The packages of a list, each pinned: a line has one, or behind it what it needs to be pinned too.
pub(crate) fn packages(list: &str) -> Result<Vec<String>, Failure> {
    let list = place::root().join(list);
    let text = fs::read_to_string(&list)
        .map_err(|error| Failure::failed(format!("failed to read {}: {error}", list.display())))?;
    let lines = text.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Installs a package into a place of its own below target/DIRECTORY, if it is not there yet; gives the place.
pub(crate) fn install(language: &Language, directory: &str, package: &str) -> Result<PathBuf, Failure> {
    let place = place_of(directory, package);
    let stamp = place.join("whole");
    let is_whole = fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == package);
    if is_whole && (language.made)(&place).exists() {
        return Ok(place);
    }
    say(format_args!("installing {package} into {}", place.display()));
    // What was left half made, or made from something else, is of no use.
    let _ = fs::remove_dir_all(&place);
    (language.make)(&place, package)?;
    // Last, so that a place left half made is not taken for a whole one.
    fs::write(&stamp, package)
        .map_err(|error| Failure::failed(format!("failed to write {}: {error}", stamp.display())))?;
    Ok(place)
}

/// Where a package is installed: its name and version, in letters that every file system takes.
fn place_of(directory: &str, package: &str) -> PathBuf {
    let name = package.split_whitespace().next().unwrap_or_default();
    let name = name.trim_start_matches('@').replace("==", "-").replace(['/', '@', '[', ']'], "-");
    place::target().join(directory).join(name)
}

fn python(place: &Path, package: &str) -> Result<(), Failure> {
    run(
        command("python3").args(["-m", "venv", "--clear"]).arg(place),
        "the tests need CPython 3.11 or newer with its venv module (Debian: python3-venv)",
    )?;
    // Wheels only: a source package would need a compiler, and run its own code to be built.
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    let mut pip = command(place.join("bin/python"));
    run(pip.args(install).args(package.split_whitespace()), "a package index has to be reached")
}

fn node(place: &Path, package: &str) -> Result<(), Failure> {
    if !succeeds(command("node").arg("--version")) {
        return Err(Failure::usage("the tests need Node 20 or newer with npm (Debian: nodejs, npm)"));
    }
    fs::create_dir_all(place)
        .map_err(|error| Failure::failed(format!("failed to make {}: {error}", place.display())))?;
    let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    let mut npm = command("npm");
    run(npm.args(install).arg(place).args(package.split_whitespace()), "a package registry has to be reached")
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn places_are_plain_names() {
        let name = |package: &str| place_of("x", package).file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(name("fal-client==1.0.3"), "fal-client-1.0.3");
        assert_eq!(name("@anthropic-ai/sdk@1.13.0"), "anthropic-ai-sdk-1.13.0");
        assert_eq!(name("litellm[proxy]==1.108.7"), "litellm-proxy--1.108.7");
        assert_eq!(name("@portkey-ai/gateway@1.15.2 @hono/node-server@1.13.8"), "portkey-ai-gateway-1.15.2");
    }
}

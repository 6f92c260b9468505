//! Which directories may be scanned at all.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path accepted, in bytes: Linux's PATH_MAX.
pub const MAX_PATH_BYTES: usize = 4096;

/// Why a requested path is not scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathRefusal {
    /// Nothing is there.
    #[error("Path not found")]
    NotFound,
    /// A file is there.
    #[error("Path is not a directory")]
    NotADirectory,
    /// It lies, after following links and `..`, outside of what may be scanned.
    #[error("Path is outside of the directories that may be scanned")]
    OutsideRoots,
    /// This process may not list it.
    #[error("Path cannot be read")]
    Unreadable,
    /// Not a path that could exist: empty, relative, too long, or with a NUL byte.
    #[error("Path is malformed: {0}")]
    Malformed(&'static str),
}

/// Resolves a requested path to the directory to scan, which lies in one of `roots` after every symbolic link and `..` is
/// followed. Roots that do not exist allow nothing.
///
/// A path outside of the roots answers [`PathRefusal::OutsideRoots`] whether it exists or not, so that this cannot be used to
/// find out what exists elsewhere.
///
/// # Errors
/// See [`PathRefusal`].
pub fn resolve(roots: &[PathBuf], requested: &str) -> Result<PathBuf, PathRefusal> {
    well_formed(requested)?;
    let roots: Vec<PathBuf> = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
    let path = match Path::new(requested).canonicalize() {
        Ok(path) => path,
        Err(error) => return Err(refusal_of_missing(&roots, Path::new(requested), error.kind())),
    };
    if !lies_in(&roots, &path) {
        return Err(PathRefusal::OutsideRoots);
    }
    let metadata = path.metadata().map_err(|_| PathRefusal::NotFound)?;
    if !metadata.is_dir() {
        return Err(PathRefusal::NotADirectory);
    }
    std::fs::read_dir(&path).map_err(|_| PathRefusal::Unreadable)?;
    Ok(path)
}

fn well_formed(requested: &str) -> Result<(), PathRefusal> {
    if requested.is_empty() {
        return Err(PathRefusal::Malformed("it is empty"));
    }
    if requested.as_bytes().contains(&0) {
        return Err(PathRefusal::Malformed("it contains a NUL byte"));
    }
    if requested.len() > MAX_PATH_BYTES {
        return Err(PathRefusal::Malformed("it is longer than 4096 bytes"));
    }
    if !Path::new(requested).is_absolute() {
        return Err(PathRefusal::Malformed("it is not absolute"));
    }
    Ok(())
}

/// A path that cannot be resolved is judged by the deepest directory above it that can.
fn refusal_of_missing(roots: &[PathBuf], requested: &Path, kind: std::io::ErrorKind) -> PathRefusal {
    let climbs = requested.components().any(|part| part == std::path::Component::ParentDir);
    let existing = requested.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
    match (existing, kind) {
        (Some(above), _) if climbs || !lies_in(roots, &above) => PathRefusal::OutsideRoots,
        (_, std::io::ErrorKind::PermissionDenied) => PathRefusal::Unreadable,
        (_, std::io::ErrorKind::NotADirectory) => PathRefusal::NotADirectory,
        (_, std::io::ErrorKind::InvalidFilename) => PathRefusal::Malformed("one of its names is too long"),
        _ => PathRefusal::NotFound,
    }
}

fn lies_in(roots: &[PathBuf], path: &Path) -> bool {
    // Component-wise, so that `/data-private` does not lie in `/data`; `/` as a root contains everything.
    roots.iter().any(|root| path.starts_with(root)) && !path.as_os_str().as_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::{PathRefusal, resolve};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    struct Place {
        _directory: tempfile::TempDir,
        base: PathBuf,
        roots: Vec<PathBuf>,
    }

    fn place() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let base = directory.path().canonicalize().expect("canonical");
        for sub in ["library/clean", "library-private", "elsewhere"] {
            fs::create_dir_all(base.join(sub)).expect("create");
        }
        fs::write(base.join("library/a.wav"), b"x").expect("write");
        symlink(base.join("elsewhere"), base.join("library/out")).expect("link");
        symlink(base.join("library/clean"), base.join("library/in")).expect("link");
        symlink("loop", base.join("library/loop")).expect("link");
        let roots = vec![base.join("library"), base.join("no-such-root")];
        Place { _directory: directory, base, roots }
    }

    #[test]
    fn what_lies_in_a_root_is_resolved() {
        let place = place();
        let ask = |path: &str| resolve(&place.roots, place.base.join(path).to_str().expect("utf-8"));
        assert_eq!(ask("library"), Ok(place.base.join("library")));
        assert_eq!(ask("library/clean/../clean/"), Ok(place.base.join("library/clean")));
        assert_eq!(ask("library/in"), Ok(place.base.join("library/clean")));
    }

    #[test]
    fn everything_else_is_refused_with_its_own_reason() {
        let place = place();
        let ask =
            |path: &str| resolve(&place.roots, place.base.join(path).to_str().expect("utf-8")).expect_err("refused");
        assert_eq!(ask("library/missing"), PathRefusal::NotFound);
        assert_eq!(ask("library/missing").to_string(), "Path not found");
        assert_eq!(ask("library/a.wav"), PathRefusal::NotADirectory);
        assert_eq!(ask("library/a.wav/deeper"), PathRefusal::NotADirectory);
        assert_eq!(ask("library/loop"), PathRefusal::NotFound);
        for outside in [
            "library/..",
            "library/../elsewhere",
            "library/out",
            "library-private",
            "elsewhere/missing",
            "library/no/../../x",
        ] {
            assert_eq!(ask(outside), PathRefusal::OutsideRoots, "{outside}");
        }
    }

    #[test]
    fn malformed_paths_are_refused_before_the_file_system_is_asked() {
        let long = format!("/{}", "a".repeat(5_000));
        for path in ["", "relative/x", "./x", "/data\0/x", &long] {
            assert!(matches!(resolve(&[PathBuf::from("/")], path), Err(PathRefusal::Malformed(_))), "{path:?}");
        }
    }
}

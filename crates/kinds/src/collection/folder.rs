use std::fs;
use std::path::Path;

/// The most files of a collection, and the most bytes of one file and of all.
const FILES_MAX: usize = 1_000;
const FILE_BYTES_MAX: u64 = 4 << 20;
const BYTES_MAX: u64 = 32 << 20;
/// How deep folders are looked into, and how many entries in all.
const DEPTH_MAX: usize = 8;
const ENTRIES_MAX: usize = 20_000;

/// A text of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Its path below the collection's folder, with `/` between the parts.
    pub(super) source: String,
    pub(super) text: String,
    pub(super) is_markdown: bool,
}

/// The texts in a folder and those below it, in order of their paths: files whose names end in `.md` or `.txt`. What begins
/// with a dot is left out.
///
/// # Errors
/// What cannot be read, or is too much.
pub(super) fn read(folder: &Path) -> Result<Vec<Text>, String> {
    let mut search = Search::default();
    search.look_into(folder, "", 0)?;
    if search.texts.is_empty() {
        return Err(format!("there is no .md or .txt file in {}", folder.display()));
    }
    search.texts.sort_by(|one, other| one.source.cmp(&other.source));
    Ok(search.texts)
}

#[derive(Default)]
struct Search {
    texts: Vec<Text>,
    bytes: u64,
    entries: usize,
}

impl Search {
    fn look_into(&mut self, folder: &Path, below: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("{} is more than {DEPTH_MAX} folders deep", folder.display()));
        }
        let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(format!("it has more than {ENTRIES_MAX} files and folders"));
            }
            let entry = entry.map_err(unreadable)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let (path, source) = (entry.path(), format!("{below}{name}"));
            // Links are followed: a mounted volume may consist of them.
            let about = fs::metadata(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            if about.is_dir() {
                self.look_into(&path, &format!("{source}/"), depth + 1)?;
            } else if about.is_file() && (name.ends_with(".md") || name.ends_with(".txt")) {
                self.take(&path, source, about.len())?;
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, source: String, bytes: u64) -> Result<(), String> {
        let shown = path.display();
        if bytes > FILE_BYTES_MAX {
            return Err(format!("{shown} has {bytes} bytes; a file may have {FILE_BYTES_MAX}"));
        }
        if self.texts.len() == FILES_MAX {
            return Err(format!("it has more than {FILES_MAX} files"));
        }
        let text = fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        self.bytes += text.len() as u64;
        if self.bytes > BYTES_MAX {
            return Err(format!("its files have more than {BYTES_MAX} bytes together"));
        }
        let text = String::from_utf8(text).map_err(|_| format!("{shown} is no text in UTF-8"))?;
        let text = text.trim_start_matches('\u{FEFF}').to_owned();
        let is_markdown = source.ends_with(".md");
        self.texts.push(Text { source, text, is_markdown });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_order_and_hidden_ones_are_not() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("b.md", b"b");
        write("a/z.txt", b"\xEF\xBB\xBFz");
        write("a/picture.png", b"\xFF");
        write(".git/c.md", b"c");
        let texts = read(place.path()).unwrap();
        let found: Vec<_> = texts.iter().map(|text| (text.source.as_str(), text.text.as_str())).collect();
        assert_eq!(found, [("a/z.txt", "z"), ("b.md", "b")]);
    }

    #[test]
    fn what_is_too_much_or_nothing_is_refused() {
        let place = tempfile::tempdir().unwrap();
        assert!(read(place.path()).unwrap_err().contains("no .md or .txt file"));
        assert!(read(&place.path().join("nowhere")).unwrap_err().contains("cannot be read"));
        let large = fs::File::create(place.path().join("large.txt")).unwrap();
        large.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(read(place.path()).unwrap_err().contains("a file may have"));
        fs::remove_file(place.path().join("large.txt")).unwrap();
        std::os::unix::fs::symlink(place.path(), place.path().join("circle")).unwrap();
        assert!(read(place.path()).unwrap_err().contains("folders deep"));
    }
}

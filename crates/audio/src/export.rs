//! The result in the formats of the tools that train on it.
//!
//! Written from the finished manifest, a row at a time. Only files that can be used are exported; names that are not UTF-8
//! cannot be expressed in these formats and are counted as omitted.

mod hf_audiofolder;
mod lhotse;
mod ljspeech;
mod nemo;

use crate::error::ScanError;
use crate::manifest::sync_parent;
use crate::options::{Export, Exports};
use crate::previous::Lines;
use crate::row::Row;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What was written for one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// For which.
    pub format: Export,
    /// The files, by name, in the export directory.
    pub files: Vec<String>,
    /// Rows written.
    pub rows: u64,
    /// Usable files that the format cannot express.
    pub omitted: u64,
}

/// One format being written.
trait Writer {
    /// Writes a usable row; `Ok(false)` if the format cannot express it.
    fn row(&mut self, row: &Row, path: &str) -> io::Result<bool>;

    /// Everything is written: hands back the files to be made durable.
    fn finish(self: Box<Self>) -> io::Result<Vec<Output>>;
}

/// A file being written under another name until it is complete.
struct Output {
    name: &'static str,
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    fn create(directory: &Path, name: &'static str) -> io::Result<Self> {
        let path = directory.join(name);
        let file = BufWriter::new(File::create(part(&path))?);
        Ok(Self { name, path, file })
    }

    fn publish(mut self) -> io::Result<&'static str> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(part(&self.path), &self.path)?;
        sync_parent(&self.path)?;
        Ok(self.name)
    }
}

fn part(path: &Path) -> PathBuf {
    path.with_added_extension("partial")
}

/// Writes every export that is asked for.
pub(crate) fn write(root: &Path, manifest: &Path, exports: &Exports) -> Result<Vec<Exported>, ScanError> {
    let fault = |source| ScanError::Export { path: exports.directory.clone(), source };
    let root = root.canonicalize().map_err(fault)?;
    exports.formats.iter().map(|format| one(&root, manifest, *format, &exports.directory).map_err(fault)).collect()
}

fn one(root: &Path, manifest: &Path, format: Export, directory: &Path) -> io::Result<Exported> {
    let mut writer: Box<dyn Writer> = match format {
        Export::NeMo => Box::new(nemo::Nemo::create(directory)?),
        Export::Lhotse => Box::new(lhotse::Lhotse::create(directory)?),
        Export::HfAudiofolder => Box::new(hf_audiofolder::HfAudiofolder::create(directory)?),
        Export::LjSpeech => Box::new(ljspeech::LjSpeech::create(directory)?),
    };
    let mut exported = Exported { format, files: Vec::new(), rows: 0, omitted: 0 };
    let mut lines = Lines::new(File::open(manifest)?);
    while let Some((_, line)) = lines.next_line()? {
        let Ok(row) = serde_json::from_slice::<Row>(line) else { continue };
        if !row.is_usable() {
            continue;
        }
        let path = root.join(&row.path);
        let is_written = match path.to_str().filter(|_| !row.path_escaped) {
            Some(path) => writer.row(&row, path)?,
            None => false,
        };
        exported.rows += u64::from(is_written);
        exported.omitted += u64::from(!is_written);
    }
    for output in writer.finish()? {
        exported.files.push(output.publish()?.to_owned());
    }
    Ok(exported)
}

/// The text of a row on one line, if it has any.
fn text(row: &Row) -> Option<String> {
    let text = row.transcript.as_ref()?.text().split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

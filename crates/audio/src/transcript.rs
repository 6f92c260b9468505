//! What is said in a file: from the texts beside it and from the chapter's table.

use crate::folder::Folder;
use crate::issue::{Code, Issue};
use crate::libritts::{NORMALIZED, ORIGINAL};
use crate::row::{Row, Source, Transcript};

/// The longest transcript read, in bytes; half an hour of fast speech has 30 kB.
pub(crate) const MAX_TRANSCRIPT_BYTES: u64 = 64 * 1024;

/// Notes what is said in the file called `stem` in `folder`, and what the tables know about it.
pub(crate) fn attach(row: &mut Row, folder: &Folder, stem: &[u8]) {
    let normalized = sidecar(row, folder, stem, NORMALIZED);
    let original = sidecar(row, folder, stem, ORIGINAL);
    let entry = str::from_utf8(stem).ok().and_then(|id| folder.tables().found(id));
    if let (Some(utterance), Some(entry)) = (&mut row.utterance, entry) {
        utterance.stated_snr_db = entry.snr_db;
    }
    let (table_original, table_normalized) =
        entry.map_or((None, None), |entry| (entry.original.clone(), entry.normalized.clone()));
    if differ(normalized.as_deref(), table_normalized.as_deref())
        || differ(original.as_deref(), table_original.as_deref())
    {
        row.note(Issue::with(Code::TranscriptMismatch, "side-car and table differ"));
    }
    let source = if normalized.is_some() || original.is_some() { Source::Sidecar } else { Source::Table };
    let (original, normalized) = (original.or(table_original), normalized.or(table_normalized));
    if original.is_some() || normalized.is_some() {
        row.transcript = Some(Transcript { original, normalized, source });
    } else if !row.has(Code::TranscriptUnreadable) {
        row.note(Issue::new(Code::TranscriptMissing));
    }
}

fn sidecar(row: &mut Row, folder: &Folder, stem: &[u8], ending: &str) -> Option<String> {
    if !folder.has_sidecars {
        return None;
    }
    let name = [stem, ending.as_bytes()].concat();
    match crate::open::regular_at(&*folder.handle, &name) {
        Ok((file, _)) => match crate::open::text(&file, MAX_TRANSCRIPT_BYTES) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                row.note(Issue::with(Code::TranscriptUnreadable, format!("{ending}: {}", error.kind())));
                None
            }
        },
        Err(crate::open::Refusal::Vanished) => None,
        Err(_) => {
            row.note(Issue::with(Code::TranscriptUnreadable, ending));
            None
        }
    }
}

/// Whether both are there and say other words; white space is no difference.
fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_some_and(|(one, other)| !one.split_whitespace().eq(other.split_whitespace()))
}

//! The tables of a chapter: `.trans.tsv` (what is said) and `.book.tsv` (how noisy it is).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows taken from the tables of one directory.
pub(crate) const MAX_ROWS: usize = 200_000;

/// What the tables of one directory say, by the utterance's id.
#[derive(Debug, Default)]
pub(crate) struct Tables(HashMap<String, Entry>);

/// What the tables say about one utterance.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) original: Option<String>,
    pub(crate) normalized: Option<String>,
    pub(crate) snr_db: Option<f64>,
    in_transcripts: bool,
    seen: AtomicBool,
}

pub(crate) fn is_transcript_table(name: &[u8]) -> bool {
    name.ends_with(b".trans.tsv") && !name.starts_with(b"._")
}

pub(crate) fn is_book_table(name: &[u8]) -> bool {
    name.ends_with(b".book.tsv") && !name.starts_with(b"._")
}

impl Tables {
    /// `id<tab>original<tab>normalised`. Quotation marks are part of the text.
    pub(crate) fn add_transcripts(&mut self, text: &str) {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(b'\t')
            .quoting(false)
            .flexible(true)
            .has_headers(false)
            .from_reader(text.as_bytes());
        for record in reader.records().flatten() {
            let Some(entry) = record.get(0).and_then(|id| self.entry(id)) else { continue };
            entry.original = record.get(1).map(|text| text.trim().to_owned());
            entry.normalized = record.get(2).map(|text| text.trim().to_owned());
            entry.in_transcripts = true;
        }
    }

    /// `id ... snr`: only the first and the last column are of interest here.
    pub(crate) fn add_book(&mut self, text: &str) {
        for line in text.lines() {
            let mut columns = line.split_whitespace();
            let (Some(id), Some(snr)) = (columns.next(), columns.next_back().and_then(|last| last.parse::<f64>().ok()))
            else {
                continue;
            };
            if let Some(entry) = self.entry(id) {
                entry.snr_db = Some(snr).filter(|snr| snr.is_finite());
            }
        }
    }

    fn entry(&mut self, id: &str) -> Option<&mut Entry> {
        let room = self.0.len() < MAX_ROWS || self.0.contains_key(id);
        (room && !id.is_empty()).then(|| self.0.entry(id.to_owned()).or_default())
    }

    /// What is said about an utterance whose file was found.
    pub(crate) fn found(&self, id: &str) -> Option<&Entry> {
        let entry = self.0.get(id)?;
        entry.seen.store(true, Ordering::Relaxed);
        Some(entry)
    }

    /// Ids with a transcript whose file was never found, in order.
    pub(crate) fn unseen(&self) -> Vec<&str> {
        let missing = |entry: &Entry| entry.in_transcripts && !entry.seen.load(Ordering::Relaxed);
        let mut ids: Vec<&str> = self.0.iter().filter(|(_, entry)| missing(entry)).map(|(id, _)| id.as_str()).collect();
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::Tables;

    #[test]
    fn rows_are_joined_by_id_and_unfound_ones_are_listed() {
        let mut tables = Tables::default();
        tables.add_transcripts(
            "1_2_000001_000000\t\"Nº 5,\" he said\tnumber five he said\n1_2_000002_000000\tonly original\nbad\n",
        );
        tables.add_book(
            "1_2_000001_000000\tsome words here\t12\t34.5\n1_2_000009_000000\tx\t20.0\n1_2_000002_000000 n/a\n",
        );
        let entry = tables.found("1_2_000001_000000").expect("a row");
        assert_eq!(entry.original.as_deref(), Some("\"Nº 5,\" he said"));
        assert_eq!(entry.snr_db, Some(34.5));
        assert_eq!(tables.unseen(), ["1_2_000002_000000", "bad"]);
    }
}

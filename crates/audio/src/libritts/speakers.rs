//! `SPEAKERS.txt` and `speakers.tsv`: who the speakers are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// The largest table read, in bytes; LibriTTS's own has 130 kB.
pub(super) const MAX_TABLE_BYTES: u64 = 16 << 20;

/// Speakers taken from a table; LibriTTS has 2,456.
pub(crate) const MAX_SPEAKERS: usize = 100_000;

/// Levels above the scanned directory that are searched at most: chapter, speaker, subset, root.
const MAX_LEVELS_UP: usize = 3;

/// One speaker of the table; what a line leaves out is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Speaker {
    pub(crate) gender: Option<Cow<'static, str>>,
    pub(crate) subset: Option<Cow<'static, str>>,
    pub(crate) minutes: Option<f64>,
    pub(crate) name: Option<String>,
}

/// All speakers by their number.
#[derive(Debug, Default)]
pub(crate) struct Speakers(HashMap<String, Speaker>);

impl Speakers {
    /// Reads the tables in `directory` and, as long as they lie in `ceiling`, in the directories above. Tables that are missing
    /// or unreadable leave the speakers unknown.
    pub(crate) fn find(directory: &Path, ceiling: Option<&Path>) -> Self {
        let mut speakers = Self::default();
        for (level, above) in directory.ancestors().take(MAX_LEVELS_UP + 1).enumerate() {
            if level > 0 && !ceiling.is_some_and(|ceiling| above.starts_with(ceiling)) {
                break;
            }
            if let Some(text) = read(&above.join("SPEAKERS.txt")) {
                speakers.add_piped(&text);
            }
            if let Some(text) = read(&above.join("speakers.tsv")) {
                speakers.add_tabbed(&text);
            }
            if !speakers.0.is_empty() {
                break;
            }
        }
        speakers
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Speaker> {
        self.0.get(id)
    }

    /// `14 | F | train-clean-360 | 25.03 | Name`; lines that start with `;` are comments.
    fn add_piped(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with(';')) {
            // A name may contain the separator, so it is what is left.
            let mut fields = line.splitn(5, '|').map(str::trim);
            let Some(id) = fields.next() else { continue };
            let (gender, subset, minutes, name) = (fields.next(), fields.next(), fields.next(), fields.next());
            self.add(id, gender, subset, minutes.and_then(|minutes| minutes.parse().ok()), name);
        }
    }

    /// `READER GENDER SUBSET NAME`, tab-separated under a header; some lines of the original lack the last field.
    fn add_tabbed(&mut self, text: &str) {
        for line in text.lines().skip(1) {
            let mut fields = line.splitn(4, '\t').map(str::trim);
            let Some(id) = fields.next() else { continue };
            let (gender, subset, name) = (fields.next(), fields.next(), fields.next());
            self.add(id, gender, subset, None, name);
        }
    }

    fn add(&mut self, id: &str, gender: Option<&str>, subset: Option<&str>, minutes: Option<f64>, name: Option<&str>) {
        if id.is_empty() || (self.0.len() >= MAX_SPEAKERS && !self.0.contains_key(id)) {
            return;
        }
        let speaker = self.0.entry(id.to_owned()).or_default();
        fill(&mut speaker.gender, gender.map(known));
        fill(&mut speaker.subset, subset.map(known));
        fill(&mut speaker.name, name.map(str::to_owned));
        speaker.minutes = speaker.minutes.or(minutes);
    }
}

fn fill<T: AsRef<str>>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value.filter(|value| !value.as_ref().is_empty());
    }
}

/// What stands beside every file costs no memory if it is one of the usual values.
fn known(value: &str) -> Cow<'static, str> {
    let usual = ["F", "M"].iter().chain(super::SUBSETS).copied().find(|usual| *usual == value);
    usual.map_or_else(|| Cow::Owned(value.to_owned()), Cow::Borrowed)
}

fn read(path: &Path) -> Option<String> {
    let file = crate::open::regular(path).ok()?;
    crate::open::text(&file, MAX_TABLE_BYTES).ok()
}

#[cfg(test)]
mod tests {
    use super::Speakers;

    #[test]
    fn both_tables_are_merged_and_missing_fields_are_tolerated() {
        let mut speakers = Speakers::default();
        speakers.add_piped(";ID  |SEX| SUBSET |MINUTES| NAME\n14   | F | train-clean-360  | 25.03 | A | B\n16 | M\n\n");
        speakers.add_tabbed("READER\tGENDER\tSUBSET\tNAME\n16\tM\tdev-clean\n17\tF\tdev-clean\tC\n");
        let of = |id: &str| speakers.get(id).cloned().expect("known");
        assert_eq!(
            (of("14").gender.as_deref(), of("14").name.as_deref(), of("14").minutes),
            (Some("F"), Some("A | B"), Some(25.03))
        );
        assert_eq!(
            (of("16").gender.as_deref(), of("16").subset.as_deref(), of("16").name),
            (Some("M"), Some("dev-clean"), None)
        );
        assert_eq!(of("17").name.as_deref(), Some("C"));
        assert!(speakers.get(";ID").is_none() && speakers.get("READER").is_none());
    }
}

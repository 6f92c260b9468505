//! The layout of LibriTTS (and LibriTTS-R): `<subset>/<speaker>/<chapter>/<speaker>_<chapter>_<paragraph>_<utterance>.wav`.
//!
//! Recognised by the names of the files, so any level of the tree can be scanned, and never required.

mod speakers;
mod tables;

pub(crate) use speakers::Speakers;
pub(crate) use tables::{Tables, is_book_table, is_transcript_table};

use crate::row::Utterance;
use serde::Serialize;

/// Names of the subsets of LibriTTS and LibriTTS-R.
const SUBSETS: &[&str] =
    &["dev-clean", "dev-other", "test-clean", "test-other", "train-clean-100", "train-clean-360", "train-other-500"];

/// Endings of the transcripts that lie beside a file.
pub(crate) const NORMALIZED: &str = ".normalized.txt";
/// See [`NORMALIZED`].
pub(crate) const ORIGINAL: &str = ".original.txt";

/// At which level of a LibriTTS tree the scanned directory stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Above the root of the data set.
    Above,
    /// The root, which holds the subsets.
    Root,
    /// A subset, which holds the speakers.
    Subset,
    /// A speaker, who holds the chapters.
    Speaker,
    /// A chapter, which holds the files.
    Chapter,
}

/// Reads `<speaker>_<chapter>_<6 digits>_<6 digits>`.
pub(crate) fn parse(stem: &str) -> Option<Utterance> {
    let mut parts = stem.split('_');
    let (speaker, chapter, paragraph, utterance) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let numbers = [speaker, chapter, paragraph, utterance].iter().all(|part| is_number(part));
    let sound = numbers && parts.next().is_none() && speaker.len() <= 12 && chapter.len() <= 12;
    (sound && paragraph.len() == 6 && utterance.len() == 6).then(|| Utterance {
        id: stem.to_owned(),
        speaker: speaker.to_owned(),
        chapter: chapter.to_owned(),
        ..Utterance::default()
    })
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// The level that a file's path speaks for; `None` if its directories contradict its name.
pub(crate) fn level(path: &str, utterance: &Utterance) -> Option<Level> {
    let mut above = path.rsplit('/').skip(1);
    let Some(chapter) = above.next() else { return Some(Level::Chapter) };
    if chapter != utterance.chapter {
        return None;
    }
    let Some(speaker) = above.next() else { return Some(Level::Speaker) };
    if speaker != utterance.speaker {
        return None;
    }
    match (above.next(), above.next()) {
        (None, _) => Some(Level::Subset),
        (Some(_), None) => Some(Level::Root),
        (Some(_), Some(_)) => Some(Level::Above),
    }
}

/// The subset named in a path.
pub(crate) fn subset(path: &str) -> Option<&'static str> {
    path.split('/').find_map(|part| SUBSETS.iter().copied().find(|subset| *subset == part))
}

#[cfg(test)]
mod tests {
    use super::{Level, level, parse, subset};

    #[test]
    fn names_are_recognised_and_others_are_not() {
        let utterance = parse("84_121550_000007_000000").expect("a LibriTTS name");
        assert_eq!((utterance.speaker.as_str(), utterance.chapter.as_str()), ("84", "121550"));
        for other in
            ["84_121550_000007", "84_121550_7_0", "a_1_000001_000001", "LJ001-0001", "84_121550_000007_000000_x", "___"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_level_follows_from_the_path() {
        let utterance = parse("84_12_000007_000000").expect("a LibriTTS name");
        let at = |path: &str| level(&format!("{path}84_12_000007_000000.wav"), &utterance);
        assert_eq!(at(""), Some(Level::Chapter));
        assert_eq!(at("12/"), Some(Level::Speaker));
        assert_eq!(at("84/12/"), Some(Level::Subset));
        assert_eq!(at("dev-clean/84/12/"), Some(Level::Root));
        assert_eq!(at("LibriTTS/dev-clean/84/12/"), Some(Level::Above));
        assert_eq!(at("84/13/"), None);
        assert_eq!(subset("LibriTTS/dev-clean/84/12/x.wav"), Some("dev-clean"));
    }
}

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

/// The longest word that is told apart, in bytes: what is longer is no word.
const WORD_MAX: usize = 64;

/// Words that every text has, in English and German, in order: they say nothing of what it is about.
const STOP: &[&str] = &[
    "a", "aber", "als", "also", "am", "an", "and", "are", "as", "at", "auch", "auf", "aus", "be", "bei", "bin", "bis",
    "but", "by", "can", "das", "dass", "dem", "den", "der", "des", "die", "dies", "diese", "diesem", "diesen",
    "dieser", "dieses", "do", "does", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es",
    "for", "from", "für", "gibt", "had", "has", "hat", "have", "he", "her", "him", "his", "how", "i", "ich", "if",
    "ihr", "ihre", "im", "in", "into", "is", "ist", "it", "its", "kann", "kein", "keine", "man", "me", "mein", "mit",
    "my", "nach", "nicht", "noch", "nor", "nur", "o", "ob", "oder", "of", "on", "or", "our", "s", "sein", "seine",
    "she", "sich", "sie", "sind", "so", "such", "t", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "to", "um", "und", "uns", "unser", "us", "vom", "von", "vor", "war", "waren", "was", "we",
    "welche", "welcher", "welches", "wenn", "were", "what", "when", "where", "which", "who", "whom", "why", "wie",
    "will", "wir", "wird", "with", "wo", "would", "you", "your", "zu", "zum", "zur", "zwischen", "über",
];

/// Takes texts apart into the stems of their words.
pub(super) struct Words {
    german: Stemmer,
    english: Stemmer,
    /// The stem of each word that was met: texts have few words, many times.
    known: HashMap<String, String>,
    /// The word that is being looked at.
    word: String,
}

impl Words {
    pub(super) fn new() -> Self {
        let [german, english] = [Algorithm::German, Algorithm::English].map(Stemmer::create);
        Self { german, english, known: HashMap::new(), word: String::new() }
    }

    /// Tells the stems of a text's words, in its order, without those that every text has.
    pub(super) fn each(&mut self, text: &str, mut tell: impl FnMut(&str)) {
        let words = text.split(|c: char| !c.is_alphanumeric() && !is_mark(c));
        for word in words.filter(|word| !word.is_empty() && word.len() <= WORD_MAX) {
            self.word.clear();
            // Letters with marks behind them are as good as without: the German stemmer takes the dots off an umlaut, too.
            self.word.extend(word.chars().filter(|c| !is_mark(*c)).flat_map(char::to_lowercase));
            if STOP.binary_search(&self.word.as_str()).is_ok() {
                continue;
            }
            if let Some(stem) = self.known.get(&self.word) {
                tell(stem);
                continue;
            }
            let stem = self.stem(&self.word);
            tell(&stem);
            self.known.insert(self.word.clone(), stem);
        }
    }

    /// Nobody knows the language of a question of two words: what both languages take for an ending is taken off.
    fn stem(&self, word: &str) -> String {
        self.english.stem(&self.german.stem(word)).into_owned()
    }
}

/// Whether it is a mark that is set over the letter before it.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stems(text: &str) -> Vec<String> {
        let mut stems = Vec::new();
        Words::new().each(text, |stem| stems.push(stem.to_owned()));
        stems
    }

    #[test]
    fn forms_of_a_word_have_one_stem_in_both_languages() {
        for forms in [
            "database databases Databases",
            "query queries",
            "transaction transactions",
            "running runs run",
            "key keys",
            "Datenbank Datenbanken",
            "Schlüssel Schlüssels",
            "Tabelle Tabellen",
            "Anfrage Anfragen",
            "Index Indexes",
            "u\u{308}berall überall",
        ] {
            let stems = stems(forms);
            assert!(stems.windows(2).all(|pair| pair[0] == pair[1]), "{forms}: {stems:?}");
        }
    }

    #[test]
    fn words_that_differ_stay_apart() {
        let stems = stems("normal form, foreign key; primary table: index query");
        let distinct: std::collections::BTreeSet<_> = stems.iter().collect();
        assert_eq!(distinct.len(), 8, "{stems:?}");
    }

    #[test]
    fn what_every_text_has_is_left_out() {
        assert!(STOP.is_sorted(), "{:?}", STOP.windows(2).find(|pair| pair[0] > pair[1]));
        assert_eq!(stems("What is the join?"), ["join"]);
        assert_eq!(stems("Was ist ein Join?"), ["join"]);
        assert_eq!(stems("SQL-92, \"a_b\"  B+-tree"), ["sql", "92", "b", "b", "tree"]);
        assert!(stems(&"x".repeat(65)).is_empty());
    }
}

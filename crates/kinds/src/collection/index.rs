use std::collections::{BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use super::folder::Text;
use super::passages::{Passage, passages};
use super::words::Words;

/// The most passages of a collection.
const PASSAGES_MAX: usize = 20_000;
/// A word in a heading counts as so many in the text below it.
const HEADING_WEIGHT: u32 = 3;
/// How soon more of a word adds little (k1), and how much a long passage is held to account for it (b): the usual values.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Which passages a stem is in, in their order, and how often.
type Postings = HashMap<String, Vec<(u32, u32)>>;

/// The texts of a collection, by their words. Ranked by BM25 (Robertson and Zaragoza 2009, with the weights of Lucene).
pub(super) struct Index {
    /// In order of their source, and there in the order of the text.
    pub(super) passages: Vec<Passage>,
    postings: Postings,
    /// How many words each passage has, and has on average.
    lengths: Vec<u32>,
    average: f64,
    /// How many texts they come from.
    pub(super) files: usize,
    /// Another for other texts.
    pub(super) generation: String,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Index {
    /// # Errors
    /// If they have too many passages.
    pub(super) fn of(texts: &[Text]) -> Result<Self, String> {
        let passages: Vec<Passage> = texts.iter().flat_map(passages).collect();
        if passages.len() > PASSAGES_MAX {
            return Err(format!("it has {} passages, and may have {PASSAGES_MAX}", passages.len()));
        }
        let (mut words, mut postings, mut lengths) = (Words::new(), Postings::new(), Vec::new());
        for (number, passage) in (0..).zip(&passages) {
            let mut length = 0;
            let mut add = |stem: &str, weight| {
                length += weight;
                count(&mut postings, stem, number, weight);
            };
            words.each(&passage.text, |stem| add(stem, 1));
            passage.headings.iter().for_each(|heading| words.each(heading, |stem| add(stem, HEADING_WEIGHT)));
            lengths.push(length);
        }
        let total: f64 = lengths.iter().copied().map(f64::from).sum();
        let average = (total / lengths.len().max(1) as f64).max(1.0);
        Ok(Self { passages, postings, lengths, average, files: texts.len(), generation: generation(texts) })
    }

    /// The passages that have words of the query, the best first, with their scores; of two that are as good the first.
    pub(super) fn search(&self, query: &str, limit: usize) -> Vec<(&Passage, f64)> {
        let mut words = BTreeSet::new();
        Words::new().each(query, |stem| {
            words.insert(stem.to_owned());
        });
        let mut scores = vec![0.0; self.passages.len()];
        for postings in words.iter().filter_map(|word| self.postings.get(word)) {
            let (all, having) = (self.passages.len() as f64, postings.len() as f64);
            let rarity = (1.0 + (all - having + 0.5) / (having + 0.5)).ln();
            for &(passage, count) in postings {
                let (at, count) = (passage as usize, f64::from(count));
                let length = f64::from(self.lengths[at]) / self.average;
                scores[at] += rarity * count / (count + K1 * (1.0 - B + B * length));
            }
        }
        let mut found: Vec<(usize, f64)> = scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
        found.sort_by(|(one, worse), (other, better)| better.total_cmp(worse).then(one.cmp(other)));
        found.truncate(limit);
        found.into_iter().map(|(at, score)| (&self.passages[at], score)).collect()
    }
}

/// Counts a stem of the passage that is being taken in.
fn count(postings: &mut Postings, stem: &str, passage: u32, weight: u32) {
    let Some(of_stem) = postings.get_mut(stem) else {
        postings.insert(stem.to_owned(), vec![(passage, weight)]);
        return;
    };
    match of_stem.last_mut() {
        Some((last, count)) if *last == passage => *count += weight,
        _ => of_stem.push((passage, weight)),
    }
}

fn generation(texts: &[Text]) -> String {
    let mut hash = Sha256::new();
    for Text { source, text, .. } in texts {
        for part in [source, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(texts: &[(&str, &str)]) -> Index {
        let text = |(source, text): &(&str, &str)| Text {
            source: (*source).to_owned(),
            text: (*text).to_owned(),
            is_markdown: true,
        };
        Index::of(&texts.iter().map(text).collect::<Vec<_>>()).unwrap()
    }

    fn found<'a>(index: &'a Index, query: &str) -> Vec<&'a str> {
        index.search(query, 10).into_iter().map(|(passage, _)| passage.source.as_str()).collect()
    }

    #[test]
    fn what_speaks_of_it_most_is_first_and_ties_keep_their_order() {
        let index = index(&[
            ("a.md", "Ships sail by day."),
            ("b.md", "Ships sail by night, and ships return."),
            ("c.md", "# Harbours\n\nNothing of them."),
            ("d.md", "The harbours are full of many other things that have little to do with it."),
            ("e.md", "Ships sail by day."),
        ]);
        assert_eq!(found(&index, "ship"), ["b.md", "a.md", "e.md"]);
        assert_eq!(found(&index, "Where is the harbour?"), ["c.md", "d.md"]);
        assert_eq!(found(&index, "night harbour")[0], "b.md".replace('b', "c"));
        assert!(found(&index, "submarine").is_empty() && found(&index, "what is the").is_empty());
        assert_eq!(index.search("ship", 1).len(), 1);
    }

    #[test]
    fn german_is_found_by_another_form_of_the_word() {
        let index = index(&[
            ("a.md", "# Schlüssel\n\nJede Tabelle hat einen Primärschlüssel."),
            ("b.md", "# Abfragen\n\nAbfragen verbinden zwei Tabellen."),
        ]);
        assert_eq!(found(&index, "Wie verbinde ich Tabellen?"), ["b.md", "a.md"]);
        assert_eq!(found(&index, "des Schlüssels"), ["a.md"]);
    }

    #[test]
    fn generations_differ_as_texts_do() {
        assert_eq!(index(&[("a", "x")]).generation, index(&[("a", "x")]).generation);
        assert_ne!(index(&[("a", "bx")]).generation, index(&[("ab", "x")]).generation);
    }
}

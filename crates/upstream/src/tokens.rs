use serde_json::Value;

/// The costs below are in hundredths of a token.
const TOKEN: u64 = 100;
/// A word; of a longer one also each letter behind the fourth. A letter that is a capital in the middle is a word of its own, and
/// dearer: words of a language are no such words.
const WORD: u64 = 95;
const LONG: u64 = 32;
const LONG_FROM: usize = 4;
const CAPITAL_WITHIN: u64 = 150;
/// Three digits, and the space before a number, which is part of no word.
const DIGITS: u64 = 100;
const DIGITS_MAX: usize = 3;
/// A mark such as a bracket or comma, and each one more beside it.
const MARK: u64 = 75;
const MARKS: u64 = 35;
/// More than one space, or breaks of lines, together.
const BLANK: u64 = 80;
/// A letter of another script than the first 128, up to (and without) this one. Today's tokenizers write most of them in a third to
/// a half of it; those of embeddings and of yesterday's models need all of it.
const SCRIPTS: [(char, u64); 11] = [
    ('\u{370}', 110),   // Latin with accents
    ('\u{400}', 95),    // Greek
    ('\u{590}', 55),    // Cyrillic, Armenian
    ('\u{800}', 90),    // Hebrew, Arabic
    ('\u{1e00}', 110),  // the scripts of India and South-East Asia
    ('\u{2000}', 100),  // Latin with two accents, as in Vietnamese
    ('\u{2070}', 100),  // quotation marks, dashes
    ('\u{2e80}', 150),  // arrows, mathematics, dingbats
    ('\u{ac00}', 125),  // Chinese, Japanese
    ('\u{d7b0}', 105),  // Korean
    ('\u{10000}', 110), // other forms of those
];
/// A letter beyond all of these: most are emoji.
const EMOJI: u64 = 240;

/// About how many tokens texts come to, without looking them up in a vocabulary: by what tokenizers have in common.
/// docs/decisions/0007-counting-tokens.md tells how near that comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(u64);

impl Tokens {
    /// So many whole ones.
    pub(crate) fn whole(count: u64) -> Self {
        Self(count.saturating_mul(TOKEN))
    }

    /// Those of a text.
    pub(crate) fn of_text(text: &str) -> Self {
        let (mut all, mut before, mut run) = (0, Class::Other, 0);
        for letter in text.chars() {
            let class = Class::of(letter);
            run = if class == before { run + 1 } else { 0 };
            all += cost(letter, class, before, run);
            before = class;
        }
        Self(all)
    }

    /// Those of all texts in a value.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::of_text(text),
            Value::Array(values) => values.iter().map(Self::of).fold(Self::default(), Self::plus),
            Value::Object(fields) => fields.values().map(Self::of).fold(Self::default(), Self::plus),
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// How many that is.
    pub(crate) fn count(self) -> u64 {
        self.0.div_ceil(TOKEN)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Mark,
    Space,
    Break,
    Other,
}

impl Class {
    fn of(letter: char) -> Self {
        match letter {
            'a'..='z' => Self::Lower,
            'A'..='Z' => Self::Upper,
            '0'..='9' => Self::Digit,
            ' ' => Self::Space,
            '\n' | '\r' | '\t' => Self::Break,
            letter if letter.is_ascii() => Self::Mark,
            _ => Self::Other,
        }
    }
}

/// What a letter adds behind one of another class, or behind so many of its own.
fn cost(letter: char, class: Class, before: Class, run: usize) -> u64 {
    match (class, run) {
        (Class::Lower, 0) if before == Class::Upper => 0,
        (Class::Upper, 0) if matches!(before, Class::Lower | Class::Digit) => CAPITAL_WITHIN,
        (Class::Lower | Class::Upper, 0) => WORD,
        (Class::Lower | Class::Upper, LONG_FROM..) => LONG,
        (Class::Digit, 0) if before == Class::Space => 2 * DIGITS,
        (Class::Digit, run) if run % DIGITS_MAX == 0 => DIGITS,
        (Class::Mark, 0) => MARK,
        (Class::Mark, _) => MARKS,
        (Class::Space, 1) | (Class::Break, 0) => BLANK,
        (Class::Other, _) => {
            let place = SCRIPTS.partition_point(|(end, _)| *end <= letter);
            SCRIPTS.get(place).map_or(EMOJI, |(_, cost)| *cost)
        }
        (Class::Lower | Class::Upper | Class::Digit | Class::Space | Class::Break, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_marks_cost_about_a_token() {
        let count = |text: &str| Tokens::of_text(text).count();
        assert_eq!(["", "the", "The", "the cat sat", "12345", "getHttpUrl"].map(count), [0, 1, 1, 3, 2, 4]);
        assert_eq!(["你好", "Привет", "🎉", "::<>()"].map(count), [3, 4, 3, 3]);
        // Pieces together are what each of them is.
        let [left, right] = ["the ", "cat"].map(Tokens::of_text);
        assert_eq!(left.plus(right), Tokens::of_text("the cat"));
    }
}

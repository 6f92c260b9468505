//! Names that are not UTF-8, written so that nothing is lost.
//!
//! A path that is UTF-8 is written as it is. In one that is not, every byte that does not belong to a UTF-8 sequence is written
//! `\xNN`, and a backslash `\\`; the row's `path_escaped` tells the two apart.

use std::borrow::Cow;
use std::fmt::Write;

/// Text of a path, and whether it had to be escaped.
#[must_use]
pub fn escape(path: &[u8]) -> (String, bool) {
    if let Ok(text) = str::from_utf8(path) {
        return (text.to_owned(), false);
    }
    let mut text = String::with_capacity(path.len() + 12);
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    (text, true)
}

/// The path that [`escape`] was given.
#[must_use]
pub fn unescape(text: &str, escaped: bool) -> Cow<'_, [u8]> {
    if !escaped {
        return Cow::Borrowed(text.as_bytes());
    }
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let (byte, taken) = match &bytes[at..] {
            [b'\\', b'x', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            [b'\\', b'\\', ..] => (b'\\', 2),
            [byte, ..] => (*byte, 1),
            [] => break,
        };
        out.push(byte);
        at += taken;
    }
    Cow::Owned(out)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape};
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn utf8_is_left_alone() {
        assert_eq!(escape("a/\\xff/ä.wav".as_bytes()), ("a/\\xff/ä.wav".to_owned(), false));
    }

    #[test]
    fn other_bytes_are_escaped() {
        assert_eq!(escape(b"a\\\xff.wav"), ("a\\\\\\xff.wav".to_owned(), true));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(path in prop::collection::vec(any::<u8>(), 0..64)) {
            let (text, escaped) = escape(&path);
            assert_eq!(*unescape(&text, escaped), *path);
        }
    }
}

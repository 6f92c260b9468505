/// Units by falling size: binary ones first, so that a power of two is shown in them.
const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes, written as `64 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// The length of something in memory.
    pub(crate) fn of(length: usize) -> Self {
        Self(u64::try_from(length).unwrap_or(u64::MAX))
    }

    /// As the length of something in memory.
    pub(crate) fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads a size as people write it: `64 MiB`, `10 MB`, `512`.
    ///
    /// # Errors
    /// A sentence that says how it is written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a size such as \"64 MiB\", \"10 MB\" or a number of bytes, not {text:?}");
        let text_end = text.trim();
        let digits = text_end.find(|c: char| !c.is_ascii_digit()).unwrap_or(text_end.len());
        let (number, unit) = text_end.split_at(digits);
        let unit = match unit.trim() {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?.1,
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }

    /// Writes it in the largest unit that divides it.
    pub(crate) fn show(self) -> String {
        let (unit, size) =
            UNITS.iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size)).unwrap_or(&("B", 1));
        format!("{} {unit}", self.0 / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for (text, bytes) in [("64 MiB", 64 << 20), ("10 MB", 10_000_000), ("512 B", 512), ("0 B", 0)] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)));
            assert_eq!(Size(bytes).show(), text);
        }
        assert_eq!(Size::parse("1gib"), Ok(Size(1 << 30)));
        assert_eq!(Size::parse("4096"), Ok(Size(4096)));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "1.5 MiB", "-1", "1 XB", "99999999999 TiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}

//! Lengths of time as people write them.

use std::time::Duration;

/// Units by falling length; months and years are left out because they have none.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a length of time as people write it: `15s`, `500ms`, `1h30m`, `7d`.
///
/// # Errors
/// A sentence that says how it is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration such as 15s, 500ms, 1h30m or 7d, not {text:?}");
    let (mut rest, mut total) = (text.trim(), 0_u64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// Writes a length of time so that [`parse`] reads it back, to the millisecond.
#[must_use]
pub fn show(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        if millis >= *length {
            text.push_str(&format!("{}{unit}", millis / length));
            millis %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for (text, millis) in [("15s", 15_000), ("500ms", 500), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse(" 1m 5s "), Ok(Duration::from_secs(65)));
    }

    #[test]
    fn a_bare_number_or_an_unknown_unit_is_refused() {
        for text in ["", "15", "s", "1w", "1 .5s", "-1s", "99999999999999999d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

use serde::{Deserialize, Serialize};

/// The longest progress message, in bytes; a longer one is cut at a character.
pub const MESSAGE_LENGTH_MAX: usize = 500;

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100. Never falls within an attempt.
    pub percent: f64,
    /// How many of `total` are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// How many there are to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is being done, for people: "Processing file 450/1000".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Progress {
    /// `current` of `total` are done.
    #[must_use]
    pub fn counted(current: u64, total: u64, message: impl Into<String>) -> Self {
        Self { percent: percent(current, total), current: Some(current), total: Some(total), message: message.into() }
    }

    /// This much is done, of something that cannot be counted.
    #[must_use]
    pub fn percent(percent: f64, message: impl Into<String>) -> Self {
        Self { percent, current: None, total: None, message: message.into() }
    }

    /// What is stored when a handler reports `self` after `before`: within bounds, and never less than before.
    #[must_use]
    pub(crate) fn following(mut self, before: Option<&Self>) -> Self {
        self.percent = if self.percent.is_finite() { self.percent.clamp(0.0, 100.0) } else { 0.0 };
        if self.message.len() > MESSAGE_LENGTH_MAX {
            self.message.truncate(self.message.floor_char_boundary(MESSAGE_LENGTH_MAX));
        }
        if let Some(before) = before.filter(|before| before.percent > self.percent) {
            self.percent = before.percent;
            (self.current, self.total) = (before.current, before.total);
        }
        self
    }
}

/// Whole percents, as people read them: only all of it is 100.
fn percent(current: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let share = u128::from(current.min(total)) * 100 / u128::from(total);
    f64::from(u8::try_from(share).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_give_whole_percents_and_only_all_of_it_is_100() {
        assert_eq!(Progress::counted(450, 1000, "").percent, 45.0);
        assert_eq!(Progress::counted(999_999, 1_000_000, "").percent, 99.0);
        assert_eq!(Progress::counted(7, 7, "").percent, 100.0);
        assert_eq!(Progress::counted(0, 0, "").percent, 0.0);
    }

    #[test]
    fn a_report_that_falls_keeps_the_numbers_and_takes_the_message() {
        let before = Progress::counted(50, 100, "half");
        let after = Progress::counted(10, 100, "again").following(Some(&before));
        assert_eq!(after, Progress::counted(50, 100, "again"));
        assert_eq!(Progress::percent(f64::NAN, "").following(None).percent, 0.0);
        assert_eq!(Progress::percent(1e9, "").following(None).percent, 100.0);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let cut = Progress::percent(0.0, "ä".repeat(400)).following(None);
        assert_eq!(cut.message.len(), 500);
    }
}

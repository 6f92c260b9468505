use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dialect::invalid;
use crate::problem::ApiError;

/// How long a file may be kept that is not kept for good, in seconds, as at OpenAI: an hour to 30 days.
const SECONDS: RangeInclusive<u64> = 3_600..=30 * 24 * 3_600;
/// What is counted from: the only word there is.
const ANCHOR: &str = "created_at";

/// How long a file is kept: `expires_after`, `output_expires_after`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ExpiresAfter {
    #[serde(default)]
    pub(super) anchor: String,
    #[serde(default)]
    pub(super) seconds: u64,
}

impl ExpiresAfter {
    /// For how long, if that can be; `name` is the field that says so.
    pub(super) fn checked(&self, name: &str) -> Result<Duration, ApiError> {
        if self.anchor != ANCHOR || !SECONDS.contains(&self.seconds) {
            let (least, most) = (SECONDS.start(), SECONDS.end());
            return Err(invalid(name, format!("{name} has the anchor {ANCHOR} and {least} to {most} seconds")));
        }
        Ok(Duration::from_secs(self.seconds))
    }
}

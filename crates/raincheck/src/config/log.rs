use tracing_subscriber::filter::LevelFilter;

use super::reader::Reader;
use super::value::{Value, one_of, word_of};

/// `[log]`: what the server says on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// How a line looks.
    pub(crate) format: Format,
    /// The least important lines that are written.
    pub(crate) level: LevelFilter,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object on each line.
    Json,
}

const FORMATS: &[(&str, Format)] = &[("text", Format::Text), ("json", Format::Json)];
const LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
    ("off", LevelFilter::OFF),
];

impl Value for Format {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, FORMATS)
    }

    fn show(&self) -> String {
        word_of(self, FORMATS)
    }
}

impl Value for LevelFilter {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, LEVELS)
    }

    fn show(&self) -> String {
        word_of(self, LEVELS)
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Text, level: LevelFilter::INFO }
    }
}

impl Log {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut section = reader.section("log");
        Self { format: section.get("format", default.format), level: section.get("level", default.level) }
    }
}

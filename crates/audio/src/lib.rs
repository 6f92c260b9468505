//! Facts, faults and exports of a directory of audio files: the library behind the job kind `audio.scan`.
//!
//! [`scan`] walks a directory, looks at every audio file as thoroughly as its [`Tier`] asks, and writes one [`Row`] per file to
//! a manifest (JSON Lines). What is wrong with a file is an [`Issue`] of its row and never ends the scan. A later scan reads only
//! what changed. [`resolve`] decides which directories may be scanned at all.
//!
//! It knows nothing of jobs, HTTP or storage, starts threads only for the time of a call, follows no symbolic links, and holds
//! bounded memory whatever it is given: every limit is a named constant beside the code that keeps it.

mod content;
mod decode;
mod duplicates;
mod error;
mod export;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
mod folder;
mod inspect;
mod issue;
mod libritts;
mod loudness;
mod manifest;
mod open;
mod options;
pub mod path;
mod pcm;
mod previous;
mod resolve;
pub mod riff;
mod row;
mod scan;
mod signal;
mod sniff;
mod stamp;
mod summary;
mod tally;
mod transcript;
mod walk;

pub use duplicates::{Group, Groups};
pub use error::ScanError;
pub use export::Exported;
pub use issue::{Code, Issue, Severity};
pub use libritts::Level;
pub use options::{Control, Export, Exports, Options, Tier};
pub use resolve::{MAX_PATH_BYTES, PathRefusal, resolve};
pub use row::{Facts, Row, Source, Status, Transcript, Utterance};
pub use scan::scan;
pub use signal::Signal;
pub use summary::{
    DURATION_BOUNDS_S, DurationBin, Fault, Histogram, Layout, Listed, MAX_BINS, MAX_LISTED, MAX_SPEAKERS, Orphans,
    Speaker, Speakers, Summary,
};

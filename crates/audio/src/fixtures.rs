//! Generated test data, the same for the same seed: a LibriTTS-like tree of any size, and one of every bad file.
//!
//! The audio is a voice-like tone under noise, so that loudness, silence and noise have values that mean something.

mod bad;
mod tone;
mod tree;
mod wav;

pub use bad::{Bad, bad_files};
pub use tone::{Dice, speech};
pub use tree::{Library, Plan, library};
pub use wav::WavFile;

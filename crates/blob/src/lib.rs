//! Bytes too large for a row: the files that tenants upload and that jobs leave for them, in a directory of the server.
//!
//! A file is there whole or not at all: it is written beside its place, synced, and put there in one step. Nobody sees the
//! files of another tenant. This crate knows no HTTP, no store and no jobs.
//!
//! ```text
//! <root>/<tenant>/<file id>/content      the bytes
//! <root>/<tenant>/<file id>/about.json   name, purpose, size, SHA-256, when it came
//! <root>/<tenant>/<file id>/at-….json    its name at an upstream that it was uploaded to
//! <root>/.new/…                          what is still being written; emptied at every start
//! ```

mod about;
mod blobs;
mod copied;
mod mention;
mod upload;

pub use about::{About, FileId, FileIdError, Wanted, is_hidden};
pub use blobs::Blobs;
pub use copied::Copied;
pub use mention::{Mention, mentions, rename};
pub use upload::{Upload, UploadError};

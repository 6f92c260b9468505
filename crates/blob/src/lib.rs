//! Bytes too large for a row: the files that tenants upload and that jobs leave for them, in a directory of the server, or in a
//! bucket of S3 with what is known of them in the directory.
//!
//! A file is there whole or not at all: it is written beside its place, synced, and put there in one step. Its bytes are known by
//! their SHA-256, and are there once however many files of a tenant have them. Nobody sees the files of another tenant. This crate
//! knows no HTTP server, no store and no jobs.
//!
//! ```text
//! <root>/<tenant>/<file id>/about.json   name, purpose, size, SHA-256, when it came
//! <root>/<tenant>/<file id>/at-….json    its name at an upstream that it was uploaded to
//! <root>/<tenant>/.content/<SHA-256>     the bytes; with a bucket, until it has taken them
//! <root>/.new/…                          what is still being written; emptied at every start
//! <bucket>/<prefix>/<tenant>/<SHA-256>   the bytes, with a bucket
//! ```

mod about;
mod blobs;
mod bucket;
mod carrier;
mod contents;
mod copied;
mod due;
mod mention;
mod picture;
mod room;
mod trouble;
mod upload;
mod wire;

pub use about::{About, FileId, FileIdError, Wanted};
pub use blobs::Blobs;
pub use bucket::{Bucket, BucketConfig};
pub use contents::{Content, Local};
pub use copied::Copied;
pub use mention::{Mention, mentions, rename};
pub use picture::{NotTaken, PictureUpload, Seen};
pub use room::Reserved;
pub use trouble::Trouble;
pub use upload::{Upload, UploadError};

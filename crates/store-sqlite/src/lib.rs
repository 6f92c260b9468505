//! The embedded store: SQLite in a directory, with group commit.
//!
//! One writer thread takes what many callers ask for, commits it as one transaction, and answers them all after its
//! one `fdatasync`. Readers have connections and threads of their own. This crate is the only one that knows SQL; it
//! reads no clock and decides nothing about a job: that is [`raincheck_core::decide`].

mod error;
mod keys;
mod options;
mod store;

pub use error::OpenError;
pub use keys::Keys;
pub use options::Options;
pub use store::SqliteStore;

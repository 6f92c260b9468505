//! The embedded store: SQLite in a directory, with group commit.
//!
//! One writer thread takes what many callers ask for, commits it as one transaction, and answers them all after its
//! one `fdatasync`. Readers have connections and threads of their own. This crate is the only one that knows SQL; it
//! reads no clock and decides nothing about a job: that is [`raincheck_core::decide`].
//!
//! ```text
//!  Store::accept ─► work ─► queue ─► commit (one transaction, one sync) ─► observer ─► answers
//!                            │         └─ writer: tables + memory          checkpoint: WAL ─► database
//!  Store::get ────► read ─► readers (each a snapshot)
//! ```

mod backlog;
mod checkpoint;
mod commit;
mod connection;
mod directory;
mod error;
mod fault;
mod hot;
mod keys;
mod load;
mod memory;
mod names;
mod options;
mod read;
mod reader;
mod schema;
mod shared;
mod start;
mod store;
mod table;
mod work;
mod writer;

pub use error::OpenError;
pub use keys::Keys;
pub use options::Options;
pub use store::SqliteStore;

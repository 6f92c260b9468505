use std::path::PathBuf;

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or the lock file could not be made or opened.
    #[error("the data directory {path} cannot be used: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another server uses the directory.
    #[error("the data directory {path} is in use by the process with pid {pid}")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Whose it is; "unknown" if it did not say.
        pid: String,
    },
    /// The database belongs to another program.
    #[error("{path} is not a database of Raincheck")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a newer Raincheck.
    #[error(
        "the data directory has schema version {found}, and this program knows no newer than {known}: \
         use the version of Raincheck that wrote it, or a later one"
    )]
    Newer {
        /// The version of the schema.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// The schema has to be brought up to date first, which the server does when it starts.
    #[error(
        "the data directory has schema version {found} and needs {known}: restart the server with this version first"
    )]
    Older {
        /// The version of the schema.
        found: u32,
        /// The one that is needed.
        known: u32,
    },
    /// The SQLite linked into this program has a known fault.
    #[error("SQLite {0} may corrupt a database; 3.51.3 or later is needed")]
    Sqlite(String),
    /// The database cannot be read or written.
    #[error("the database cannot be opened: {0}")]
    Database(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

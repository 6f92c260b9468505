use std::path::Path;

use raincheck_core::Time;
use raincheck_store::{ApiKey, StoreError};
use rusqlite::Connection;

use crate::OpenError;
use crate::connection::{Purpose, connect};
use crate::directory::{Directory, database};
use crate::fault::{Fault, unreadable};
use crate::schema;
use crate::table::api_key;

/// The API keys of a data directory, which a server may be using at the same time.
pub struct Keys {
    connection: Connection,
}

impl Keys {
    /// Opens the keys of a data directory, which is made if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be used, or its schema is not that of this program while a server runs on it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let database = database(path);
        let connection = match Directory::lock(path) {
            // Nobody else is here, and until we are done nobody will be.
            Ok(_lock) => {
                let mut connection = connect(&database, Purpose::Write)?;
                schema::migrate(&mut connection, &database)?;
                connection
            }
            Err(OpenError::Locked { .. }) => {
                let connection = connect(&database, Purpose::Write)?;
                schema::require(&connection, &database)?;
                connection
            }
            Err(error) => return Err(error),
        };
        Ok(Self { connection })
    }

    /// Adds a key. A server sees it at once.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn add(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        api_key::insert(&self.connection, key).map_err(written)
    }

    /// Every key, oldest first.
    ///
    /// # Errors
    /// If they could not be read.
    pub fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        api_key::all(&self.connection).map_err(|fault| match fault {
            Fault::Refused(error) => error,
            Fault::Failed(error) => unreadable(error),
        })
    }

    /// From `now` on a key is refused; whether there is such a key.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn revoke(&mut self, id: &str, now: Time) -> Result<bool, StoreError> {
        api_key::revoke(&self.connection, id, now).map_err(written)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn written(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
        Some(rusqlite::ErrorCode::DatabaseBusy) => StoreError::OVERLOADED,
        _ => StoreError::Unknown(error.to_string()),
    }
}

use std::path::Path;

use raincheck_core::Time;
use raincheck_store::{ApiKey, StoreError};

use crate::OpenError;

/// The API keys of a data directory, which a server may be using at the same time.
pub struct Keys {}

impl Keys {
    /// Opens the keys of a data directory.
    ///
    /// # Errors
    /// If the directory cannot be used, or its schema is not that of this program while a server runs on it.
    pub fn open(_path: &Path) -> Result<Self, OpenError> {
        Ok(Self {})
    }

    /// Adds a key.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn add(&mut self, _key: &ApiKey) -> Result<(), StoreError> {
        Err(StoreError::Stopped)
    }

    /// Every key, oldest first.
    ///
    /// # Errors
    /// If they could not be read.
    pub fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        Err(StoreError::Stopped)
    }

    /// From `now` on a key is refused; whether there is such a key.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn revoke(&mut self, _id: &str, _now: Time) -> Result<bool, StoreError> {
        Err(StoreError::Stopped)
    }
}

use raincheck_store::StoreError;
use rusqlite::ErrorCode;

/// Why a piece of work was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It alone cannot be done; the rest of its batch can.
    Refused(StoreError),
    /// The database failed under it.
    Failed(rusqlite::Error),
}

impl Fault {
    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Failed(error) if is_full(error))
    }
}

/// Whether the disk is full.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// What a row that holds something impossible is told as.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(crate) fn unreadable(error: impl ToString) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // What was asked about is damaged, or the row is not what it should be. Nothing is written then.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => Self::Refused(unreadable(error)),
            Some(_) => Self::Failed(error),
        }
    }
}

use std::time::Duration;

/// Why a store did not do, or may not have done, what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More is waiting to be made durable than the store takes, and will be done with in about this time. Nothing was done.
    #[error("the store has too much to write")]
    Overloaded(Duration),
    /// The disk is full. Nothing was done.
    #[error("the disk is full")]
    Full,
    /// The store has stopped. Nothing was done.
    #[error("the store has stopped")]
    Stopped,
    /// A write failed in a way that leaves open whether it will be there after a restart. The store stops.
    #[error("a write failed, and whether it happened is unknown: {0}")]
    Unknown(String),
    /// What is stored cannot be read, or a read failed. Nothing was done.
    #[error("the store could not be read: {0}")]
    Unreadable(String),
}

/// What an error means for the change that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It surely did not happen.
    Rejected,
    /// It may or may not have happened.
    Unknown,
}

impl StoreError {
    /// [`StoreError::Overloaded`] where nothing is known of how long that lasts.
    pub const OVERLOADED: Self = Self::Overloaded(Duration::from_secs(2));

    /// Whether the change may have happened all the same.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Unknown(_) => Outcome::Unknown,
            Self::Overloaded(_) | Self::Full | Self::Stopped | Self::Unreadable(_) => Outcome::Rejected,
        }
    }
}

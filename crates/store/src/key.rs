use std::fmt;
use std::str::FromStr;

use raincheck_core::{Tenant, Time};
use serde::{Deserialize, Serialize};

/// An API key as it is stored: without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part, by which it is found.
    pub id: String,
    /// SHA-256 of the secret part, which has 256 random bits.
    pub hash: [u8; 32],
    /// Whose jobs it gives access to.
    pub tenant: Tenant,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Time,
    /// From when it is refused: given at creation, or the time it was revoked.
    pub expires_at: Option<Time>,
}

/// What an API key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Submit, cancel, retry and delete jobs.
    Submit,
    /// Read jobs, their logs and results.
    Read,
    /// Claim and run jobs.
    Worker,
    /// Everything, for every tenant.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Worker, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected one of submit, read, worker, admin")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(ScopeError)
    }
}

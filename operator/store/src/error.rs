use std::path::PathBuf;

use dataplane_snapshot::Key;
use operator_core::Owner;

/// Why a store didn't do what it was asked. A write that failed with [`StoreError::Unavailable`] may or may not have
/// happened; with every other error nothing of its batch was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{key} was changed meanwhile: expected revision {expected}, it is at {actual}")]
    Conflict { key: Key, expected: u64, actual: u64 },
    #[error("{key} doesn't exist")]
    NotFound { key: Key },
    #[error("{key} exists already")]
    Exists { key: Key },
    #[error("objects of {owner} aren't kept in the state store, only numbered by it")]
    NotKept { owner: Owner },
    #[error("the state store {} is in use by another process: stop it, or give this one another file", path.display())]
    InUse { path: PathBuf },
    #[error("another writer has taken over: its number is {newest}, and this one's {fence}")]
    Fenced { fence: u64, newest: u64 },
    /// The settings don't lead to a store; to try again doesn't help.
    #[error("{0}")]
    Misconfigured(String),
    #[error("the state store is unavailable: {reason}")]
    Unavailable { reason: String },
    #[error(
        "the state store {place} has schema {found}, and this version knows up to {supported}: \
         start the version that wrote it, or a later one"
    )]
    NewerSchema { place: String, found: u64, supported: u64 },
    #[error(
        "the state store {place} is damaged: {reason}; restore it from a backup, or remove it to begin anew"
    )]
    Corrupt { place: String, reason: String },
}

//! The contract between the leader and its workers.
//!
//! A [`Snapshot`] is a set of [`Object`]s. Its identity is its content: the [`Root`] is a set hash over keys and object
//! hashes, so two leaders with the same objects have the same root and equal content is never sent twice. Order is a
//! separate thing: the [`AsOf`] vector says how much of each source a snapshot has seen.
//!
//! This crate is pure: no clock, no socket, no file. Both planes depend on it, it depends on neither.

mod as_of;
mod diff;
mod key;
pub mod manifest;
mod object;
mod root;
mod scope;
mod shared_map;
mod snapshot;
pub mod wire;

pub use as_of::{AsOf, Epoch, Recency, SourceAsOf};
pub use diff::{ApplyError, Diff, apply, diff};
pub use key::{Key, KeyError, Kind};
pub use object::{DecodeError, Object, ObjectHash};
pub use root::{Root, SetHash};
pub use scope::{DEFAULT_TENANT, MAX_SCOPE_BYTES, Scope, ScopeError, TENANT_LABEL};
pub use shared_map::{Difference, SharedMap};
pub use snapshot::Snapshot;

//! The state store: what the leader keeps between restarts, behind one trait.
//!
//! It is a source of its own (objects written through the admin API) and the mirror of Kubernetes, from which a leader
//! serves while the API server is away. Both kinds of objects live side by side, told apart by their owner.

mod cassandra;
mod decide;
mod embedded;
mod error;
mod lease;
mod object;
mod observe;
mod observed;
mod opening;
mod postgres;
mod redis;
mod shared;
mod store;
#[cfg(feature = "suite")]
pub mod suite;
mod transfer;
mod usage;
mod watch;

pub use cassandra::CassandraStore;
pub use embedded::{EmbeddedSettings, EmbeddedStore};
pub use error::StoreError;
pub use lease::{Candidate, Held};
pub use object::{
    Batch, ChangeSet, Changes, Committed, Draft, Expected, Listing, Renewed, StoredObject, Write,
};
pub use observe::view;
pub use observed::{Availability, ObservedStore};
pub use opening::{open_patiently, open_shared, renew_shared};
pub use postgres::PostgresStore;
pub use redis::RedisStore;
pub use shared::{SharedSettings, StoreTls, place};
pub use store::StateStore;
pub use transfer::{Content, Counted, Progress, TransferError, batches};
pub use watch::watch_view;

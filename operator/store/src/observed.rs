//! Whether a store answers, as those see it who call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dataplane_snapshot::Key;
use operator_core::Owner;
use operator_core::usage::UsageRow;
use tokio::sync::watch;

use crate::{Batch, Candidate, Changes, Committed, Held, Listing, StateStore, StoreError, StoredObject};

/// A store that notes of each call whether it was answered. All else is as the store does it.
pub struct ObservedStore {
    store: Arc<dyn StateStore>,
    availability: Availability,
}

impl ObservedStore {
    /// Every call of what is made here goes to `store`.
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        let noted = Noted { is_available: AtomicBool::new(true), failures: AtomicU64::new(0) };
        Self { store, availability: Availability(Arc::new(noted)) }
    }

    /// What is noted, now and later.
    pub fn availability(&self) -> Availability {
        self.availability.clone()
    }
}

/// Whether the calls of a store are answered. Clones share what is noted.
#[derive(Clone, Debug)]
pub struct Availability(Arc<Noted>);

#[derive(Debug)]
struct Noted {
    is_available: AtomicBool,
    failures: AtomicU64,
}

impl Availability {
    /// Whether the call that ended last was answered; true before the first.
    pub fn is_available(&self) -> bool {
        self.0.is_available.load(Ordering::Relaxed)
    }

    /// How many calls weren't answered.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// A store that refuses something is there.
    fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let is_lost = matches!(result, Err(StoreError::Unavailable { .. }));
        if is_lost {
            self.0.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.0.is_available.store(!is_lost, Ordering::Relaxed);
        result
    }
}

/// `put` and `delete` are noted as the commits that they are.
#[async_trait]
impl StateStore for ObservedStore {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        self.availability.note(self.store.get(owner, key).await)
    }

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        self.availability.note(self.store.list(owner).await)
    }

    async fn changes_since(&self, owner: Owner, revision: u64) -> Result<Changes, StoreError> {
        self.availability.note(self.store.changes_since(owner, revision).await)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.availability.note(self.store.commit(batch).await)
    }

    fn epoch(&self) -> Option<String> {
        self.store.epoch()
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.store.subscribe()
    }

    async fn hold(&self, job: &str, candidate: &Candidate, time: Duration) -> Result<Held, StoreError> {
        self.availability.note(self.store.hold(job, candidate, time).await)
    }

    async fn release(&self, job: &str, id: &str) -> Result<(), StoreError> {
        self.availability.note(self.store.release(job, id).await)
    }

    async fn raise_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        self.availability.note(self.store.raise_usage(rows).await)
    }

    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        self.availability.note(self.store.usage(window, routes).await)
    }

    async fn drop_usage(&self, window: &str) -> Result<(), StoreError> {
        self.availability.note(self.store.drop_usage(window).await)
    }
}

#[cfg(test)]
#[path = "observed_tests.rs"]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use dataplane_snapshot::Key;
use operator_core::Owner;
use operator_core::usage::UsageRow;
use tokio::sync::watch;

use crate::{
    Batch, Candidate, Changes, Committed, Draft, Expected, Held, Listing, StoreError, StoredObject, Write,
};

/// What every store promises:
///
/// - One revision counter, raised in the transaction of the write; it never goes back within an epoch. The epoch is in what
///   was seen of [`Owner::Store`], from the beginning.
/// - A batch is written completely or not at all, and an answer means that it is durable.
/// - A write that changes nothing leaves revision and generation as they are.
/// - [`StateStore::subscribe`] gives hints, which may be late, merged or lost; the truth is
///   [`StateStore::changes_since`], read at a hint, after each reconnect and now and then.
/// - What workers count is kept beside all that, and neither has a revision nor raises one.
#[async_trait]
pub trait StateStore: Send + Sync {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError>;

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError>;

    /// What changed after `revision`, which an earlier answer of this store gave.
    async fn changes_since(&self, owner: Owner, revision: u64) -> Result<Changes, StoreError>;

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;

    /// The id of the epoch that was last seen, where another one may begin while this process runs: with the one before, counts may
    /// have been lost.
    fn epoch(&self) -> Option<String> {
        None
    }

    /// A revision at which there may be something new.
    fn subscribe(&self) -> watch::Receiver<u64>;

    /// Makes `candidate` the one that does `job` for this time, unless another one does it. Who holds on to it asks again well
    /// before the time is over, and counts itself as the holder no longer than since it began to ask. Here a store of a single
    /// process: it does every job.
    async fn hold(&self, job: &str, candidate: &Candidate, time: Duration) -> Result<Held, StoreError> {
        let _ = (job, time);
        Ok(Held { is_me: true, url: candidate.url.clone(), term: 1 })
    }

    /// Gives back what the candidate with this id holds, so that nobody has to wait for the end of its time.
    async fn release(&self, job: &str, id: &str) -> Result<(), StoreError> {
        let _ = (job, id);
        Ok(())
    }

    /// Takes what workers have counted. Of two counts of one worker for the same the one that is further is kept (see
    /// [`operator_core::usage::is_further`]), so rows may come twice, late, and by way of any leader. An answer means that they
    /// are durable; after an error some of them may be, and all can be given again.
    ///
    /// Rows in which nothing was counted aren't kept, nor those with a name that is too long for a store or has a NUL.
    async fn raise_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError>;

    /// What was counted in a window, in any order: of these routes, or of all.
    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError>;

    /// Forgets a window that is over; one that isn't there, too. What is still raised in it may be kept or not.
    async fn drop_usage(&self, window: &str) -> Result<(), StoreError>;

    /// Writes one object of [`Owner::Store`].
    async fn put(&self, key: &Key, expected: Expected, draft: Draft) -> Result<StoredObject, StoreError> {
        let write = Write { key: key.clone(), expected, draft: Some(draft) };
        let committed =
            self.commit(Batch { owner: Owner::Store, writes: vec![write], as_of: None, fence: None }).await?;
        committed.objects.into_iter().flatten().next().ok_or_else(|| StoreError::Unavailable {
            reason: format!("it acknowledged {key} without saying what it wrote"),
        })
    }

    /// Deletes one object of [`Owner::Store`] and gives the store's revision afterwards.
    async fn delete(&self, key: &Key, expected: Expected) -> Result<u64, StoreError> {
        let write = Write { key: key.clone(), expected, draft: None };
        let batch = Batch { owner: Owner::Store, writes: vec![write], as_of: None, fence: None };
        self.commit(batch).await.map(|committed| committed.revision)
    }
}

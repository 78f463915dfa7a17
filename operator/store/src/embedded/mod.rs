//! The store in one local file, for a single leader or standalone.

mod commit;
mod file;
mod read;
mod renew;
mod tables;
mod usage;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use dataplane_snapshot::{Epoch, Key};
use operator_core::Owner;
use operator_core::usage::UsageRow;
use redb::Database;
use tokio::sync::watch;

use crate::{Batch, Changes, Committed, Listing, StateStore, StoreError, StoredObject};

#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// How many deletions are remembered for [`StateStore::changes_since`]; who asks for more reads all. At most 100 bytes
    /// each plus the key.
    pub deletions: u64,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self { deletions: 10_000 }
    }
}

/// A redb file with mode 0600, locked while open. A transaction is on disk (fsync) before it is acknowledged.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
    /// One writer at a time; the others wait here and not in a blocking thread each.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Inner {
    path: PathBuf,
    settings: EmbeddedSettings,
    epoch: Epoch,
    hints: watch::Sender<u64>,
    /// `None` after a failure of the disk: redb wants a file closed then, and the next call opens it again.
    database: Mutex<Option<Arc<Database>>>,
}

impl EmbeddedStore {
    /// Opens the store in the file `path`, or creates it. Blocks: after a crash redb checks the whole file.
    pub fn open(path: impl Into<PathBuf>, settings: EmbeddedSettings) -> Result<Self, StoreError> {
        let path = path.into();
        let database = file::open_or_create(&path)?;
        let (epoch, revision) = read::identity(&path, &database)?;
        let inner = Inner {
            path,
            settings,
            epoch,
            hints: watch::Sender::new(revision),
            database: Mutex::new(Some(Arc::new(database))),
        };
        Ok(Self { inner: Arc::new(inner), turn: Arc::default() })
    }

    /// One life of this store; it numbers its objects and the files of its leader.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch.clone()
    }

    /// The next number for what the files source has read; never given twice within an epoch.
    pub async fn next_file_revision(&self) -> Result<u64, StoreError> {
        self.write(|_, database| Ok(commit::next_file_revision(database)?)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        off_thread(move || inner.with(|database| work(database).map_err(|error| inner.explain(error)))).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Database) -> Result<T, commit::Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turn.clone().lock_owned().await;
        let inner = self.inner.clone();
        off_thread(move || {
            // Held until the work is done, also when nobody waits for the answer any more.
            let _turn = turn;
            inner.with(|database| {
                work(&inner, database).map_err(|failure| match failure {
                    commit::Failure::Refused(error) => error,
                    commit::Failure::Disk(error) => inner.explain(error),
                })
            })
        })
        .await
    }
}

impl Inner {
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = {
            let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Some(database) => database.clone(),
                None => slot.insert(Arc::new(file::reopen(&self.path, &self.epoch)?)).clone(),
            }
        };
        work(&database)
    }

    fn explain(&self, error: redb::Error) -> StoreError {
        if matches!(
            error,
            redb::Error::Io(_)
                | redb::Error::PreviousIo
                | redb::Error::DatabaseClosed
                | redb::Error::LockPoisoned(_)
        ) {
            self.database.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        file::explain(&self.path, error)
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable { reason: format!("its thread ended: {error}") }),
    }
}

#[async_trait]
impl StateStore for EmbeddedStore {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        let key = key.clone();
        self.read(move |database| read::get(database, owner, &key)).await
    }

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        self.read(move |database| read::list(database, owner)).await
    }

    async fn changes_since(&self, owner: Owner, revision: u64) -> Result<Changes, StoreError> {
        self.read(move |database| read::changes_since(database, owner, revision)).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.write(move |inner, database| {
            let committed = commit::commit(database, &inner.settings, &inner.epoch, &batch)?;
            inner.hints.send_if_modified(|hint| {
                let newer = committed.revision > *hint;
                *hint = committed.revision.max(*hint);
                newer
            });
            Ok(committed)
        })
        .await
    }

    async fn raise_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        self.keep_usage(rows).await
    }

    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        self.read_usage(window, routes).await
    }

    async fn drop_usage(&self, window: &str) -> Result<(), StoreError> {
        self.forget_usage(window).await
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.hints.subscribe()
    }
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;

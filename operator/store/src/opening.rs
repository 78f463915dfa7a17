//! Stores on servers, by their URL. A leader starts also while the server is away: until it is there all calls fail, and what
//! needs the store waits.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dataplane_snapshot::Key;
use operator_core::Owner;
use operator_core::usage::UsageRow;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::shared::{Kind, SharedSettings, place};
use crate::{
    Batch, Candidate, CassandraStore, Changes, Committed, Held, Listing, PostgresStore, RedisStore, Renewed,
    StateStore, StoreError, StoredObject,
};

/// How long after a failure it is tried again, and at most; doubled from one to the next.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long opening may take.
const OPEN: Duration = Duration::from_secs(30);

/// Opens the store that the settings lead to, or makes it.
pub async fn open_shared(settings: &SharedSettings) -> Result<Arc<dyn StateStore>, StoreError> {
    settings.check()?;
    Ok(match settings.kind()? {
        Kind::Redis => Arc::new(RedisStore::open(settings).await?),
        Kind::Postgres => Arc::new(PostgresStore::open(settings).await?),
        Kind::Cassandra => Arc::new(CassandraStore::open(settings).await?),
    })
}

/// Begins a new epoch of a store on a server and leaves its objects as they are. After that workers take what it has, though
/// they have seen more of the epoch before: that is so when it was restored from a backup. Leaders may run meanwhile.
pub async fn renew_shared(settings: &SharedSettings, now: SystemTime) -> Result<Renewed, StoreError> {
    if open_shared(settings).await?.list(Owner::Store).await?.revision == 0 {
        return Err(StoreError::Misconfigured(format!(
            "nothing was ever written to the store {:?}: are store.url and store.prefix right?",
            settings.prefix
        )));
    }
    match settings.kind()? {
        Kind::Redis => RedisStore::open(settings).await?.renew(now).await,
        Kind::Postgres => PostgresStore::open(settings).await?.renew(now).await,
        Kind::Cassandra => CassandraStore::open(settings).await?.renew(now).await,
    }
}

/// [`open_shared`], but a server that is away is no error: it is tried until it is there. What the settings can't lead to is one.
pub async fn open_patiently(settings: SharedSettings) -> Result<Arc<dyn StateStore>, StoreError> {
    let reason = match open_in_time(&settings).await {
        Ok(store) => return Ok(store),
        Err(StoreError::Unavailable { reason }) => reason,
        Err(error) => return Err(error),
    };
    tracing::warn!("the state store isn't available, and is tried again until it is: {reason}");
    let opening = Arc::new(OpeningStore::new(reason));
    tokio::spawn(keep_opening(settings, Arc::downgrade(&opening)));
    Ok(opening)
}

/// A server that takes connections and says nothing isn't waited for without end.
async fn open_in_time(settings: &SharedSettings) -> Result<Arc<dyn StateStore>, StoreError> {
    timeout(OPEN, open_shared(settings)).await.unwrap_or_else(|_| {
        let reason = format!("{}: it isn't open within {} s", place(&settings.url), OPEN.as_secs());
        Err(StoreError::Unavailable { reason })
    })
}

struct OpeningStore {
    opened: OnceLock<Arc<dyn StateStore>>,
    reason: RwLock<String>,
    hints: watch::Sender<u64>,
}

impl OpeningStore {
    fn new(reason: String) -> Self {
        Self { opened: OnceLock::new(), reason: RwLock::new(reason), hints: watch::Sender::new(0) }
    }

    fn store(&self) -> Result<&Arc<dyn StateStore>, StoreError> {
        self.opened.get().ok_or_else(|| {
            let reason = self.reason.read().unwrap_or_else(PoisonError::into_inner).clone();
            StoreError::Unavailable { reason }
        })
    }
}

/// Until it is open, and then passes its hints on; or until nobody wants it any more.
async fn keep_opening(settings: SharedSettings, wanted: std::sync::Weak<OpeningStore>) {
    let mut pause = PAUSE.0;
    let mut hints = loop {
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
        let result = open_in_time(&settings).await;
        let Some(opening) = wanted.upgrade() else { return };
        match result {
            Ok(store) => {
                tracing::info!("the state store is available");
                let hints = store.subscribe();
                // Nobody else sets it.
                let _ = opening.opened.set(store);
                opening.hints.send_modify(|_| {});
                break hints;
            }
            Err(error) => {
                tracing::debug!(%error, "the state store isn't available yet");
                let reason = match error {
                    StoreError::Unavailable { reason } => reason,
                    // Somebody has to do something about it.
                    error => {
                        tracing::warn!(%error, "the state store isn't available yet");
                        error.to_string()
                    }
                };
                *opening.reason.write().unwrap_or_else(PoisonError::into_inner) = reason;
            }
        }
    };
    while hints.changed().await.is_ok() {
        let hint = *hints.borrow_and_update();
        let Some(opening) = wanted.upgrade() else { return };
        opening.hints.send_replace(hint);
    }
}

#[async_trait]
impl StateStore for OpeningStore {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        self.store()?.get(owner, key).await
    }

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        self.store()?.list(owner).await
    }

    async fn changes_since(&self, owner: Owner, revision: u64) -> Result<Changes, StoreError> {
        self.store()?.changes_since(owner, revision).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.store()?.commit(batch).await
    }

    async fn hold(&self, job: &str, candidate: &Candidate, time: Duration) -> Result<Held, StoreError> {
        self.store()?.hold(job, candidate, time).await
    }

    async fn release(&self, job: &str, id: &str) -> Result<(), StoreError> {
        self.store()?.release(job, id).await
    }

    async fn raise_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        self.store()?.raise_usage(rows).await
    }

    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        self.store()?.usage(window, routes).await
    }

    async fn drop_usage(&self, window: &str) -> Result<(), StoreError> {
        self.store()?.drop_usage(window).await
    }

    fn epoch(&self) -> Option<String> {
        self.opened.get()?.epoch()
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.hints.subscribe()
    }
}

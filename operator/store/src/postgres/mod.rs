//! The store in a schema of PostgreSQL, which several leaders may share.

mod connect;
mod lease;
mod statements;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::{Executor as _, Transaction};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::decide::{Known, Outcome, decide};
use crate::shared::{self, Life, SCHEMA_VERSION, SharedSettings, column, number};
use crate::{
    Batch, Candidate, ChangeSet, Changes, Committed, Held, Listing, Renewed, StateStore, StoreError,
    StoredObject,
};

/// Writers lock the one row of the head, so that a revision is seen only when all before it are.
///
/// An acknowledged write survives a crash unless the server has `fsync off`; what else `synchronous_commit` says holds.
pub struct PostgresStore {
    pool: PgPool,
    channel: String,
    deletions: i64,
    life: Life,
    hints: watch::Sender<u64>,
    listening: AbortHandle,
}

/// What it is (0 head, 1 object, 2 deletion), key, generation, revision, labels, spec.
type Line = (i32, String, i64, i64, Option<String>, Option<String>);

struct Lines {
    epoch: Epoch,
    revision: u64,
    forgotten: u64,
    as_of: Option<SourceAsOf>,
    fence: u64,
    written: Vec<StoredObject>,
    deleted: Vec<Key>,
}

impl PostgresStore {
    /// Opens the store, or makes it. Needs a running tokio runtime, as it listens from then on.
    pub async fn open(settings: &SharedSettings) -> Result<Self, StoreError> {
        let (pool, place) = (connect::pool(settings)?, shared::place(&settings.url));
        make(&pool, &settings.prefix).await.map_err(|error| unavailable(&place, &error))?;
        let (found, epoch, revision): (i64, String, i64) = sqlx::query_as(statements::IDENTITY)
            .fetch_one(&pool)
            .await
            .map_err(|error| unavailable(&place, &error))?;
        let found = number(found);
        if found > SCHEMA_VERSION {
            return Err(StoreError::NewerSchema { place, found, supported: SCHEMA_VERSION });
        }
        let Some(epoch) = shared::epoch(&epoch) else {
            return Err(StoreError::Corrupt { place, reason: "it has no epoch".to_owned() });
        };
        let life = Life::new(&place, epoch);
        connect::warn_if_weak(&pool, &place).await;
        let (hints, channel) = (watch::Sender::new(number(revision)), settings.prefix.clone());
        let follow = connect::follow(pool.clone(), channel.clone(), hints.clone());
        let listening = tokio::spawn(follow).abort_handle();
        let deletions = column(settings.deletions);
        Ok(Self { pool, channel, deletions, life, hints, listening })
    }

    fn unavailable(&self, error: &sqlx::Error) -> StoreError {
        unavailable(self.life.place(), error)
    }

    fn read(&self, owner: Owner, lines: Vec<Line>) -> Result<Lines, StoreError> {
        let mut lines = lines.into_iter();
        let Some((_, epoch, forgotten, revision, fence, as_of)) = lines.next() else {
            return Err(self.life.corrupt("it has no head"));
        };
        let epoch = self.life.recognise(Some(&epoch))?;
        let unreadable = || self.life.corrupt(format!("what was seen of {owner} can't be read"));
        let as_of = as_of.map(|text| shared::as_of(&text).ok_or_else(unreadable)).transpose()?;
        let (mut written, mut deleted) = (Vec::new(), Vec::new());
        for (what, key, generation, revision, labels, spec) in lines {
            let key: Key = key.parse().map_err(|error| self.life.corrupt(format!("{error}")))?;
            let (Some(labels), Some(spec)) = (labels, spec) else {
                debug_assert_eq!(what, 2);
                deleted.push(key);
                continue;
            };
            let labels = serde_json::from_str(&labels)
                .map_err(|error| self.life.corrupt(format!("the labels of {key} can't be read: {error}")))?;
            let revision = number(revision);
            written.push(StoredObject { owner, key, generation, revision, labels, spec: spec.into() });
        }
        let fence = fence.and_then(|fence| fence.parse().ok()).unwrap_or_default();
        let (revision, forgotten) = (number(revision), number(forgotten));
        Ok(Lines { epoch, revision, forgotten, as_of, fence, written, deleted })
    }

    async fn lock(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await;
        let mut transaction = begin.map_err(|error| self.unavailable(&error))?;
        transaction.execute(statements::LOCK).await.map_err(|error| self.unavailable(&error))?;
        Ok(transaction)
    }

    /// Begins a new epoch and leaves the objects as they are; see [`crate::renew_shared`].
    pub(crate) async fn renew(&self, now: SystemTime) -> Result<Renewed, StoreError> {
        let mut transaction = self.lock().await?;
        let read = sqlx::query_as(statements::SOME).bind(Owner::Store.as_str()).bind(Vec::<String>::new());
        let lines = read.fetch_all(&mut *transaction).await.map_err(|error| self.unavailable(&error))?;
        let Lines { epoch: before, revision, as_of, .. } = self.read(Owner::Store, lines)?;
        let after = shared::following(&before, now);
        let as_of = as_of.map(|seen| SourceAsOf { epoch: after.clone(), ..seen });
        let committed = Committed { revision: revision + 1, objects: Vec::new() };
        let outcome = Outcome { changes: BTreeMap::new(), as_of, fence: None, committed };
        let renew = sqlx::query(statements::RENEW).bind(shared::epoch_text(&after));
        let renewed = async {
            transaction.execute(renew).await?;
            self.write(&mut transaction, Owner::Store, &outcome).await?;
            transaction.commit().await
        };
        renewed.await.map_err(|error| self.unavailable(&error))?;
        Ok(Renewed { before, after })
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        owner: Owner,
        outcome: &Outcome,
    ) -> Result<(), sqlx::Error> {
        let written: Vec<_> = outcome.written().collect();
        if !written.is_empty() {
            let write = sqlx::query(statements::WRITE)
                .bind(owner.as_str())
                .bind(written.iter().map(|object| object.key.to_string()).collect::<Vec<_>>())
                .bind(written.iter().map(|object| object.generation).collect::<Vec<_>>())
                .bind(written.iter().map(|object| column(object.revision)).collect::<Vec<_>>())
                .bind(written.iter().map(|object| shared::labels_text(&object.labels)).collect::<Vec<_>>())
                .bind(written.iter().map(|object| object.spec.to_string()).collect::<Vec<_>>());
            transaction.execute(write).await?;
        }
        let (keys, revisions): (Vec<_>, Vec<_>) =
            outcome.deleted().map(|(key, revision)| (key.to_string(), column(revision))).unzip();
        if !keys.is_empty() {
            let delete = sqlx::query(statements::DELETE).bind(owner.as_str()).bind(keys).bind(revisions);
            transaction.execute(delete).await?;
            let forget = sqlx::query(statements::FORGET).bind(owner.as_str()).bind(self.deletions);
            transaction.execute(forget).await?;
        }
        if let Some(as_of) = &outcome.as_of {
            let seen = sqlx::query(statements::SEEN).bind(owner.as_str()).bind(shared::as_of_text(as_of));
            transaction.execute(seen).await?;
        }
        if let Some(fence) = outcome.fence {
            let fence = sqlx::query(statements::FENCE).bind(owner.as_str()).bind(column(fence));
            transaction.execute(fence).await?;
        }
        let revision = column(outcome.committed.revision);
        transaction.execute(sqlx::query(statements::RAISE).bind(revision).bind(&self.channel)).await?;
        Ok(())
    }

    async fn lines(
        &self,
        owner: Owner,
        read: sqlx::query::QueryAs<'_, Postgres, Line, sqlx::postgres::PgArguments>,
    ) -> Result<Lines, StoreError> {
        let lines = read.fetch_all(&self.pool).await.map_err(|error| self.unavailable(&error))?;
        self.read(owner, lines)
    }
}

/// Makes what isn't there yet.
async fn make(pool: &PgPool, schema: &str) -> Result<(), sqlx::Error> {
    if sqlx::query_scalar(statements::EXISTS).fetch_one(pool).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    transaction.execute(sqlx::query(statements::LOCK_MAKING).bind(schema)).await?;
    let quoted: String =
        sqlx::query_scalar("SELECT quote_ident($1)").bind(schema).fetch_one(&mut *transaction).await?;
    transaction.execute(sqlx::AssertSqlSafe(statements::make_schema(&quoted))).await?;
    transaction.execute(sqlx::raw_sql(statements::MAKE_TABLES)).await?;
    let epoch = shared::first_epoch();
    let fill =
        sqlx::query(statements::FILL_HEAD).bind(column(SCHEMA_VERSION)).bind(shared::epoch_text(&epoch));
    if transaction.execute(fill).await?.rows_affected() > 0 {
        let nothing = shared::as_of_text(&SourceAsOf { epoch, revisions: BTreeMap::new() });
        let fill = sqlx::query(statements::FILL_SOURCE).bind(Owner::Store.as_str()).bind(nothing);
        transaction.execute(fill).await?;
    }
    transaction.commit().await
}

fn unavailable(place: &str, error: &sqlx::Error) -> StoreError {
    let reason = match error {
        sqlx::Error::PoolTimedOut => format!("no connection within {} s", connect::ACQUIRE.as_secs()),
        error => error.to_string(),
    };
    StoreError::Unavailable { reason: format!("{place}: {reason}") }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl StateStore for PostgresStore {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        let read = sqlx::query_as(statements::SOME).bind(owner.as_str()).bind(vec![key.to_string()]);
        Ok(self.lines(owner, read).await?.written.pop())
    }

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        let read = sqlx::query_as(statements::LIST).bind(owner.as_str());
        let Lines { revision, as_of, mut written, .. } = self.lines(owner, read).await?;
        written.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(Listing { revision, as_of, objects: written })
    }

    async fn changes_since(&self, owner: Owner, since: u64) -> Result<Changes, StoreError> {
        let read = sqlx::query_as(statements::CHANGES).bind(owner.as_str()).bind(column(since));
        let Lines { revision, forgotten, as_of, written, deleted, .. } = self.lines(owner, read).await?;
        if since > revision || since < forgotten {
            return Ok(Changes::TooOld);
        }
        Ok(Changes::Since(ChangeSet { revision, as_of, written, deleted }))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let mut transaction = self.lock().await?;
        let keys: Vec<_> = batch.writes.iter().map(|write| write.key.to_string()).collect();
        let lines = sqlx::query_as(statements::SOME)
            .bind(batch.owner.as_str())
            .bind(keys)
            .fetch_all(&mut *transaction)
            .await
            .map_err(|error| self.unavailable(&error))?;
        let Lines { epoch, revision, as_of, fence, written, .. } = self.read(batch.owner, lines)?;
        let objects = written.into_iter().map(|object| (object.key.clone(), object)).collect();
        let outcome = decide(&batch, Known { epoch, revision, as_of, fence, objects })?;
        if !outcome.is_idle() {
            let written = self.write(&mut transaction, batch.owner, &outcome).await;
            written.map_err(|error| self.unavailable(&error))?;
            transaction.commit().await.map_err(|error| self.unavailable(&error))?;
            let revision = outcome.committed.revision;
            self.hints.send_modify(|hint| *hint = revision.max(*hint));
        }
        Ok(outcome.committed)
    }

    async fn hold(&self, job: &str, candidate: &Candidate, time: Duration) -> Result<Held, StoreError> {
        self.hold_lease(job, candidate, time).await
    }

    async fn release(&self, job: &str, id: &str) -> Result<(), StoreError> {
        self.release_lease(job, id).await
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.hints.subscribe()
    }
}

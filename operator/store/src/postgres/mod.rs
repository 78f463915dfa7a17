//! The store in a schema of PostgreSQL, which several leaders may share.

mod connect;
mod lease;
mod statements;
mod usage;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;
use operator_core::usage::UsageRow;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, Postgres};
use sqlx::query::QueryAs;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::decide::{Known, Outcome, decide};
use crate::shared::{self, Life, Reached, SCHEMA_VERSION, SharedSettings, column, number};
use crate::{
    Batch, Candidate, ChangeSet, Changes, Committed, Held, Listing, Renewed, StateStore, StoreError,
    StoredObject,
};

/// How long one thing that is done on a connection may take. A full read of a large store is one answer.
const ANSWER: Duration = Duration::from_secs(25);

/// Writers lock the one row of the head, so that a revision is seen only when all before it are.
///
/// An acknowledged write survives a crash unless the server has `fsync off`; what else `synchronous_commit` says holds.
pub struct PostgresStore {
    pool: PgPool,
    channel: String,
    deletions: i64,
    life: Life,
    hints: watch::Sender<u64>,
    /// One writer at a time, so that the others don't hold connections that readers need.
    turn: tokio::sync::Mutex<()>,
    /// The same for those who keep what was counted, who needn't wait for each other.
    counting: Semaphore,
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
        let follow = connect::follow(settings.clone(), channel.clone(), hints.clone());
        let refresh = connect::refresh(settings.clone(), pool.clone());
        let listening = tokio::spawn(async { tokio::join!(follow, refresh) }).abort_handle();
        let deletions = column(settings.deletions);
        let (turn, counting) = (Default::default(), Semaphore::new(usage::AT_ONCE));
        Ok(Self { pool, channel, deletions, life, hints, turn, counting, listening })
    }

    fn unavailable(&self, error: &sqlx::Error) -> StoreError {
        unavailable(self.life.place(), error)
    }

    /// `asked`: see [`Life::recognise`].
    fn read(&self, owner: Owner, lines: Vec<Line>, asked: Reached) -> Result<Lines, StoreError> {
        let mut lines = lines.into_iter();
        let Some((_, epoch, forgotten, revision, fence, as_of)) = lines.next() else {
            let none = self.life.recognise(None, 0, asked);
            return Err(none.err().unwrap_or_else(|| self.life.replaced()));
        };
        let epoch = self.life.recognise(Some(&epoch), number(revision), asked)?;
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

    /// Lets `work` use a connection, for as long as an answer may take. One that is silent is closed: it would keep its place in
    /// the pool for ever.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(|error| self.unavailable(&error))?;
        match timeout(ANSWER, work(&mut connection)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Failure::Refused(error))) => Err(error),
            Ok(Err(Failure::Server(error))) => Err(self.unavailable(&error)),
            Err(_) => {
                connection.close_on_drop();
                Err(self.life.unavailable(format!("no answer within {} s", ANSWER.as_secs())))
            }
        }
    }

    /// The same in a transaction that others who write wait for.
    async fn alone<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let _turn = self.life.turn(&self.turn).await?;
        self.with(async |connection| {
            let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            transaction.execute(statements::LOCK).await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        })
        .await
    }

    /// Begins a new epoch and leaves the objects as they are; see [`crate::renew_shared`].
    pub(crate) async fn renew(&self, now: SystemTime) -> Result<Renewed, StoreError> {
        let asked = self.life.highest();
        self.alone(async |connection| {
            let read =
                sqlx::query_as(statements::SOME).bind(Owner::Store.as_str()).bind(Vec::<String>::new());
            let lines = read.fetch_all(&mut *connection).await?;
            let Lines { epoch: before, revision, as_of, .. } = self.read(Owner::Store, lines, asked)?;
            let after = shared::following(&before, now);
            let as_of = as_of.map(|seen| SourceAsOf { epoch: after.clone(), ..seen });
            let committed = Committed { revision: revision + 1, objects: Vec::new() };
            let outcome = Outcome { changes: BTreeMap::new(), as_of, fence: None, committed };
            connection.execute(sqlx::query(statements::RENEW).bind(shared::epoch_text(&after))).await?;
            connection.execute(sqlx::query(statements::FORGET_ALL).bind(column(revision + 1))).await?;
            self.write(connection, Owner::Store, &outcome).await?;
            Ok(Renewed { before, after })
        })
        .await
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
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
            connection.execute(write).await?;
        }
        let (keys, revisions): (Vec<_>, Vec<_>) =
            outcome.deleted().map(|(key, revision)| (key.to_string(), column(revision))).unzip();
        if !keys.is_empty() {
            let delete = sqlx::query(statements::DELETE).bind(owner.as_str()).bind(keys).bind(revisions);
            connection.execute(delete).await?;
            let forget = sqlx::query(statements::FORGET).bind(owner.as_str()).bind(self.deletions);
            connection.execute(forget).await?;
        }
        if let Some(as_of) = &outcome.as_of {
            let seen = sqlx::query(statements::SEEN).bind(owner.as_str()).bind(shared::as_of_text(as_of));
            connection.execute(seen).await?;
        }
        if let Some(fence) = outcome.fence {
            let fence = sqlx::query(statements::FENCE).bind(owner.as_str()).bind(column(fence));
            connection.execute(fence).await?;
        }
        let revision = column(outcome.committed.revision);
        connection.execute(sqlx::query(statements::RAISE).bind(revision).bind(&self.channel)).await?;
        Ok(())
    }

    async fn lines(
        &self,
        owner: Owner,
        read: QueryAs<'_, Postgres, Line, PgArguments>,
    ) -> Result<Lines, StoreError> {
        let asked = self.life.highest();
        let lines = self.with(async |connection| Ok(read.fetch_all(connection).await?)).await?;
        self.read(owner, lines, asked)
    }
}

/// Makes what isn't there yet.
async fn make(pool: &PgPool, schema: &str) -> Result<(), sqlx::Error> {
    if sqlx::query_scalar(statements::EXISTS).fetch_one(pool).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    transaction.execute(sqlx::query(statements::LOCK_MAKING).bind(schema)).await?;
    // To make one takes a right that its owner needn't have.
    let (quoted, is_there): (String, bool) =
        sqlx::query_as(statements::SCHEMA).bind(schema).fetch_one(&mut *transaction).await?;
    if !is_there {
        transaction.execute(sqlx::AssertSqlSafe(statements::make_schema(&quoted))).await?;
    }
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

/// Why something wasn't done on a connection.
enum Failure {
    /// By the writer's own conditions, or as the store isn't the one that it was.
    Refused(StoreError),
    Server(sqlx::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
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
        let asked = self.life.highest();
        let (epoch, committed) = self
            .alone(async |connection| {
                let keys: Vec<_> = batch.writes.iter().map(|write| write.key.to_string()).collect();
                let read = sqlx::query_as(statements::SOME).bind(batch.owner.as_str()).bind(keys);
                let lines = read.fetch_all(&mut *connection).await?;
                let Lines { epoch, revision, as_of, fence, written, .. } =
                    self.read(batch.owner, lines, asked)?;
                let objects = written.into_iter().map(|object| (object.key.clone(), object)).collect();
                let known = Known { epoch: epoch.clone(), revision, as_of, fence, objects };
                let outcome = decide(&batch, known)?;
                if !outcome.is_idle() {
                    self.write(connection, batch.owner, &outcome).await?;
                }
                Ok((epoch, outcome.committed))
            })
            .await?;
        self.life.wrote(&epoch, committed.revision);
        self.hints.send_if_modified(|hint| {
            let news = committed.revision > *hint;
            *hint = committed.revision.max(*hint);
            news
        });
        Ok(committed)
    }

    async fn hold(&self, job: &str, candidate: &Candidate, time: Duration) -> Result<Held, StoreError> {
        self.hold_lease(job, candidate, time).await
    }

    async fn release(&self, job: &str, id: &str) -> Result<(), StoreError> {
        self.release_lease(job, id).await
    }

    async fn raise_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        self.life.believed()?;
        self.keep_usage(rows).await
    }

    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        self.life.believed()?;
        self.read_usage(window, routes).await
    }

    async fn drop_usage(&self, window: &str) -> Result<(), StoreError> {
        self.forget_usage(window).await
    }

    fn epoch(&self) -> Option<String> {
        Some(self.life.highest().epoch.id)
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.hints.subscribe()
    }
}

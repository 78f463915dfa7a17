//! The store in one partition of Cassandra, which several leaders may share.

mod connect;
mod heads;
mod lease;
mod poll;
mod read;
mod statements;
mod tls;
mod usage;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dataplane_snapshot::{Key, SourceAsOf};
use operator_core::Owner;
use operator_core::usage::UsageRow;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use heads::Heads;
use poll::Poll;
use read::Head;
use statements::Statements;
use write::{Forgetting, Write};

use crate::decide::{Known, Outcome, decide};
use crate::shared::{self, Life, SCHEMA_VERSION, SharedSettings, column};
use crate::{
    Batch, Candidate, ChangeSet, Changes, Committed, Held, Listing, Renewed, StateStore, StoreError,
    StoredObject,
};

/// How often it is tried to make the table, and the pause between.
const MAKING: (u32, Duration) = (10, Duration::from_millis(200));
/// How long a write that has happened waits for what only others need.
const NOTING: Duration = Duration::from_millis(200);

/// A write is a lightweight transaction: it happens if the revision is still the one that was read. Others learn of it by
/// asking for the revision now and then.
///
/// An acknowledged write is on a majority of its copies; it survives a crash of all their machines if they have
/// `commitlog_sync: group` or `batch`.
pub struct CassandraStore {
    session: Arc<Session>,
    statements: Arc<Statements>,
    heads: Arc<Heads>,
    /// The partition.
    store: String,
    deletions: u64,
    life: Life,
    hints: watch::Sender<u64>,
    /// One writer at a time, so that only those of other processes are in the way.
    turn: tokio::sync::Mutex<()>,
    polling: AbortHandle,
}

impl CassandraStore {
    /// Opens the store, or makes it. Needs a running tokio runtime, as it asks for the revision from then on.
    pub async fn open(settings: &SharedSettings) -> Result<Self, StoreError> {
        let place = shared::place(&settings.url);
        let unavailable = |error: &dyn std::fmt::Display| connect::unavailable(&place, error);
        let session = Arc::new(connect::session(settings).await?);
        let statements = made(&session, settings).await.map_err(|error| unavailable(&error))?;
        let store = settings.prefix.clone();
        let epoch = shared::first_epoch();
        let nothing = shared::as_of_text(&SourceAsOf { epoch: epoch.clone(), revisions: BTreeMap::new() });
        let seen = HashMap::from([(Owner::Store.as_str(), nothing)]);
        let schema = i32::try_from(SCHEMA_VERSION).unwrap_or(i32::MAX);
        let first = (&store, schema, shared::epoch_text(&epoch), seen);
        session.execute_unpaged(&statements.make_head, first).await.map_err(|error| unavailable(&error))?;
        let statements = Arc::new(statements);
        let heads = Heads { session: session.clone(), statements: statements.clone(), store: store.clone() };
        let head = heads.certain().await.map_err(|error| unavailable(&error))?;
        let head = head.ok_or_else(|| corrupt(&place, "it has no head".to_owned()))?;
        let found = u64::try_from(head.schema_version.unwrap_or_default()).unwrap_or_default();
        if found > SCHEMA_VERSION {
            return Err(StoreError::NewerSchema { place, found, supported: SCHEMA_VERSION });
        }
        let Some(epoch) = head.epoch() else {
            return Err(corrupt(&place, "it has no epoch".to_owned()));
        };
        let life = Life::new(&place, epoch.clone());
        connect::warn_if_weak(&session, &place).await;
        heads.settle(&epoch, head.revision()).await;
        let (heads, hints) = (Arc::new(heads), watch::Sender::new(head.revision()));
        let poll = Poll::new(heads.clone(), hints.clone(), epoch);
        let polling = tokio::spawn(poll.follow(settings.poll_every)).abort_handle();
        let deletions = settings.deletions;
        let turn = Default::default();
        Ok(Self { session, statements, heads, store, deletions, life, hints, turn, polling })
    }

    /// Begins a new epoch and leaves the objects as they are; see [`crate::renew_shared`].
    pub(crate) async fn renew(&self, now: SystemTime) -> Result<Renewed, StoreError> {
        loop {
            let head = self.certain_head(Owner::Store).await?;
            let as_of = head.as_of(&self.life, Owner::Store)?;
            let (before, after) = (head.epoch.clone(), shared::following(&head.epoch, now));
            let seen = as_of.map(|seen| SourceAsOf { epoch: after.clone(), ..seen });
            let values = (
                shared::epoch_text(&after),
                Owner::Store.as_str(),
                seen.as_ref().map(shared::as_of_text).unwrap_or_default(),
                // Readers read all then: what they have may not be what the store had under the same number.
                Owner::Store.as_str(),
                column(head.revision + 1),
                Owner::Kubernetes.as_str(),
                column(head.revision + 1),
                column(head.revision + 1),
                &self.store,
                column(head.revision),
                shared::epoch_text(&before),
            );
            let answer = self.session.execute_unpaged(&self.statements.renew, values).await;
            if self.is_applied(answer)? {
                self.heads.settle(&after, head.revision + 1).await;
                return Ok(Renewed { before, after });
            }
        }
    }

    /// Whether a lightweight transaction has happened.
    fn is_applied(&self, answer: Result<QueryResult, ExecutionError>) -> Result<bool, StoreError> {
        let rows = answer.map_err(|error| self.life.unavailable(error))?.into_rows_result();
        let rows = rows.map_err(|error| self.life.unavailable(error))?;
        let row = rows.first_row::<Row>().map_err(|error| self.life.unavailable(error))?;
        match row.columns.first() {
            Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
            _ => Err(self.life.unavailable("it doesn't say whether it has written")),
        }
    }

    /// Whether it was written; not if another writer was faster.
    async fn write(&self, owner: Owner, head: &Head, outcome: &Outcome) -> Result<bool, StoreError> {
        let mut write = Write::new(&self.statements, &self.store);
        let forgetting = self.forget(owner, head, outcome, &mut write).await?;
        for before in outcome.changes.values().filter_map(|change| change.before) {
            write.clear(written_of(owner), revision_name(before));
        }
        for object in outcome.written() {
            let name = object.key.to_string();
            write.put(objects_of(owner), name.clone(), shared::record_text(object));
            write.put(written_of(owner), revision_name(object.revision), name);
        }
        for (key, revision) in outcome.deleted() {
            write.remove(objects_of(owner), key.to_string());
            if revision > forgetting.until {
                write.put(deleted_of(owner), revision_name(revision), key.to_string());
            }
        }
        let seen = outcome.as_of.as_ref().map(shared::as_of_text).or(head.seen.clone()).unwrap_or_default();
        let fence = outcome.fence.unwrap_or(head.fence);
        let revisions = (head.revision, outcome.committed.revision);
        write.raise(owner, revisions, seen, (&forgetting, fence), &head.epoch);
        let answer = self.session.batch(&write.batch, &write.values).await;
        if !self.is_applied(answer)? {
            return Ok(false);
        }
        let revision = outcome.committed.revision;
        self.life.wrote(&head.epoch, revision);
        let noted = async {
            // It is written in any case, so nobody waits long for this.
            let settle = self.heads.settle(&head.epoch, revision);
            let clear = write.clear_replaced(&self.session);
            tokio::join!(settle, clear);
        };
        if timeout(NOTING, noted).await.is_err() {
            tracing::debug!(revision, "it takes long to note that a write is settled");
        }
        Ok(true)
    }

    /// Notes in `write` which of the known deletions are forgotten.
    async fn forget(
        &self,
        owner: Owner,
        head: &Head,
        outcome: &Outcome,
        write: &mut Write<'_>,
    ) -> Result<Forgetting, StoreError> {
        let mut new: Vec<_> = outcome.deleted().map(|(_, revision)| revision).collect();
        new.sort_unstable();
        let all = head.deletions + new.len() as u64;
        let surplus = if new.is_empty() { 0 } else { all.saturating_sub(self.deletions) };
        let mut until = head.forgotten;
        let old = surplus.min(head.deletions);
        if old > 0 {
            let limit = i32::try_from(old).unwrap_or(i32::MAX);
            let of = (&self.store, deleted_of(owner), revision_name(head.forgotten), limit);
            for (name, _) in self.rows(&self.statements.oldest, of).await? {
                until = name.parse().unwrap_or(until);
                write.clear(deleted_of(owner), name);
            }
        }
        let own = usize::try_from(surplus - old).unwrap_or(usize::MAX);
        if let Some(last) = own.checked_sub(1).and_then(|last| new.get(last)) {
            until = *last;
        }
        Ok(Forgetting { until, left: all - surplus })
    }
}

/// Makes what isn't there yet. Who comes while another one makes it is told for a moment that there is nothing.
async fn made(session: &Session, settings: &SharedSettings) -> Result<Statements, connect::AnyError> {
    let mut tries = 0..MAKING.0;
    loop {
        let made = match connect::make(session, settings).await {
            Ok(()) => Statements::prepare(session).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match made {
            Err(_) if tries.next().is_some() => sleep(MAKING.1).await,
            made => return made,
        }
    }
}

fn corrupt(place: &str, reason: String) -> StoreError {
    StoreError::Corrupt { place: place.to_owned(), reason }
}

fn objects_of(owner: Owner) -> String {
    format!("objects of {owner}")
}

fn written_of(owner: Owner) -> String {
    format!("written of {owner}")
}

fn deleted_of(owner: Owner) -> String {
    format!("deleted of {owner}")
}

/// In the order of the numbers.
fn revision_name(revision: u64) -> String {
    format!("{revision:020}")
}

impl Drop for CassandraStore {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

#[async_trait]
impl StateStore for CassandraStore {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        self.certain_head(owner).await?;
        Ok(self.objects(owner, std::iter::once(key.to_string())).await?.remove(key))
    }

    /// What changes while it is read is in it as it was before or after.
    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        let Head { revision, .. } = self.certain_head(owner).await?;
        let rows = self.rows(&self.statements.all, (&self.store, objects_of(owner))).await?;
        let objects = rows.into_iter().map(|row| self.object(owner, row));
        let mut objects: BTreeMap<_, _> = objects
            .map(|object| object.map(|object| (object.key.clone(), object)))
            .collect::<Result<_, _>>()?;
        // What the pages have a part of is at its end then.
        self.certain_head(owner).await?;
        match self.changes(owner, revision).await? {
            Changes::Since(ChangeSet { revision, as_of, written, deleted }) => {
                deleted.iter().for_each(|key| drop(objects.remove(key)));
                objects.extend(written.into_iter().map(|object| (object.key.clone(), object)));
                Ok(Listing { revision, as_of, objects: objects.into_values().collect() })
            }
            Changes::TooOld => Err(self.life.unavailable("it changes faster than it can be read")),
        }
    }

    async fn changes_since(&self, owner: Owner, since: u64) -> Result<Changes, StoreError> {
        self.changes(owner, since).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let _turn = self.life.turn(&self.turn).await?;
        loop {
            let head = self.head(batch.owner).await?;
            let names = batch.writes.iter().map(|write| write.key.to_string());
            let objects = self.objects(batch.owner, names).await?;
            let (epoch, revision, fence) = (head.epoch.clone(), head.revision, head.fence);
            let as_of = head.as_of(&self.life, batch.owner)?;
            let outcome = decide(&batch, Known { epoch, revision, as_of, fence, objects });
            let outcome = match outcome {
                Ok(outcome) if !outcome.is_idle() => outcome,
                // Where a write would check by itself that nobody wrote meanwhile, this has to be asked.
                unwritten => match self.certain_head(batch.owner).await? {
                    now if (now.revision, &now.epoch) != (head.revision, &head.epoch) => continue,
                    _ => return unwritten.map(|outcome| outcome.committed),
                },
            };
            // Somebody wrote meanwhile, so all of them together get on.
            if self.write(batch.owner, &head, &outcome).await? {
                let revision = outcome.committed.revision;
                self.hints.send_modify(|hint| *hint = revision.max(*hint));
                return Ok(outcome.committed);
            }
        }
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

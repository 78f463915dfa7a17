//! The store on a Redis server, which several leaders may share.

mod connection;
mod durability;
mod hints;
mod lease;
mod names;
mod scripts;
mod usage;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dataplane_snapshot::{Key, KeyError, SourceAsOf};
use operator_core::Owner;
use operator_core::usage::UsageRow;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use connection::Connection;
use names::Names;

use crate::decide::{Known, Outcome, decide};
use crate::shared::{self, Life, Reached, SCHEMA_VERSION, SharedSettings};
use crate::{
    Batch, Candidate, ChangeSet, Changes, Committed, Held, Listing, Renewed, StateStore, StoreError,
    StoredObject,
};

static COMMIT: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::COMMIT));
static CHANGES: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::CHANGES));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::RENEW));
static OPEN: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::OPEN));

/// Objects and counters under keys that begin with the prefix. What decides over a write is read, and the write happens in
/// a script only if the revision is still the same then; so a write is one step, whoever else writes.
///
/// An acknowledged write survives a crash if the server has `appendonly yes` and `appendfsync always`.
pub struct RedisStore {
    connection: Connection,
    names: Names,
    deletions: u64,
    life: Life,
    hints: watch::Sender<u64>,
    /// One writer at a time, so that only those of other processes are in the way.
    turn: tokio::sync::Mutex<()>,
    listening: AbortHandle,
}

/// Epoch, revision, what was seen of an owner, and its fence.
type Head = (Option<String>, Option<u64>, Option<String>, Option<u64>);

impl RedisStore {
    /// Opens the store, or makes it. Needs a running tokio runtime, as it listens from then on.
    pub async fn open(settings: &SharedSettings) -> Result<Self, StoreError> {
        let connection = Connection::new(settings)?;
        let names = Names::new(&settings.prefix);
        let epoch = shared::first_epoch();
        let nothing = SourceAsOf { epoch: epoch.clone(), revisions: BTreeMap::new() };
        let mut call = OPEN.key(&names.all(Owner::Store));
        call.arg(SCHEMA_VERSION).arg(shared::epoch_text(&epoch)).arg(shared::as_of_text(&nothing));
        let (schema, epoch, revision): (Option<u64>, Option<String>, Option<u64>) =
            connection.with(async |redis| call.invoke_async(redis).await).await?;
        let place = connection.place();
        let corrupt =
            |reason: &str| StoreError::Corrupt { place: place.to_owned(), reason: reason.to_owned() };
        let found = schema.ok_or_else(|| corrupt("it has no schema version"))?;
        if found > SCHEMA_VERSION {
            let place = place.to_owned();
            return Err(StoreError::NewerSchema { place, found, supported: SCHEMA_VERSION });
        }
        let epoch = epoch.as_deref().and_then(shared::epoch).ok_or_else(|| corrupt("it has no epoch"))?;
        let life = Life::new(place, epoch);
        durability::warn_if_weak(&connection).await;
        let hints = watch::Sender::new(revision.unwrap_or_default());
        let follow = hints::follow(settings.clone(), names.channel(), hints.clone());
        let listening = tokio::spawn(follow).abort_handle();
        let deletions = settings.deletions;
        Ok(Self { connection, names, deletions, life, hints, turn: Default::default(), listening })
    }

    /// What a head says, if it is this store's. `asked`: see [`Life::recognise`].
    fn read_head(&self, owner: Owner, head: Head, asked: Reached) -> Result<Known, StoreError> {
        let (epoch, revision, seen, fence) = head;
        let epoch = self.life.recognise(epoch.as_deref(), revision.unwrap_or_default(), asked)?;
        let revision = revision.ok_or_else(|| self.life.corrupt("it has no revision"))?;
        let unreadable = || self.life.corrupt(format!("what was seen of {owner} can't be read"));
        let as_of = seen.map(|text| shared::as_of(&text).ok_or_else(unreadable)).transpose()?;
        Ok(Known { epoch, revision, as_of, fence: fence.unwrap_or_default(), objects: BTreeMap::new() })
    }

    /// Begins a new epoch and leaves the objects as they are; see [`crate::renew_shared`].
    pub(crate) async fn renew(&self, now: SystemTime) -> Result<Renewed, StoreError> {
        loop {
            let known = self
                .known(&Batch { owner: Owner::Store, writes: Vec::new(), as_of: None, fence: None })
                .await?;
            let before = known.epoch;
            let after = shared::following(&before, now);
            let seen = known.as_of.map(|seen| SourceAsOf { epoch: after.clone(), ..seen });
            let mut call = RENEW.key(&self.names.all(Owner::Store));
            call.arg(shared::epoch_text(&before)).arg(known.revision).arg(shared::epoch_text(&after));
            call.arg(seen.as_ref().map(shared::as_of_text).unwrap_or_default()).arg(self.names.channel());
            if self.connection.with(async |redis| call.invoke_async::<i64>(redis).await).await? == 1 {
                return Ok(Renewed { before, after });
            }
        }
    }

    fn object(&self, owner: Owner, key: Key, record: &str) -> Result<StoredObject, StoreError> {
        let unreadable = || self.life.corrupt(format!("{key} of {owner} can't be read"));
        shared::record(owner, key.clone(), record).ok_or_else(unreadable)
    }

    fn key(&self, text: &str) -> Result<Key, StoreError> {
        text.parse().map_err(|error: KeyError| self.life.corrupt(error.to_string()))
    }

    async fn known(&self, batch: &Batch) -> Result<Known, StoreError> {
        let owner = batch.owner;
        let texts: Vec<_> = batch.writes.iter().map(|write| write.key.to_string()).collect();
        let read = async |redis: &mut MultiplexedConnection| {
            let mut pipe = redis::pipe();
            self.ask_head(pipe.atomic(), owner);
            if texts.is_empty() {
                let (head,): (Head,) = pipe.query_async(redis).await?;
                return Ok((head, Vec::new()));
            }
            pipe.cmd("HMGET").arg(self.names.objects(owner)).arg(&texts);
            pipe.query_async::<(Head, Vec<Option<String>>)>(redis).await
        };
        let asked = self.life.highest();
        let (head, records) = self.connection.with(read).await?;
        let mut known = self.read_head(owner, head, asked)?;
        for (write, record) in batch.writes.iter().zip(records) {
            if let Some(record) = record {
                let object = self.object(owner, write.key.clone(), &record)?;
                known.objects.insert(write.key.clone(), object);
            }
        }
        Ok(known)
    }

    fn ask_head(&self, pipe: &mut redis::Pipeline, owner: Owner) {
        let fields = ["epoch".to_owned(), "revision".to_owned(), Names::seen(owner), Names::fence(owner)];
        pipe.cmd("HMGET").arg(self.names.head()).arg(&fields);
    }

    /// Whether it was written; not if another writer was faster.
    async fn write(
        &self,
        owner: Owner,
        (epoch, before): (&str, u64),
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        let mut call = COMMIT.key(&self.names.all(owner));
        call.arg(epoch).arg(before).arg(outcome.committed.revision);
        call.arg(Names::seen(owner)).arg(Names::forgotten(owner));
        call.arg(outcome.as_of.as_ref().map(shared::as_of_text).unwrap_or_default());
        call.arg(self.deletions).arg(self.names.channel());
        call.arg(Names::fence(owner)).arg(outcome.fence.map(|fence| fence.to_string()).unwrap_or_default());
        call.arg(outcome.written().count());
        for object in outcome.written() {
            call.arg(object.key.to_string()).arg(object.revision).arg(shared::record_text(object));
        }
        for (key, revision) in outcome.deleted() {
            call.arg(key.to_string()).arg(revision);
        }
        let done = self.connection.with(async |redis| call.invoke_async::<i64>(redis).await).await?;
        Ok(done == 1)
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl StateStore for RedisStore {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        let read = async |redis: &mut MultiplexedConnection| -> RedisResult<(Head, Option<String>)> {
            let mut pipe = redis::pipe();
            self.ask_head(pipe.atomic(), owner);
            pipe.cmd("HGET").arg(self.names.objects(owner)).arg(key.to_string());
            pipe.query_async(redis).await
        };
        let asked = self.life.highest();
        let (head, record) = self.connection.with(read).await?;
        self.read_head(owner, head, asked)?;
        record.map(|record| self.object(owner, key.clone(), &record)).transpose()
    }

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        let read = async |redis: &mut MultiplexedConnection| -> RedisResult<(Head, Vec<(String, String)>)> {
            let mut pipe = redis::pipe();
            self.ask_head(pipe.atomic(), owner);
            pipe.cmd("HGETALL").arg(self.names.objects(owner));
            pipe.query_async(redis).await
        };
        let asked = self.life.highest();
        let (head, records) = self.connection.with(read).await?;
        let Known { revision, as_of, .. } = self.read_head(owner, head, asked)?;
        let object = |(key, record): &(String, String)| self.object(owner, self.key(key)?, record);
        let mut objects: Vec<_> = records.iter().map(object).collect::<Result<_, _>>()?;
        objects.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(Listing { revision, as_of, objects })
    }

    async fn changes_since(&self, owner: Owner, since: u64) -> Result<Changes, StoreError> {
        type Answer = (
            (Option<String>, Option<u64>, Option<String>, Option<u64>),
            Vec<String>,
            Vec<String>,
            Vec<String>,
        );
        let mut call = CHANGES.key(&self.names.all(owner));
        call.arg(format!("({since}")).arg(Names::seen(owner)).arg(Names::forgotten(owner));
        let asked = self.life.highest();
        let (head, keys, records, deleted): Answer =
            self.connection.with(async |redis| call.invoke_async(redis).await).await?;
        let (epoch, revision, seen, forgotten) = head;
        let Known { revision, as_of, .. } = self.read_head(owner, (epoch, revision, seen, None), asked)?;
        if since > revision || since < forgotten.unwrap_or_default() {
            return Ok(Changes::TooOld);
        }
        let object = |(key, record): (&String, &String)| self.object(owner, self.key(key)?, record);
        let written = keys.iter().zip(&records).map(object).collect::<Result<_, _>>()?;
        let deleted = deleted.iter().map(|key| self.key(key)).collect::<Result<_, _>>()?;
        Ok(Changes::Since(ChangeSet { revision, as_of, written, deleted }))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let _turn = self.life.turn(&self.turn).await?;
        loop {
            let known = self.known(&batch).await?;
            let (epoch, before) = (known.epoch.clone(), known.revision);
            let outcome = decide(&batch, known)?;
            if outcome.is_idle() {
                return Ok(outcome.committed);
            }
            // Somebody wrote meanwhile, so all of them together get on.
            if self.write(batch.owner, (&shared::epoch_text(&epoch), before), &outcome).await? {
                let revision = outcome.committed.revision;
                self.life.wrote(&epoch, revision);
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

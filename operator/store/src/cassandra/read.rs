//! What is read beside the head.

use std::collections::{BTreeMap, BTreeSet};

use dataplane_snapshot::{Epoch, Key, KeyError, SourceAsOf};
use futures::TryStreamExt as _;
use operator_core::Owner;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;

use super::connect::AnyError;
use super::heads::HeadRow;
use super::{CassandraStore, deleted_of, objects_of, revision_name, written_of};
use crate::shared::{self, Life};
use crate::{ChangeSet, Changes, StoreError, StoredObject};

/// How far back changes are read; who is farther behind reads all. What was replaced since is in the way of the reader.
const SPAN: u64 = 20_000;
/// Names in one question of several.
pub(super) const NAMES: usize = 100;

/// What the static columns say of one owner.
pub(super) struct Head {
    pub(super) epoch: Epoch,
    pub(super) revision: u64,
    pub(super) seen: Option<String>,
    pub(super) forgotten: u64,
    pub(super) deletions: u64,
    pub(super) fence: u64,
}

impl Head {
    pub(super) fn as_of(&self, life: &Life, owner: Owner) -> Result<Option<SourceAsOf>, StoreError> {
        let unreadable = || life.corrupt(format!("what was seen of {owner} can't be read"));
        self.seen.as_deref().map(|text| shared::as_of(text).ok_or_else(unreadable)).transpose()
    }
}

/// Names and values.
type Named = Vec<(String, String)>;

impl CassandraStore {
    /// The head that nobody else can have seen otherwise, or later: what was begun is at its end.
    pub(super) async fn certain_head(&self, owner: Owner) -> Result<Head, StoreError> {
        self.recognised(owner, self.heads.certain()).await
    }

    /// A head, and every majority has all up to its revision.
    pub(super) async fn head(&self, owner: Owner) -> Result<Head, StoreError> {
        self.recognised(owner, self.heads.settled()).await
    }

    async fn recognised(
        &self,
        owner: Owner,
        head: impl Future<Output = Result<Option<HeadRow>, AnyError>>,
    ) -> Result<Head, StoreError> {
        let asked = self.life.highest();
        let found = head.await.map_err(|error| self.life.unavailable(error))?;
        let revision = found.as_ref().map_or(0, HeadRow::revision);
        let epoch = self.life.recognise(found.as_ref().and_then(HeadRow::epoch_text), revision, asked)?;
        let row = found.ok_or_else(|| self.life.replaced())?;
        let (forgotten, deletions, fence) = (row.forgotten(owner), row.deletions(owner), row.fence(owner));
        let seen = row.seen.and_then(|mut seen| seen.remove(owner.as_str()));
        // As a write leaves it that isn't about it, where there was none.
        let seen = seen.filter(|seen| !seen.is_empty());
        Ok(Head { epoch, revision, seen, forgotten, deletions, fence })
    }

    /// Names and values, in the order of the names.
    pub(super) async fn rows(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Named, StoreError> {
        let pages = self.session.execute_iter(statement.clone(), values).await;
        let pages = pages.map_err(|error| self.life.unavailable(error))?;
        let rows = pages.rows_stream::<(String, String)>().map_err(|error| self.life.unavailable(error))?;
        rows.try_collect().await.map_err(|error| self.life.unavailable(error))
    }

    pub(super) async fn objects(
        &self,
        owner: Owner,
        names: impl Iterator<Item = String>,
    ) -> Result<BTreeMap<Key, StoredObject>, StoreError> {
        let names: Vec<_> = names.collect();
        let section = objects_of(owner);
        let mut objects = BTreeMap::new();
        for some in names.chunks(NAMES) {
            for row in self.rows(&self.statements.some, (&self.store, &section, some)).await? {
                let object = self.object(owner, row)?;
                objects.insert(object.key.clone(), object);
            }
        }
        Ok(objects)
    }

    pub(super) fn object(
        &self,
        owner: Owner,
        (name, value): (String, String),
    ) -> Result<StoredObject, StoreError> {
        let key = self.key(&name)?;
        shared::record(owner, key, &value)
            .ok_or_else(|| self.life.corrupt(format!("{name} of {owner} can't be read")))
    }

    fn key(&self, text: &str) -> Result<Key, StoreError> {
        text.parse().map_err(|error: KeyError| self.life.corrupt(error.to_string()))
    }

    pub(super) async fn changes(&self, owner: Owner, since: u64) -> Result<Changes, StoreError> {
        let head = self.head(owner).await?;
        if since > head.revision || since < head.forgotten || head.revision - since > SPAN {
            return Ok(Changes::TooOld);
        }
        let as_of = head.as_of(&self.life, owner)?;
        if since == head.revision {
            let (written, deleted) = Default::default();
            return Ok(Changes::Since(ChangeSet { revision: since, as_of, written, deleted }));
        }
        let after = revision_name(since);
        let slice = |section| self.rows(&self.statements.after, (&self.store, section, &after));
        // One after the other: what the first one lacks since it was deleted, the second one has.
        let written = slice(written_of(owner)).await?;
        let deleted = slice(deleted_of(owner)).await?;
        let names = written.iter().map(|(_, name)| name.clone());
        let now = async { self.heads.look().await.map_err(|error| self.life.unavailable(error)) };
        let (objects, (now, _)) = tokio::try_join!(self.objects(owner, names), now)?;
        // What was forgotten meanwhile may be missing.
        let is_whole =
            |now: HeadRow| now.epoch() == Some(head.epoch.clone()) && since >= now.forgotten(owner);
        if !now.is_some_and(is_whole) {
            return Ok(Changes::TooOld);
        }
        // What came back later isn't deleted, and what is gone by now is, though it was written before.
        let mut gone = BTreeSet::new();
        for (_, name) in written.into_iter().chain(deleted) {
            let key = self.key(&name)?;
            if !objects.contains_key(&key) {
                gone.insert(key);
            }
        }
        let mut written: Vec<_> = objects.into_values().collect();
        written.sort_unstable_by_key(|object| object.revision);
        Ok(Changes::Since(ChangeSet {
            revision: head.revision,
            as_of,
            written,
            deleted: gone.into_iter().collect(),
        }))
    }
}

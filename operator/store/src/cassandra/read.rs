//! Reads: the certain ones, and the quick ones that stand as long as nobody is in the middle of a write.

use std::collections::{BTreeMap, HashMap};

use dataplane_snapshot::{Epoch, Key, KeyError, SourceAsOf};
use futures::TryStreamExt as _;
use operator_core::Owner;
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;

use super::statements::END;
use super::{CassandraStore, connect, deleted_of, objects_of, revision_name, written_of};
use crate::shared::{self, Life, number};
use crate::{ChangeSet, Changes, StoreError, StoredObject};

/// How far back changes are read; who is farther behind reads all. What was replaced since is in the way of the reader.
const SPAN: u64 = 20_000;
/// How many changes and objects are read in one step.
const AT_ONCE: usize = 500;
/// How often the head is read that other writers keep busy.
const READING: u32 = 3;
/// Names in one question of several.
pub(super) const NAMES: usize = 100;

/// A row, and what is static.
#[derive(DeserializeRow)]
pub(super) struct StateRow {
    section: String,
    name: String,
    value: Option<String>,
    pub(super) schema_version: Option<i32>,
    pub(super) epoch: Option<String>,
    pub(super) revision: Option<i64>,
    seen: Option<HashMap<String, String>>,
    forgotten: Option<HashMap<String, i64>>,
    deletions: Option<HashMap<String, i64>>,
    fences: Option<HashMap<String, i64>>,
}

pub(super) async fn state(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Vec<StateRow>, connect::AnyError> {
    let answer = session.execute_unpaged(statement, values).await?.into_rows_result()?;
    Ok(answer.rows::<StateRow>()?.collect::<Result<_, _>>()?)
}

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

/// What was read as changes.
struct Slices {
    head: Head,
    written: Named,
    deleted: Named,
    /// Those of `written` that exist.
    objects: BTreeMap<Key, StoredObject>,
}

impl CassandraStore {
    /// The head, and every majority has all up to its revision.
    pub(super) async fn head(&self, owner: Owner) -> Result<Head, StoreError> {
        self.read_head(owner, &self.statements.head).await
    }

    async fn read_head(&self, owner: Owner, statement: &PreparedStatement) -> Result<Head, StoreError> {
        let asked = self.life.highest();
        let mut tries = 1;
        let rows = loop {
            match state(&self.session, statement, (&self.store,)).await {
                // Others write at the same time: asking again does no harm.
                Err(error) if tries < READING && is_contended(&*error) => tries += 1,
                rows => break rows.map_err(|error| self.life.unavailable(error))?,
            }
        };
        self.head_of(owner, rows.first(), asked)
    }

    fn head_of(&self, owner: Owner, row: Option<&StateRow>, asked: u64) -> Result<Head, StoreError> {
        let row = row.ok_or_else(|| self.life.replaced())?;
        let revision = number(row.revision.unwrap_or_default());
        let epoch = self.life.recognise(row.epoch.as_deref(), revision, asked)?;
        let of = |map: &Option<HashMap<String, i64>>| {
            map.as_ref().and_then(|map| map.get(owner.as_str()).copied()).map(number).unwrap_or_default()
        };
        Ok(Head {
            epoch,
            revision,
            seen: row.seen.as_ref().and_then(|seen| seen.get(owner.as_str()).cloned()),
            forgotten: of(&row.forgotten),
            deletions: of(&row.deletions),
            fence: of(&row.fences),
        })
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

    /// The head and these rows as they were at one moment, which nobody knows to be past: the copies that were asked may have
    /// what is only about to be written, and others not. None if they haven't got what was known already.
    ///
    /// Among copies each of which has its rows of one moment, the revision is that of the latest, and a revision is on a majority
    /// before there is a following one. So all rows up to the revision are there.
    async fn snapshot(
        &self,
        owner: Owner,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<(Head, Vec<StateRow>)>, StoreError> {
        let asked = self.life.highest();
        let rows = state(&self.session, statement, values).await;
        let mut rows = rows.map_err(|error| self.life.unavailable(error))?;
        match rows.first() {
            Some(row) if number(row.revision.unwrap_or_default()) >= asked => {
                let head = self.head_of(owner, Some(row), asked)?;
                rows.retain(|row| !row.section.is_empty());
                Ok(Some((head, rows)))
            }
            _ => Ok(None),
        }
    }

    /// The objects of these names, and the head at the same moment, as in [`Self::snapshot`]. None also if they are too many.
    pub(super) async fn at_once(
        &self,
        owner: Owner,
        mut names: Vec<String>,
    ) -> Result<Option<(Head, BTreeMap<Key, StoredObject>)>, StoreError> {
        if names.len() > AT_ONCE {
            return Ok(None);
        }
        names.push(END.to_owned());
        let values = (&self.store, vec![String::new(), objects_of(owner)], names);
        let Some((head, rows)) = self.snapshot(owner, &self.statements.named, values).await? else {
            return Ok(None);
        };
        let objects = rows.into_iter().map(|row| self.object(owner, named(row)));
        let objects = objects.map(|object| object.map(|object| (object.key.clone(), object)));
        Ok(Some((head, objects.collect::<Result<_, _>>()?)))
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
        if let Some(slices) = self.recent(owner, since).await? {
            return self.change_set(owner, slices);
        }
        let head = self.head(owner).await?;
        if since > head.revision || since < head.forgotten || head.revision - since > SPAN {
            return Ok(Changes::TooOld);
        }
        let after = revision_name(since);
        let slice = |section| self.rows(&self.statements.after, (&self.store, section, &after));
        let (written, deleted) = tokio::try_join!(slice(written_of(owner)), slice(deleted_of(owner)))?;
        let names = written.iter().map(|(_, name)| name.clone());
        let now = self.read_head(owner, &self.statements.head_now);
        let (objects, now) = tokio::try_join!(self.objects(owner, names), now)?;
        // What was forgotten meanwhile may be missing.
        if since < now.forgotten {
            return Ok(Changes::TooOld);
        }
        self.change_set(owner, Slices { head, written, deleted, objects })
    }

    /// The same without asking all copies to agree, in which those who ask at the same time are in each other's way. None if
    /// that doesn't do.
    async fn recent(&self, owner: Owner, since: u64) -> Result<Option<Slices>, StoreError> {
        let (written, deleted) = (written_of(owner), deleted_of(owner));
        let sections = vec![String::new(), written.clone(), deleted];
        let limit = i32::try_from(AT_ONCE).unwrap_or(i32::MAX);
        let values = (&self.store, sections, revision_name(since), limit);
        let Some((head, rows)) = self.snapshot(owner, &self.statements.news, values).await? else {
            return Ok(None);
        };
        if since > head.revision || since < head.forgotten || rows.len() + 1 >= AT_ONCE {
            return Ok(None);
        }
        let (written, deleted): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.section == written);
        let [written, deleted] =
            [written, deleted].map(|rows| rows.into_iter().map(named).collect::<Named>());
        if written.is_empty() {
            return Ok(Some(Slices { head, written, deleted, objects: BTreeMap::new() }));
        }
        let names = written.iter().map(|(_, name)| name.clone()).collect();
        let Some((now, objects)) = self.at_once(owner, names).await? else {
            return Ok(None);
        };
        let is_whole = now.epoch == head.epoch && now.revision >= head.revision && since >= now.forgotten;
        Ok(is_whole.then_some(Slices { head, written, deleted, objects }))
    }

    fn change_set(&self, owner: Owner, slices: Slices) -> Result<Changes, StoreError> {
        let Slices { head, written, deleted, objects } = slices;
        // What came back later isn't deleted, and what is gone by now is, though it was written before.
        let mut gone = Vec::new();
        for (_, name) in written.into_iter().chain(deleted) {
            let key = self.key(&name)?;
            if !objects.contains_key(&key) && !gone.contains(&key) {
                gone.push(key);
            }
        }
        let mut written: Vec<_> = objects.into_values().collect();
        written.sort_unstable_by_key(|object| object.revision);
        let as_of = head.as_of(&self.life, owner)?;
        Ok(Changes::Since(ChangeSet { revision: head.revision, as_of, written, deleted: gone }))
    }
}

fn named(row: StateRow) -> (String, String) {
    (row.name, row.value.unwrap_or_default())
}

/// Copies didn't agree in time, as with many writers at once.
fn is_contended(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::ReadTimeout { .. }, _)))
    )
}

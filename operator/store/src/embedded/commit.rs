use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;
use redb::{Database, ReadableTable as _, ReadableTableMetadata as _, Table, WriteTransaction};

use super::EmbeddedSettings;
use super::tables::{
    COUNTERS, DELETED, EPOCHS, FILE_REVISION, FORGOTTEN, Name, OBJECTS, REVISION, Record, SEEN, TOMBSTONES,
    WRITTEN, counter, object,
};
use crate::{Batch, Committed, Draft, Expected, StoreError, StoredObject, Write};

pub(super) enum Failure {
    /// By the writer's own conditions; nothing was written.
    Refused(StoreError),
    Disk(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Disk(error.into())
    }
}

pub(super) fn commit(
    database: &Database,
    settings: &EmbeddedSettings,
    epoch: &Epoch,
    batch: &Batch,
) -> Result<Committed, Failure> {
    if batch.owner == Owner::Files {
        return Err(Failure::Refused(StoreError::NotKept { owner: batch.owner }));
    }
    let transaction = database.begin_write()?;
    let before = counter(&transaction.open_table(COUNTERS)?, REVISION)?;
    let mut writer = Writer::open(&transaction, batch.owner, before)?;
    let mut objects = Vec::with_capacity(batch.writes.len());
    for write in &batch.writes {
        objects.push(writer.apply(write)?);
    }
    let mut revision = writer.revision;
    drop(writer);
    let seen = match batch.owner {
        Owner::Store => Some(seen_in(batch, &objects, epoch, before, revision)),
        Owner::Kubernetes | Owner::Files => batch.as_of.clone(),
    };
    if record(&transaction, batch.owner, seen.as_ref())? && revision == before {
        revision += 1;
    }
    if revision == before {
        transaction.abort()?;
        return Ok(Committed { revision, objects });
    }
    transaction.open_table(COUNTERS)?.insert(REVISION, revision)?;
    forget(&transaction, settings.deletions)?;
    transaction.commit()?;
    Ok(Committed { revision, objects })
}

pub(super) fn next_file_revision(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let next = {
        let mut counters = transaction.open_table(COUNTERS)?;
        let next = counter(&counters, FILE_REVISION)? + 1;
        counters.insert(FILE_REVISION, next)?;
        next
    };
    transaction.commit()?;
    Ok(next)
}

/// The tables of objects, in one write transaction.
struct Writer<'t> {
    owner: Owner,
    revision: u64,
    objects: Table<'t, Name, Record>,
    written: Table<'t, u64, Name>,
    deleted: Table<'t, u64, Name>,
    tombstones: Table<'t, Name, u64>,
}

impl<'t> Writer<'t> {
    fn open(transaction: &'t WriteTransaction, owner: Owner, revision: u64) -> Result<Self, redb::Error> {
        Ok(Self {
            owner,
            revision,
            objects: transaction.open_table(OBJECTS)?,
            written: transaction.open_table(WRITTEN)?,
            deleted: transaction.open_table(DELETED)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
        })
    }

    fn apply(&mut self, write: &Write) -> Result<Option<StoredObject>, Failure> {
        let text = write.key.to_string();
        let name = (self.owner.as_str(), text.as_str());
        let current = match self.objects.get(name)? {
            Some(record) => Some(object(self.owner, write.key.clone(), record.value())?),
            None => None,
        };
        check(&write.key, write.expected, current.as_ref()).map_err(Failure::Refused)?;
        match (&write.draft, current) {
            (None, None) => Ok(None),
            (None, Some(current)) => {
                self.revision += 1;
                self.objects.remove(name)?;
                self.written.remove(current.revision)?;
                self.deleted.insert(self.revision, name)?;
                self.tombstones.insert(name, self.revision)?;
                Ok(None)
            }
            (Some(draft), Some(current)) if is(draft, &current) => Ok(Some(current)),
            (Some(draft), current) => Ok(Some(self.put(&write.key, name, draft, current.as_ref())?)),
        }
    }

    fn put(
        &mut self,
        key: &Key,
        name: (&str, &str),
        draft: &Draft,
        current: Option<&StoredObject>,
    ) -> Result<StoredObject, redb::Error> {
        self.revision += 1;
        let generation = draft.generation.unwrap_or_else(|| i64::try_from(self.revision).unwrap_or(i64::MAX));
        let labels = serde_json::to_string(&draft.labels).map_err(|error| {
            redb::Error::Corrupted(format!("the labels of {key} can't be written: {error}"))
        })?;
        self.objects.insert(name, (generation, self.revision, labels.as_str(), &*draft.spec))?;
        if let Some(current) = current {
            self.written.remove(current.revision)?;
        } else if let Some(deleted) = self.tombstones.remove(name)?.map(|revision| revision.value()) {
            self.deleted.remove(deleted)?;
        }
        self.written.insert(self.revision, name)?;
        Ok(StoredObject {
            owner: self.owner,
            key: key.clone(),
            generation,
            revision: self.revision,
            labels: draft.labels.clone(),
            spec: draft.spec.clone(),
        })
    }
}

fn check(key: &Key, expected: Expected, current: Option<&StoredObject>) -> Result<(), StoreError> {
    let key = || key.clone();
    match (expected, current) {
        (Expected::Any, _) | (Expected::Absent, None) | (Expected::Present, Some(_)) => Ok(()),
        (Expected::Absent, Some(_)) => Err(StoreError::Exists { key: key() }),
        (Expected::Present | Expected::Revision(_), None) => Err(StoreError::NotFound { key: key() }),
        (Expected::Revision(expected), Some(current)) if expected == current.revision => Ok(()),
        (Expected::Revision(expected), Some(current)) => {
            Err(StoreError::Conflict { key: key(), expected, actual: current.revision })
        }
    }
}

/// Whether the object is what the draft asks for.
fn is(draft: &Draft, current: &StoredObject) -> bool {
    draft.spec == current.spec
        && draft.labels == current.labels
        && draft.generation.is_none_or(|generation| generation == current.generation)
}

/// For the store's own objects: how far each kind that this batch changed has come. A deletion raises its kind like any
/// other change.
fn seen_in(
    batch: &Batch,
    objects: &[Option<StoredObject>],
    epoch: &Epoch,
    before: u64,
    revision: u64,
) -> SourceAsOf {
    let mut as_of = SourceAsOf { epoch: epoch.clone(), revisions: Default::default() };
    for (write, object) in batch.writes.iter().zip(objects) {
        let changed = object.as_ref().map_or(revision, |object| object.revision);
        if changed > before {
            as_of.revisions.insert(write.key.kind(), revision);
        }
    }
    as_of
}

/// Notes how much of `owner` was seen; kinds that `as_of` doesn't name stay, unless it begins a new epoch. Whether that is
/// news.
fn record(
    transaction: &WriteTransaction,
    owner: Owner,
    as_of: Option<&SourceAsOf>,
) -> Result<bool, redb::Error> {
    let Some(as_of) = as_of else { return Ok(false) };
    let mut epochs = transaction.open_table(EPOCHS)?;
    let mut seen = transaction.open_table(SEEN)?;
    let epoch = (as_of.epoch.id.as_str(), as_of.epoch.created_at);
    let mut news = false;
    if epochs.get(owner.as_str())?.is_none_or(|known| known.value() != epoch) {
        epochs.insert(owner.as_str(), epoch)?;
        seen.retain(|(known, _), _| known != owner.as_str())?;
        news = true;
    }
    for (kind, revision) in &as_of.revisions {
        let before = seen.insert((owner.as_str(), kind.as_str()), revision)?.map(|known| known.value());
        news |= before != Some(*revision);
    }
    Ok(news)
}

/// Forgets the oldest deletions beyond `limit`, and until when.
fn forget(transaction: &WriteTransaction, limit: u64) -> Result<(), redb::Error> {
    let mut deleted = transaction.open_table(DELETED)?;
    let mut tombstones = transaction.open_table(TOMBSTONES)?;
    let mut counters = transaction.open_table(COUNTERS)?;
    while deleted.len()? > limit {
        let Some((revision, name)) = deleted.pop_first()? else { break };
        tombstones.remove(name.value())?;
        counters.insert(FORGOTTEN, revision.value())?;
    }
    Ok(())
}

use std::collections::BTreeMap;

use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;
use redb::{Database, ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};

use super::EmbeddedSettings;
use super::read::as_of;
use super::tables::{
    COUNTERS, DELETED, EPOCHS, FILE_REVISION, FORGOTTEN, OBJECTS, REVISION, SEEN, TOMBSTONES, WRITTEN,
    counter, fence_of, object,
};
use crate::decide::{After, Change, Known, Outcome, decide};
use crate::{Batch, Committed, StoreError, StoredObject};

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
    let transaction = database.begin_write()?;
    let known = known(&transaction, epoch, batch)?;
    let outcome = decide(batch, known).map_err(Failure::Refused)?;
    if outcome.is_idle() {
        transaction.abort()?;
        return Ok(outcome.committed);
    }
    write(&transaction, batch.owner, &outcome)?;
    transaction.open_table(COUNTERS)?.insert(REVISION, outcome.committed.revision)?;
    forget(&transaction, settings.deletions)?;
    transaction.commit()?;
    Ok(outcome.committed)
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

fn known(transaction: &WriteTransaction, epoch: &Epoch, batch: &Batch) -> Result<Known, redb::Error> {
    let table = transaction.open_table(OBJECTS)?;
    let mut objects = BTreeMap::new();
    for key in batch.writes.iter().map(|write| &write.key) {
        if let Some(record) = table.get((batch.owner.as_str(), key.to_string().as_str()))? {
            objects.insert(key.clone(), object(batch.owner, key.clone(), record.value())?);
        }
    }
    let revision = counter(&transaction.open_table(COUNTERS)?, REVISION)?;
    let as_of = as_of(&transaction.open_table(EPOCHS)?, &transaction.open_table(SEEN)?, batch.owner)?;
    let fence = counter(&transaction.open_table(COUNTERS)?, fence_of(batch.owner))?;
    Ok(Known { epoch: epoch.clone(), revision, as_of, fence, objects })
}

fn write(transaction: &WriteTransaction, owner: Owner, outcome: &Outcome) -> Result<(), redb::Error> {
    let mut objects = transaction.open_table(OBJECTS)?;
    let mut written = transaction.open_table(WRITTEN)?;
    let mut deleted = transaction.open_table(DELETED)?;
    let mut tombstones = transaction.open_table(TOMBSTONES)?;
    for (key, Change { before, after }) in &outcome.changes {
        let text = key.to_string();
        let name = (owner.as_str(), text.as_str());
        if let Some(before) = before {
            written.remove(before)?;
        } else if let Some(earlier) = tombstones.remove(name)?.map(|revision| revision.value()) {
            deleted.remove(earlier)?;
        }
        match after {
            After::Written(StoredObject { generation, revision, labels, spec, .. }) => {
                objects
                    .insert(name, (*generation, *revision, labels_text(key, labels)?.as_str(), &**spec))?;
                written.insert(revision, name)?;
            }
            After::Deleted(revision) => {
                objects.remove(name)?;
                deleted.insert(revision, name)?;
                tombstones.insert(name, revision)?;
            }
        }
    }
    if let Some(fence) = outcome.fence {
        transaction.open_table(COUNTERS)?.insert(fence_of(owner), fence)?;
    }
    outcome.as_of.as_ref().map_or(Ok(()), |as_of| note_as_of(transaction, owner, as_of))
}

fn labels_text(key: &Key, labels: &BTreeMap<String, String>) -> Result<String, redb::Error> {
    serde_json::to_string(labels)
        .map_err(|error| redb::Error::Corrupted(format!("the labels of {key} can't be written: {error}")))
}

fn note_as_of(transaction: &WriteTransaction, owner: Owner, as_of: &SourceAsOf) -> Result<(), redb::Error> {
    let epoch = (as_of.epoch.id.as_str(), as_of.epoch.created_at);
    transaction.open_table(EPOCHS)?.insert(owner.as_str(), epoch)?;
    let mut seen = transaction.open_table(SEEN)?;
    seen.retain(|(known, _), _| known != owner.as_str())?;
    for (kind, revision) in &as_of.revisions {
        seen.insert((owner.as_str(), kind.as_str()), revision)?;
    }
    Ok(())
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

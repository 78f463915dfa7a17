use std::path::Path;

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::Owner;
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable};

use super::file::explain;
use super::tables::{
    COUNTERS, DELETED, EPOCHS, FORGOTTEN, Name, OBJECTS, REVISION, SEEN, WRITTEN, counter, key, object,
};
use crate::{ChangeSet, Changes, Listing, StoreError, StoredObject};

/// The store's own epoch and its revision.
pub(super) fn identity(path: &Path, database: &Database) -> Result<(Epoch, u64), StoreError> {
    let read = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let revision = counter(&transaction.open_table(COUNTERS)?, REVISION)?;
        Ok((epoch(&transaction.open_table(EPOCHS)?, Owner::Store)?, revision))
    };
    let (epoch, revision) = read().map_err(|error| explain(path, error))?;
    let reason = || "it has no epoch".to_owned();
    let epoch =
        epoch.ok_or_else(|| StoreError::Corrupt { place: path.display().to_string(), reason: reason() })?;
    Ok((epoch, revision))
}

pub(super) fn get(database: &Database, owner: Owner, key: &Key) -> Result<Option<StoredObject>, redb::Error> {
    let objects = database.begin_read()?.open_table(OBJECTS)?;
    let Some(record) = objects.get((owner.as_str(), key.to_string().as_str()))? else { return Ok(None) };
    Ok(Some(object(owner, key.clone(), record.value())?))
}

pub(super) fn list(database: &Database, owner: Owner) -> Result<Listing, redb::Error> {
    let transaction = database.begin_read()?;
    let revision = counter(&transaction.open_table(COUNTERS)?, REVISION)?;
    let mut objects = Vec::new();
    for entry in transaction.open_table(OBJECTS)?.range((owner.as_str(), "")..)? {
        let (name, record) = entry?;
        let (entry_owner, text) = name.value();
        if entry_owner != owner.as_str() {
            break;
        }
        objects.push(object(owner, key(text)?, record.value())?);
    }
    Ok(Listing { revision, as_of: seen(&transaction, owner)?, objects })
}

pub(super) fn changes_since(database: &Database, owner: Owner, since: u64) -> Result<Changes, redb::Error> {
    let transaction = database.begin_read()?;
    let counters = transaction.open_table(COUNTERS)?;
    let revision = counter(&counters, REVISION)?;
    if since > revision || since < counter(&counters, FORGOTTEN)? {
        return Ok(Changes::TooOld);
    }
    let objects = transaction.open_table(OBJECTS)?;
    let (mut written, mut deleted) = (Vec::new(), Vec::new());
    let after = since.saturating_add(1)..;
    for entry in transaction.open_table(WRITTEN)?.range(after.clone())? {
        let entry = entry?.1;
        let (entry_owner, text) = entry.value();
        if entry_owner != owner.as_str() {
            continue;
        }
        let record = objects.get((entry_owner, text))?.ok_or_else(|| {
            redb::Error::Corrupted(format!(
                "{text} of {owner} is among the changes, but not among the objects"
            ))
        })?;
        written.push(object(owner, key(text)?, record.value())?);
    }
    for entry in transaction.open_table(DELETED)?.range(after)? {
        let entry = entry?.1;
        let (entry_owner, text) = entry.value();
        if entry_owner == owner.as_str() {
            deleted.push(key(text)?);
        }
    }
    let as_of = seen(&transaction, owner)?;
    Ok(Changes::Since(ChangeSet { revision, as_of, written, deleted }))
}

fn epoch(
    epochs: &impl ReadableTable<&'static str, (&'static str, u64)>,
    owner: Owner,
) -> Result<Option<Epoch>, redb::Error> {
    let epoch = epochs.get(owner.as_str())?;
    Ok(epoch.map(|epoch| {
        let (id, created_at) = epoch.value();
        Epoch { id: id.to_owned(), created_at }
    }))
}

fn seen(transaction: &ReadTransaction, owner: Owner) -> Result<Option<SourceAsOf>, redb::Error> {
    as_of(&transaction.open_table(EPOCHS)?, &transaction.open_table(SEEN)?, owner)
}

pub(super) fn as_of(
    epochs: &impl ReadableTable<&'static str, (&'static str, u64)>,
    seen: &impl ReadableTable<Name, u64>,
    owner: Owner,
) -> Result<Option<SourceAsOf>, redb::Error> {
    let Some(epoch) = epoch(epochs, owner)? else { return Ok(None) };
    let mut as_of = SourceAsOf { epoch, revisions: Default::default() };
    for kind in Kind::ALL {
        if let Some(revision) = seen.get((owner.as_str(), kind.as_str()))? {
            as_of.revisions.insert(kind, revision.value());
        }
    }
    Ok(Some(as_of))
}

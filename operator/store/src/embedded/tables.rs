use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::Key;
use operator_core::Owner;
use redb::{ReadableTable, StorageError, TableDefinition};

use crate::StoredObject;

/// The version of everything below. A later version that changes a table raises it and migrates. One that only adds a table,
/// as [`USAGE`], doesn't: earlier versions go on as if it weren't there, and a file that they made gets it when it is opened.
pub(super) const SCHEMA_VERSION: u64 = 1;

/// An object's name: owner and `kind/namespace/name`.
pub(super) type Name = (&'static str, &'static str);
/// The name of a count.
pub(super) type Counted = (&'static str, &'static str, &'static str, &'static str);
/// Generation, revision, labels as JSON, spec as JSON.
pub(super) type Record = (i64, u64, &'static str, &'static str);

pub(super) const OBJECTS: TableDefinition<'_, Name, Record> = TableDefinition::new("objects");
/// Revision of an existing object's last change -> the object.
pub(super) const WRITTEN: TableDefinition<'_, u64, Name> = TableDefinition::new("written");
/// Revision of a deletion -> the object; the oldest are forgotten.
pub(super) const DELETED: TableDefinition<'_, u64, Name> = TableDefinition::new("deleted");
/// The same the other way round, so that an object that comes back isn't deleted too.
pub(super) const TOMBSTONES: TableDefinition<'_, Name, u64> = TableDefinition::new("tombstones");
/// Owner -> id and creation time (milliseconds since 1970) of its epoch.
pub(super) const EPOCHS: TableDefinition<'_, &str, (&'static str, u64)> = TableDefinition::new("epochs");
/// Owner and kind -> how much of it was seen.
pub(super) const SEEN: TableDefinition<'_, Name, u64> = TableDefinition::new("seen");
pub(super) const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
/// Window, route, consumer and worker -> what was counted.
pub(super) const USAGE: TableDefinition<'_, Counted, &str> = TableDefinition::new("usage");

pub(super) const SCHEMA: &str = "schema";
pub(super) const REVISION: &str = "revision";
pub(super) const FILE_REVISION: &str = "file revision";
/// The highest revision of a forgotten deletion.
pub(super) const FORGOTTEN: &str = "forgotten";

/// The highest number of a writer of this owner.
pub(super) const fn fence_of(owner: Owner) -> &'static str {
    match owner {
        Owner::Kubernetes => "fence of kubernetes",
        Owner::Store | Owner::Files => "fence of store",
    }
}

pub(super) fn counter(
    counters: &impl ReadableTable<&'static str, u64>,
    name: &'static str,
) -> Result<u64, StorageError> {
    Ok(counters.get(name)?.map_or(0, |value| value.value()))
}

pub(super) fn object(
    owner: Owner,
    key: Key,
    record: (i64, u64, &str, &str),
) -> Result<StoredObject, StorageError> {
    let (generation, revision, labels, spec) = record;
    let labels: BTreeMap<String, String> = serde_json::from_str(labels)
        .map_err(|error| StorageError::Corrupted(format!("the labels of {key} can't be read: {error}")))?;
    Ok(StoredObject { owner, key, generation, revision, labels, spec: Arc::from(spec) })
}

pub(super) fn key(text: &str) -> Result<Key, StorageError> {
    text.parse().map_err(|error| StorageError::Corrupted(format!("{error}")))
}

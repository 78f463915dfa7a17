use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dataplane_snapshot::Epoch;
use operator_core::Owner;
use redb::{Database, ReadableDatabase as _, TableError};

use super::read::identity;
use super::tables::{
    COUNTERS, DELETED, EPOCHS, OBJECTS, SCHEMA, SCHEMA_VERSION, SEEN, TOMBSTONES, USAGE, WRITTEN, counter,
};
use crate::StoreError;

/// Pages that redb keeps in memory, in bytes; its own default is 1 GiB. All objects live in the world anyway.
const CACHE: usize = 16 << 20;

/// Opens the file, or makes it.
pub(super) fn open_or_create(path: &Path) -> Result<Database, StoreError> {
    if !exists(path)? {
        create(path)?;
    }
    open(path)
}

/// Opens the file again after a failure of the disk. Neither a file that is gone nor another store in its place is taken
/// for one without objects: that would end the traffic of all that were in it.
pub(super) fn reopen(path: &Path, epoch: &Epoch) -> Result<Database, StoreError> {
    let unavailable = |what: &str| StoreError::Unavailable { reason: format!("{} {what}", path.display()) };
    if !exists(path)? {
        return Err(unavailable("is gone: put the file back, or restart to begin with an empty one"));
    }
    let database = open(path)?;
    if identity(path, &database)?.0 != *epoch {
        return Err(unavailable(
            "is another store now: put the file back, or restart to go on with this one",
        ));
    }
    Ok(database)
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| inaccessible(path, &error))
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let private = Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).map_err(|error| inaccessible(path, &error))?;
    let database = builder().open(path).map_err(|error| explain(path, error.into()))?;
    check_schema(path, &database)?;
    add_tables(&database).map_err(|error| explain(path, error))?;
    Ok(database)
}

/// Makes what an earlier version hasn't made.
fn add_tables(database: &Database) -> Result<(), redb::Error> {
    match database.begin_read()?.open_table(USAGE) {
        Ok(_) => return Ok(()),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let transaction = database.begin_write()?;
    transaction.open_table(USAGE)?;
    Ok(transaction.commit()?)
}

fn inaccessible(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable { reason: format!("{}: {error}", path.display()) }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// The file appears under its name when it is complete, so a crash while it is made leaves nothing half done.
fn create(path: &Path) -> Result<(), StoreError> {
    let unavailable = |error: io::Error| inaccessible(path, &error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Of mode 0600 from the start.
    let draft =
        tempfile::Builder::new().prefix(".komainu-store-").tempfile_in(folder).map_err(unavailable)?;
    let database = builder().create(draft.path()).map_err(|error| explain(path, error.into()))?;
    initialise(&database).map_err(|error| explain(path, error))?;
    drop(database);
    match draft.persist_noclobber(path) {
        Ok(_) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(unavailable),
        // Another process was faster; whose it is shows at the lock.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unavailable(error.error)),
    }
}

fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        transaction.open_table(OBJECTS)?;
        transaction.open_table(WRITTEN)?;
        transaction.open_table(DELETED)?;
        transaction.open_table(TOMBSTONES)?;
        transaction.open_table(SEEN)?;
        transaction.open_table(USAGE)?;
        transaction.open_table(COUNTERS)?.insert(SCHEMA, SCHEMA_VERSION)?;
        let id = uuid::Uuid::new_v4().to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let created_at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        transaction.open_table(EPOCHS)?.insert(Owner::Store.as_str(), (id.as_str(), created_at))?;
    }
    Ok(transaction.commit()?)
}

fn check_schema(path: &Path, database: &Database) -> Result<(), StoreError> {
    let read = || -> Result<u64, redb::Error> {
        Ok(counter(&database.begin_read()?.open_table(COUNTERS)?, SCHEMA)?)
    };
    match read().map_err(|error| explain(path, error))? {
        SCHEMA_VERSION => Ok(()),
        0 => Err(StoreError::Corrupt {
            place: path.display().to_string(),
            reason: "it has no schema version".to_owned(),
        }),
        found => Err(StoreError::NewerSchema {
            place: path.display().to_string(),
            found,
            supported: SCHEMA_VERSION,
        }),
    }
}

/// What an error of redb means to people.
pub(super) fn explain(path: &Path, error: redb::Error) -> StoreError {
    let corrupt = |reason: String| StoreError::Corrupt { place: path.display().to_string(), reason };
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            StoreError::InUse { path: path.to_owned() }
        }
        redb::Error::Corrupted(reason) => corrupt(reason),
        // That is how redb says that the file isn't one of its own.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => corrupt(error.to_string()),
        error @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::UpgradeRequired(_)) => corrupt(error.to_string()),
        error => StoreError::Unavailable { reason: format!("{}: {error}", path.display()) },
    }
}

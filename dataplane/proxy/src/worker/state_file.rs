use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions, rename, set_permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dataplane_core::served::Served;
use dataplane_snapshot::{AsOf, Key, Object, Root, Snapshot, diff, wire};
use prost::Message as _;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, TableError};

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// The last good versions that stand in for held or rejected objects.
const RETAINED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("retained");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT: &str = "format";
const ROOT: &str = "root";
const AS_OF: &str = "as-of";

/// The version of these tables.
const FORMAT_VERSION: u32 = 1;

/// Pages that redb keeps in memory, in bytes; its own default is 1 GiB.
const CACHE: usize = 8 << 20;

/// What a worker serves, in a redb file of mode 0600, so that it can start without a leader. Each write is one transaction
/// with what changed.
pub struct StateFile {
    path: PathBuf,
    /// `None` after a failure: redb wants a file closed then, and the next write opens it again.
    open: Option<Open>,
}

struct Open {
    database: Database,
    /// What is in the file; `None`: unknown, so the next write writes all.
    written: Option<Served>,
}

#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    #[error("{}: {reason}", path.display())]
    Unavailable { path: PathBuf, reason: String },
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },
    /// It isn't a state file, or its objects don't have the root that was written with them.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl StateFile {
    /// Opens the file, or creates it, and reads what it holds. A damaged one is set aside with the ending `.damaged`, is
    /// told in the log, and a new one takes its place. Blocks.
    ///
    /// A file that can't be used now is no error: writes try again, and say why they fail.
    pub fn open(path: impl Into<PathBuf>) -> (Self, Option<Served>) {
        let path = path.into();
        match load(&path) {
            Ok((database, served)) => {
                let open = Some(Open { database, written: served.clone() });
                (Self { path, open }, served)
            }
            Err(error @ StateFileError::Damaged { .. }) => {
                tracing::error!(%error, "the state file is set aside; this worker starts without it");
                if let Err(error) = rename(&path, aside(&path)) {
                    tracing::error!(%error, path = %path.display(), "the state file can't be set aside");
                }
                (Self { path, open: None }, None)
            }
            Err(error) => {
                tracing::error!(%error, "the state file can't be read; this worker starts without it");
                (Self { path, open: None }, None)
            }
        }
    }

    /// Makes the file hold `served`, as of `as_of`. On disk when it returns. Blocks.
    pub fn write(&mut self, served: &Served, as_of: &AsOf) -> Result<(), StateFileError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open { database: database(&self.path)?, written: None },
        };
        commit(&open, served, as_of).map_err(|error| explain(&self.path, error))?;
        open.written = Some(served.clone());
        self.open = Some(open);
        Ok(())
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

fn load(path: &Path) -> Result<(Database, Option<Served>), StateFileError> {
    let damaged = |reason: String| StateFileError::Damaged { path: path.to_owned(), reason };
    // A file full of garbage may lead redb to a panic.
    let opened = catch_unwind(|| {
        let database = database(path)?;
        let content = read(&database).map_err(|error| explain(path, error))?;
        Ok((database, content))
    });
    let (database, content) = opened.map_err(|_| damaged("reading it fails".to_owned()))??;
    let served = content.map(|content| content.verify().map_err(damaged)).transpose()?;
    Ok((database, served))
}

/// Opens the file, or creates it, of mode 0600 from the start.
fn database(path: &Path) -> Result<Database, StateFileError> {
    let unavailable =
        |error: io::Error| StateFileError::Unavailable { path: path.to_owned(), reason: error.to_string() };
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(unavailable)?;
    set_permissions(path, Permissions::from_mode(0o600)).map_err(unavailable)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder.create(path).map_err(|error| explain(path, error.into()))
}

/// What is in a file, unverified.
struct Content {
    format: Vec<u8>,
    root: Vec<u8>,
    as_of: Vec<u8>,
    objects: BTreeMap<String, Bytes>,
    retained: BTreeMap<String, Bytes>,
}

/// `None`: nothing has been written yet.
fn read(database: &Database) -> Result<Option<Content>, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let value = |name| -> Result<Vec<u8>, redb::Error> {
        Ok(meta.get(name)?.map(|value| value.value().to_vec()).unwrap_or_default())
    };
    let all = |table: TableDefinition<'_, &'static str, &'static [u8]>| -> Result<BTreeMap<String, Bytes>, redb::Error> {
        let mut objects = BTreeMap::new();
        for entry in transaction.open_table(table)?.iter()? {
            let (key, bytes) = entry?;
            objects.insert(key.value().to_owned(), Bytes::copy_from_slice(bytes.value()));
        }
        Ok(objects)
    };
    Ok(Some(Content {
        format: value(FORMAT)?,
        root: value(ROOT)?,
        as_of: value(AS_OF)?,
        objects: all(OBJECTS)?,
        retained: all(RETAINED)?,
    }))
}

impl Content {
    fn verify(self) -> Result<Served, String> {
        if self.format != FORMAT_VERSION.to_be_bytes() {
            return Err(format!("its format isn't version {FORMAT_VERSION}"));
        }
        let as_of = wire::WireAsOf::decode(&*self.as_of).map_err(|error| error.to_string())?;
        let snapshot = Snapshot::new(objects(self.objects)?, wire::as_of_from_wire(as_of));
        if Root::from_slice(&self.root) != Some(snapshot.root()) {
            return Err("its objects don't have the root that was written with them".to_owned());
        }
        Ok(Served::restore(snapshot, objects(self.retained)?))
    }
}

fn objects(table: BTreeMap<String, Bytes>) -> Result<Vec<Object>, String> {
    let object = |(key, bytes): (String, Bytes)| match key.parse() {
        Ok(key) => Ok(Object::new(key, bytes)),
        Err(error) => Err(dataplane_snapshot::KeyError::to_string(&error)),
    };
    table.into_iter().map(object).collect()
}

fn commit(open: &Open, served: &Served, as_of: &AsOf) -> Result<(), redb::Error> {
    let transaction = open.database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        let mut retained = transaction.open_table(RETAINED)?;
        let mut meta = transaction.open_table(META)?;
        if open.written.is_none() {
            objects.retain(|_, _| false)?;
            retained.retain(|_, _| false)?;
        }
        let empty = Served::default();
        let before = open.written.as_ref().unwrap_or(&empty);
        let changes = diff(before.snapshot(), served.snapshot());
        put(&mut objects, &changes.upserts, &changes.removals)?;
        let (upserts, removals) = changed_retained(before, served);
        put(&mut retained, &upserts, &removals)?;
        meta.insert(FORMAT, FORMAT_VERSION.to_be_bytes().as_slice())?;
        meta.insert(ROOT, served.snapshot().root().0.as_slice())?;
        meta.insert(AS_OF, wire::as_of_to_wire(as_of).encode_to_vec().as_slice())?;
    }
    Ok(transaction.commit()?)
}

fn put(table: &mut Table<'_, &str, &[u8]>, upserts: &[Object], removals: &[Key]) -> Result<(), redb::Error> {
    for key in removals {
        table.remove(key.to_string().as_str())?;
    }
    for object in upserts {
        table.insert(object.key().to_string().as_str(), object.bytes().as_ref())?;
    }
    Ok(())
}

fn changed_retained(before: &Served, after: &Served) -> (Vec<Object>, Vec<Key>) {
    let by_key = |served: &Served| -> BTreeMap<Key, Object> {
        served.retained().map(|object| (object.key().clone(), object.clone())).collect()
    };
    let (before, after) = (by_key(before), by_key(after));
    let upserts = after.iter().filter(|(key, object)| before.get(key) != Some(object));
    let removals = before.keys().filter(|key| !after.contains_key(key));
    (upserts.map(|(_, object)| object.clone()).collect(), removals.cloned().collect())
}

/// What an error of redb means to people.
fn explain(path: &Path, error: redb::Error) -> StateFileError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => StateFileError::InUse { path },
        redb::Error::Corrupted(reason) => StateFileError::Damaged { path, reason },
        // That is how redb says that the file isn't one of its own.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            StateFileError::Damaged { path, reason: error.to_string() }
        }
        error @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::UpgradeRequired(_)) => StateFileError::Damaged { path, reason: error.to_string() },
        error => StateFileError::Unavailable { path, reason: error.to_string() },
    }
}

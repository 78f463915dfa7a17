use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions, rename, set_permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dataplane_core::served::Served;
use dataplane_core::stored::{Content, Rows, Stored};
use dataplane_snapshot::{AsOf, Scope, ScopeError};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, TableError};

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// The last good versions that stand in for held or rejected objects.
const RETAINED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("retained");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT: &str = "format";
const ROOT: &str = "root";
const AS_OF: &str = "as-of";
/// The text of the scope that it was written for.
const SCOPE: &str = "scope";
/// The root that was written with it: a version before scopes leaves both as they are when it writes.
const SCOPE_ROOT: &str = "scope-root";

/// When a leader last answered well before the write, in milliseconds since 1970-01-01 UTC, in 8 bytes, the first the highest. A
/// version before it leaves it as it is when it writes: it is then older than it should be.
const CONTACT: &str = "contact";

/// Pages that redb keeps in memory, in bytes; its own default is 1 GiB.
const CACHE: usize = 1 << 20;

/// What a worker serves, in a redb file of mode 0600, so that it can start without a leader. Each write is one transaction
/// with what changed.
pub struct StateFile {
    path: PathBuf,
    scope: Scope,
    /// `None` after a failure: redb wants a file closed then, and the next write opens it again.
    open: Option<Open>,
    contact: Option<SystemTime>,
}

struct Open {
    database: Database,
    /// What is in the file; `None`: unknown, so the next write writes all.
    written: Option<Stored>,
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
    /// Of a worker that takes everything. See [`Self::of_scope`].
    pub fn open(path: impl Into<PathBuf>) -> (Self, Option<Served>) {
        Self::of_scope(path, Scope::default())
    }

    /// Opens the file, or creates it, and reads what it holds. A damaged one is set aside with the ending `.damaged`, is
    /// told in the log, and a new one takes its place. Blocks.
    ///
    /// A file that can't be used now is no error: writes try again, and say why they fail. One that was written for a scope which
    /// has more than `scope` isn't served from: what is of others isn't for this worker any more. One of a narrower scope is, and
    /// is as of nothing: it doesn't tell of what `scope` has beyond.
    pub fn of_scope(path: impl Into<PathBuf>, scope: Scope) -> (Self, Option<Served>) {
        let path = path.into();
        match load(&path) {
            Ok(Loaded { database, content, scope: of, contact }) => {
                let (written, served) = content.unzip();
                let served = served.filter(|_| of.is_within(&scope));
                let served = served.map(|served| if of == scope { served } else { as_of_nothing(&served) });
                if written.is_some() && served.is_none() {
                    tracing::warn!(%of, now = %scope, "the state file is of another selector: this worker starts without it");
                }
                let contact = contact.filter(|_| served.is_some());
                (Self { path, scope, open: Some(Open { database, written }), contact }, served)
            }
            Err(error @ StateFileError::Damaged { .. }) => {
                tracing::error!(%error, "the state file is set aside; this worker starts without it");
                if let Err(error) = rename(&path, aside(&path)) {
                    tracing::error!(%error, path = %path.display(), "the state file can't be set aside");
                }
                (Self { path, scope, open: None, contact: None }, None)
            }
            Err(error) => {
                tracing::error!(%error, "the state file can't be read; this worker starts without it");
                (Self { path, scope, open: None, contact: None }, None)
            }
        }
    }

    /// When a leader had last answered well as what the file held was written. It is as exact as that: a leader that had nothing
    /// new for an hour wasn't written down again meanwhile, unless the worker was stopped in order.
    pub const fn contact(&self) -> Option<SystemTime> {
        self.contact
    }

    /// What the next writes tell by [`Self::contact`].
    pub const fn contacted(&mut self, at: SystemTime) {
        self.contact = Some(at);
    }

    /// Makes the file hold `served`, as of `as_of`. On disk when it returns. Blocks.
    pub fn write(&mut self, served: &Served, as_of: &AsOf) -> Result<(), StateFileError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open { database: database(&self.path)?, written: None },
        };
        let next = Stored::of(served);
        commit(&open, &next, as_of, self).map_err(|error| explain(&self.path, error))?;
        open.written = Some(next);
        self.open = Some(open);
        Ok(())
    }
}

fn as_of_nothing(served: &Served) -> Served {
    Served::restore(served.snapshot().with_as_of(AsOf::default()), served.retained().cloned())
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

struct Loaded {
    database: Database,
    content: Option<(Stored, Served)>,
    scope: Scope,
    contact: Option<SystemTime>,
}

/// What was written.
struct Written {
    content: Content,
    /// The text of the scope that it is of.
    scope: String,
    contact: Option<SystemTime>,
}

fn load(path: &Path) -> Result<Loaded, StateFileError> {
    let damaged = |reason: String| StateFileError::Damaged { path: path.to_owned(), reason };
    // A file full of garbage may lead redb to a panic.
    let opened = catch_unwind(|| {
        let database = database(path)?;
        let content = read(&database).map_err(|error| explain(path, error))?;
        Ok((database, content))
    });
    let (database, read) = opened.map_err(|_| damaged("reading it fails".to_owned()))??;
    let Some(Written { content, scope, contact }) = read else {
        return Ok(Loaded { database, content: None, scope: Scope::default(), contact: None });
    };
    let content = content.verify().map_err(|error| damaged(error.to_string()))?;
    let scope = scope.parse().map_err(|error: ScopeError| damaged(error.to_string()))?;
    Ok(Loaded { database, content: Some(content), scope, contact })
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

/// `None`: nothing has been written yet.
fn read(database: &Database) -> Result<Option<Written>, redb::Error> {
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
    let content = Content {
        format: value(FORMAT)?,
        root: value(ROOT)?,
        as_of: value(AS_OF)?,
        objects: all(OBJECTS)?,
        retained: all(RETAINED)?,
    };
    // What a version before scopes wrote is everything.
    let is_of_scope = value(SCOPE_ROOT)? == content.root;
    let scope = if is_of_scope { value(SCOPE)? } else { Vec::new() };
    let scope = String::from_utf8_lossy(&scope).into_owned();
    let contact = value(CONTACT)?.try_into().ok().map(u64::from_be_bytes);
    // A time that the system can't have is none.
    let contact = contact.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
    Ok(Some(Written { content, scope, contact }))
}

fn commit(open: &Open, next: &Stored, as_of: &AsOf, file: &StateFile) -> Result<(), redb::Error> {
    let transaction = open.database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        let mut retained = transaction.open_table(RETAINED)?;
        let mut meta = transaction.open_table(META)?;
        if open.written.is_none() {
            objects.retain(|_, _| false)?;
            retained.retain(|_, _| false)?;
        }
        let nothing = Stored::default();
        let changes = open.written.as_ref().unwrap_or(&nothing).changes_to(next, as_of);
        put(&mut objects, &changes.objects)?;
        put(&mut retained, &changes.retained)?;
        meta.insert(FORMAT, changes.format.as_slice())?;
        meta.insert(ROOT, changes.root.0.as_slice())?;
        meta.insert(AS_OF, changes.as_of.as_slice())?;
        meta.insert(SCOPE, file.scope.to_string().as_bytes())?;
        meta.insert(SCOPE_ROOT, changes.root.0.as_slice())?;
        if let Some(at) = file.contact {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            meta.insert(CONTACT, millis.to_be_bytes().as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

fn put(table: &mut Table<'_, &str, &[u8]>, rows: &Rows) -> Result<(), redb::Error> {
    for key in &rows.removals {
        table.remove(key.to_string().as_str())?;
    }
    for object in &rows.upserts {
        table.insert(object.key().to_string().as_str(), object.bytes().as_ref())?;
    }
    Ok(())
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

//! The embedded store passes the suite, and keeps what a file must keep.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use operator_core::Owner;
use operator_store::suite::{draft, key, row};
use operator_store::{Changes, EmbeddedSettings, EmbeddedStore, Expected, StateStore, StoreError};
use proptest::prelude::*;
use redb::{Database, TableDefinition};

fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(path, EmbeddedSettings::default())
}

async fn open_empty(deletions: u64) -> Arc<dyn StateStore> {
    let folder = tempfile::tempdir().unwrap();
    // The file stays reachable by the open descriptor after its folder is removed at the end of this function.
    let store = EmbeddedStore::open(folder.path().join("store"), EmbeddedSettings { deletions }).unwrap();
    Arc::new(store)
}

operator_store::state_store_suite!(open_empty);

#[tokio::test]
async fn all_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path).unwrap();
    let epoch = store.epoch();
    let object = store.put(&key("a"), Expected::Absent, draft("1")).await.unwrap();
    let number = store.next_file_revision().await.unwrap();
    let counted = [row("2026-11", "a", "", "w", 1)];
    store.raise_usage(&counted).await.unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.epoch(), epoch);
    assert_eq!(store.usage("2026-11", None).await.unwrap(), counted);
    assert_eq!(store.get(Owner::Store, &key("a")).await.unwrap(), Some(object.clone()));
    assert_eq!(*store.subscribe().borrow(), object.revision);
    assert!(store.next_file_revision().await.unwrap() > number);
    let next = store.put(&key("b"), Expected::Absent, draft("1")).await.unwrap();
    assert!(next.revision > object.revision);
}

#[test]
fn the_file_is_private_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open(&path).unwrap());
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(mode(), 0o600, "a wider mode is narrowed");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store"], "no draft is left");
}

#[test]
fn a_second_opener_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = open(&path).unwrap();
    let error = open(&path).err().unwrap();
    assert_eq!(error, StoreError::InUse { path: path.clone() });
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    open(&path).unwrap();
}

#[test]
fn what_is_no_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for content in ["", "a letter to the reader"] {
        std::fs::write(&path, content).unwrap();
        let error = open(&path).err().unwrap();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{content:?}: {error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    let error = open(&folder.path().join("none").join("store")).err().unwrap();
    assert!(matches!(&error, StoreError::Unavailable { reason } if reason.contains("none")), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let counters: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
    transaction.open_table(counters).unwrap().insert("schema", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open(&path).err().unwrap();
    assert_eq!(error, StoreError::NewerSchema { place: path.display().to_string(), found: 2, supported: 1 });
    assert!(error.to_string().contains("start the version that wrote it, or a later one"), "{error}");
}

#[tokio::test]
async fn a_file_of_an_earlier_version_gets_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path).unwrap();
    let object = store.put(&key("a"), Expected::Absent, draft("1")).await.unwrap();
    drop(store);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let usage: TableDefinition<'_, (&str, &str, &str, &str), &str> = TableDefinition::new("usage");
    assert!(transaction.delete_table(usage).unwrap());
    transaction.commit().unwrap();
    drop(database);
    let store = open(&path).unwrap();
    assert_eq!(store.usage("2026-11", None).await.unwrap(), []);
    let counted = [row("2026-11", "a", "", "w", 1)];
    store.raise_usage(&counted).await.unwrap();
    assert_eq!(store.usage("2026-11", None).await.unwrap(), counted);
    assert_eq!(store.get(Owner::Store, &key("a")).await.unwrap(), Some(object));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    /// The reader catches up.
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..3_u8).prop_map(|(name, root)| Step::Put(name, root)),
        2 => (0..6_u8).prop_map(Step::Delete),
        1 => Just(Step::Read),
    ]
}

/// Name -> spec: what a reader has to know.
type Known = BTreeMap<String, String>;

async fn read_all(store: &dyn StateStore) -> (u64, Known) {
    let listing = store.list(Owner::Store).await.unwrap();
    let known = listing.objects.iter().map(|object| (object.key.name().to_owned(), object.spec.to_string()));
    (listing.revision, known.collect())
}

async fn catch_up(store: &dyn StateStore, (revision, known): &mut (u64, Known)) {
    match store.changes_since(Owner::Store, *revision).await.unwrap() {
        Changes::TooOld => (*revision, *known) = read_all(store).await,
        Changes::Since(changes) => {
            for key in &changes.deleted {
                known.remove(key.name());
            }
            for object in changes.written {
                known.insert(object.key.name().to_owned(), object.spec.to_string());
            }
            *revision = changes.revision;
        }
    }
}

async fn changes_lead_where_a_full_read_does(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store = open_empty(3).await;
    let mut reader = (0, Known::new());
    for step in steps.into_iter().chain([Step::Read]) {
        match step {
            Step::Put(name, root) => {
                let draft = draft(&root.to_string());
                store.put(&key(&name.to_string()), Expected::Any, draft).await.map(drop).unwrap();
            }
            Step::Delete(name) => {
                store.delete(&key(&name.to_string()), Expected::Any).await.map(drop).unwrap();
            }
            Step::Read => {
                catch_up(&*store, &mut reader).await;
                prop_assert_eq!(&reader, &read_all(&*store).await);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changes_since_equals_a_full_read(steps in proptest::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(changes_lead_where_a_full_read_does(steps))?;
    }
}

use std::io;

use super::*;
use crate::Expected;
use crate::suite::{draft, key};

/// The next call opens the file again.
fn fail_disk(store: &EmbeddedStore) {
    store.inner.explain(redb::Error::Io(io::Error::other("the disk is gone")));
}

fn open(path: &std::path::Path) -> EmbeddedStore {
    EmbeddedStore::open(path, EmbeddedSettings::default()).unwrap()
}

async fn refusal(store: &EmbeddedStore) -> String {
    let read = store.list(Owner::Store).await.unwrap_err();
    let written = store.put(&key("b"), Expected::Any, draft("1")).await.unwrap_err();
    assert_eq!(read, written);
    assert!(matches!(read, StoreError::Unavailable { .. }), "{read:?}");
    read.to_string()
}

#[tokio::test]
async fn after_a_failure_only_the_same_file_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("store"), folder.path().join("aside"));
    let store = open(&path);
    store.put(&key("a"), Expected::Any, draft("1")).await.unwrap();

    fail_disk(&store);
    std::fs::rename(&path, &aside).unwrap();
    assert!(refusal(&store).await.contains("store is gone: put the file back"));
    assert!(!path.exists(), "nothing is made in its place");

    drop(open(&path));
    assert!(refusal(&store).await.contains("store is another store now: put the file back"));

    std::fs::rename(&aside, &path).unwrap();
    let names: Vec<_> =
        store.list(Owner::Store).await.unwrap().objects.into_iter().map(|object| object.key).collect();
    assert_eq!(names, [key("a")]);
}

//! A disk that is full is told, loses nothing that was acknowledged, and doesn't stop reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use operator_core::Owner;
use operator_store::suite::{draft, key};
use operator_store::{Draft, EmbeddedSettings, EmbeddedStore, Expected, StateStore, StoreError};

const PATH: &str = "KOMAINU_TEST_STORE";

fn large() -> Draft {
    Draft { spec: format!("{:?}", "x".repeat(200_000)).into(), ..draft("1") }
}

/// Writes until the file may not grow any more.
#[test]
#[ignore = "the child of the test below, which limits its files"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(fill(Path::new(&path)));
}

async fn fill(path: &Path) {
    let store = EmbeddedStore::open(path, EmbeddedSettings::default()).unwrap();
    let mut written = 0;
    let error = loop {
        match store.put(&key(&written.to_string()), Expected::Absent, large()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, StoreError::Unavailable { reason } if reason.contains("File too large")),
        "{error}"
    );
    assert!(written > 10, "{written}");
    // The file is opened anew, in this process too.
    let listing = store.list(Owner::Store).await.unwrap();
    assert_eq!(listing.objects.len(), written, "what failed isn't half there");
    for n in 0..written {
        store.delete(&key(&n.to_string()), Expected::Present).await.unwrap();
    }
    store.put(&key("last"), Expected::Absent, large()).await.unwrap();
}

#[test]
fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("store");
    drop(EmbeddedStore::open(&path, EmbeddedSettings::default()).unwrap());
    // A limit on the size of files is a full disk that needs no root. With the signal ignored, writes fail.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PATH, &path)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let store = EmbeddedStore::open(&path, EmbeddedSettings::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let names: Vec<_> = runtime
        .block_on(store.list(Owner::Store))
        .unwrap()
        .objects
        .iter()
        .map(|object| object.key.name().to_owned())
        .collect();
    assert_eq!(names, ["last"]);
}

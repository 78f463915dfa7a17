//! Nothing that was acknowledged is lost when the process is killed in the middle of its writes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use operator_core::Owner;
use operator_store::suite::{draft, key};
use operator_store::{EmbeddedSettings, EmbeddedStore, Expected, StateStore, StoreError};

const PATH: &str = "KOMAINU_TEST_STORE";
const WRITERS: u64 = 4;
const ROUNDS: usize = 12;

/// Each of a few tasks writes its own object over and over, with a number that counts up, and deletes it at every tenth.
/// A line is printed when a write was acknowledged.
#[test]
#[ignore = "the child of the test below, which kills it"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(PathBuf::from(path), EmbeddedSettings { deletions: 5 }).unwrap();
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

async fn write(store: EmbeddedStore, writer: u64) {
    let key = key(&writer.to_string());
    let start = written(&store, writer).await.unwrap_or(0);
    for n in start + 1.. {
        if n.is_multiple_of(10) {
            store.delete(&key, Expected::Any).await.unwrap();
        } else {
            store.put(&key, Expected::Any, draft(&n.to_string())).await.unwrap();
        }
        writeln!(std::io::stdout().lock(), "acknowledged {writer} {n}").unwrap();
    }
}

async fn written(store: &EmbeddedStore, writer: u64) -> Option<u64> {
    let object = store.get(Owner::Store, &key(&writer.to_string())).await.unwrap()?;
    object.labels.get("root").map(|root| root.parse().unwrap())
}

/// Runs the child until it has acknowledged `count` writes, kills it, and gives the last number acknowledged to each writer.
fn kill_after(path: &Path, count: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = BTreeMap::new();
    let mut seen = 0;
    // What the pipe still holds after the kill was acknowledged as well.
    while let Some(Ok(line)) = lines.next() {
        let Some((_, numbers)) = line.split_once("acknowledged ") else { continue };
        let Some((writer, n)) = numbers.split_once(' ') else { continue };
        acknowledged.insert(writer.parse().unwrap(), n.parse().unwrap());
        seen += 1;
        if seen == count {
            let error = EmbeddedStore::open(path, EmbeddedSettings::default()).err();
            assert_eq!(error, Some(StoreError::InUse { path: path.to_owned() }), "it writes at this moment");
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= count, "the child ended by itself");
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for round in 0..ROUNDS {
        let acknowledged = kill_after(&path, 20 + round * 7);
        let store = EmbeddedStore::open(&path, EmbeddedSettings { deletions: 5 }).unwrap();
        for (writer, last) in acknowledged {
            let found = runtime.block_on(written(&store, writer));
            // The next write may be there too, without its answer.
            let (kept, next) = (Some(last), Some(last + 1));
            let gone = |n: u64| n.is_multiple_of(10);
            let fits = match found {
                None => gone(last) || gone(last + 1),
                found => (found == kept && !gone(last)) || (found == next && !gone(last + 1)),
            };
            assert!(fits, "round {round}: writer {writer} was acknowledged {last}, the store has {found:?}");
        }
        let listing = runtime.block_on(store.list(Owner::Store)).unwrap();
        assert!(listing.objects.iter().all(|object| object.revision <= listing.revision));
    }
}

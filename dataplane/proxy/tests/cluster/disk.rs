//! The state file: what a worker serves without a leader.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dataplane_core::served::Served;
use dataplane_core::subscription::Source;
use dataplane_proxy::worker::{StateFile, StateFileError, WorkerSettings};
use dataplane_snapshot::{Key, Object, Snapshot};
use operator_core::programmed::Applied;

use super::leader::Leader;
use super::samples::{as_of, held, route, snapshot};
use super::worker::{Worker, settings};

fn with_file(leader: &Leader, path: &Path) -> WorkerSettings {
    let mut settings = settings(vec![leader.url()]);
    settings.state_file = Some(path.to_owned());
    settings.boot_wait = Duration::from_millis(100);
    settings
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    (folder, path)
}

/// What a new process would find in the file.
async fn stop_and_read(worker: Worker, path: &Path) -> Served {
    worker.stop().await;
    loop {
        // The thread of the last write may not have let go of the file yet.
        if let (_, Some(served)) = StateFile::open(path) {
            return served;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_worker_serves_from_disk_without_a_leader_and_catches_up() {
    let (_folder, path) = file();
    let leader = Leader::start().await;
    leader.publish(&Snapshot::new([route("a", "a1"), route("b", "b1")], as_of(1)));
    let mut worker = Worker::start(with_file(&leader, &path));
    worker.until_serving(&["a1", "b1"]).await;
    let second = Snapshot::new([held("a"), route("b", "b2")], as_of(2));
    leader.publish(&second);
    worker.until_serving(&["a1", "b2"]).await;
    let on_disk = stop_and_read(worker, &path).await;
    assert_eq!(on_disk.snapshot().root(), second.root());
    let settings = with_file(&leader, &path);
    let address = leader.stop().await;

    let mut worker = Worker::start(settings);
    let health = worker.until(|health| health.ready.is_ok()).await;
    assert_eq!(worker.serving(), ["a1", "b2"], "with the last good version of what is held");
    assert_eq!(health.applied, Some((second.root(), Source::Disk)));

    let leader = Leader::start_at(address).await;
    leader.publish(&Snapshot::new([route("a", "a3"), route("b", "b2")], as_of(3)));
    worker.until_serving(&["a3", "b2"]).await;
    assert_eq!(worker.applier.served().retained().count(), 0);
}

/// Of a leader that is one version newer.
#[tokio::test]
async fn objects_of_kinds_of_a_later_version_are_kept_and_nothing_else_waits_for_them() {
    let (_folder, path) = file();
    let leader = Leader::start().await;
    let later = |text: &'static str| {
        Object::new(Key::of_any_kind("shoe/default/x").unwrap(), Bytes::from_static(text.as_bytes()))
    };
    leader.publish(&snapshot(1, "one").edit([later("a")], &[], as_of(1)));
    let mut worker = Worker::start(with_file(&leader, &path));
    worker.until_serving(&["one"]).await;
    let second = snapshot(2, "two").edit([later("b")], &[], as_of(2));
    leader.publish(&second);
    worker.until_serving(&["two"]).await;
    let is_there = |applied: &Applied| applied.root == second.root();
    let member = leader.until_member(|member| member.applied.as_ref().is_some_and(is_there)).await;
    assert!(member.applied.unwrap().rejected.is_empty());
    assert_eq!(stop_and_read(worker, &path).await.snapshot().root(), second.root());
}

#[tokio::test]
async fn a_state_on_disk_that_is_current_is_not_sent_again() {
    let (_folder, path) = file();
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(with_file(&leader, &path));
    worker.until(|health| health.ready.is_ok()).await;
    stop_and_read(worker, &path).await;
    let mut settings = with_file(&leader, &path);
    settings.boot_wait = Duration::from_secs(3600);
    let mut worker = Worker::start(settings);
    let health = worker.until(|health| health.ready.is_ok()).await;
    assert_eq!(health.applied.map(|(_, source)| source), Some(Source::Leader));
    assert_eq!(leader.cluster.stats().states, 1);
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside() {
    let (_folder, path) = file();
    std::fs::write(&path, "not a database, but long enough to be read as one ".repeat(1000)).unwrap();
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(with_file(&leader, &path));
    worker.until(|health| health.ready.is_ok()).await;
    assert!(path.with_extension("redb.damaged").exists());
    let on_disk = stop_and_read(worker, &path).await;
    assert_eq!(on_disk.snapshot().root(), snapshot(1, "one").root());
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_stops_nothing() {
    let (folder, _) = file();
    // No such folder: as with a read-only or full disk, the file can't be made.
    let path = folder.path().join("missing").join("state.redb");
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(with_file(&leader, &path));
    let health = worker.until(|health| health.not_persisted.is_some()).await;
    assert!(health.ready.is_ok());
    assert!(health.persist_failures > 0);
    leader.publish(&snapshot(2, "two"));
    worker.until_serving(&["two"]).await;
}

fn write_and_read(path: &Path, served: &Served, revision: u64) -> Served {
    let (mut file, _) = StateFile::open(path);
    file.write(served, &as_of(revision)).unwrap();
    drop(file);
    StateFile::open(path).1.expect("it was written")
}

fn objects(served: &Served) -> Vec<Object> {
    served.iter().map(|(_, object)| object.clone()).collect()
}

#[test]
fn each_write_replaces_the_one_before() {
    let (_folder, path) = file();
    let mut served = Served::default();
    for (revision, objects_now) in [
        (1, vec![route("a", "a1"), route("b", "b1"), route("c", "c1")]),
        (2, vec![route("a", "a2"), held("b"), route("d", "d1")]),
        (3, vec![route("a", "a2"), held("b")]),
        (4, vec![held("b"), route("c", "c4")]),
        (5, vec![route("b", "b5")]),
    ] {
        served = served.advance(Snapshot::new(objects_now, as_of(revision)));
        let read = write_and_read(&path, &served, revision);
        assert_eq!(read.snapshot().root(), served.snapshot().root());
        assert_eq!(read.snapshot().as_of(), &as_of(revision));
        assert_eq!(objects(&read), objects(&served), "revision {revision}");
        assert_eq!(read.retained().count(), served.retained().count());
    }
}

#[test]
fn the_as_of_may_rise_alone() {
    let (_folder, path) = file();
    let served = Served::new(snapshot(1, "one"));
    write_and_read(&path, &served, 1);
    assert_eq!(write_and_read(&path, &served, 9).snapshot().as_of(), &as_of(9));
}

#[test]
fn the_last_contact_is_kept_in_milliseconds() {
    let (_folder, path) = file();
    let served = Served::new(snapshot(1, "one"));
    write_and_read(&path, &served, 1);
    let (mut file, _) = StateFile::open(&path);
    assert_eq!(file.contact(), None, "as a version before wrote it");
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    file.contacted(at + Duration::from_nanos(999));
    file.write(&served, &as_of(2)).unwrap();
    drop(file);
    write_and_read(&path, &served, 3);
    assert_eq!(StateFile::open(&path).0.contact(), Some(at), "also by a process that had none");
}

#[tokio::test]
async fn a_worker_without_a_leader_tells_the_age_of_what_it_has_on_disk() {
    let (_folder, path) = file();
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(with_file(&leader, &path));
    worker.until(|health| health.ready.is_ok()).await;
    stop_and_read(worker, &path).await;
    let settings = with_file(&leader, &path);
    leader.stop().await;
    let (mut file, served) = StateFile::open(&path);
    let (before, hour) = (file.contact().unwrap(), Duration::from_secs(3600));
    assert!(before.elapsed().unwrap() < hour, "it was just now");
    file.contacted(before - hour);
    file.write(&served.unwrap(), &as_of(1)).unwrap();
    drop(file);
    let mut worker = Worker::start(settings);
    let health = worker.until(|health| health.applied.is_some()).await;
    let age = health.age().unwrap();
    assert!(health.last_contact.is_none() && age >= hour && age < 2 * hour, "{age:?}");
}

#[test]
fn only_its_owner_may_read_it() {
    let (_folder, path) = file();
    write_and_read(&path, &Served::new(snapshot(1, "one")), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_in_use_is_left_alone() {
    let (_folder, path) = file();
    let (mut first, _) = StateFile::open(&path);
    first.write(&Served::new(snapshot(1, "one")), &as_of(1)).unwrap();
    let (mut second, served) = StateFile::open(&path);
    assert!(served.is_none());
    let refused = second.write(&Served::new(snapshot(2, "two")), &as_of(2));
    assert!(matches!(refused, Err(StateFileError::InUse { .. })), "{refused:?}");
    assert!(!path.with_extension("redb.damaged").exists());
    drop(first);
    let (_, served) = StateFile::open(&path);
    assert_eq!(served.unwrap().snapshot().root(), snapshot(1, "one").root());
}

#[test]
fn any_flipped_byte_is_noticed_or_harmless() {
    let (_folder, path) = file();
    let served = Served::new(Snapshot::new([route("a", "a1"), held("b")], as_of(1)));
    write_and_read(&path, &served, 1);
    let good = std::fs::read(&path).unwrap();
    // Some bytes everywhere, and all bytes where the objects are.
    let text = good.windows(2).position(|window| window == b"a1").unwrap();
    let places = (0..good.len()).step_by(49_999).chain(text.saturating_sub(20)..text + 4);
    for place in places {
        let mut bytes = good.clone();
        *bytes.get_mut(place).unwrap() ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        if let (_, Some(read)) = StateFile::open(&path) {
            assert_eq!(read.snapshot().root(), served.snapshot().root(), "byte {place}");
        }
    }
}

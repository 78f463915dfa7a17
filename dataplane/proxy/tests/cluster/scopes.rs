//! A worker that takes a part of the state.

use std::collections::BTreeMap;

use dataplane_core::served::Served;
use dataplane_core::subscription::Source;
use dataplane_proxy::worker::{LeaderContact, StateFile, WorkerSettings};
use dataplane_snapshot::{AsOf, Object, Scope, Snapshot, TENANT_LABEL, wire};
use prost::Message as _;
use redb::{Database, TableDefinition};

use super::leader::Leader;
use super::liar::{answering, ok};
use super::samples::{as_of, key, snapshot};
use super::worker::{Worker, settings};

fn route(tenant: &str, text: &str) -> Object {
    let route = wire::Payload::Route(wire::Route { name: text.into(), ..Default::default() });
    let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), tenant.to_owned())]);
    Object::encode(key(tenant), &wire::Content { labels, payload: Some(route) })
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn selecting(leader: &Leader, selector: &str) -> WorkerSettings {
    WorkerSettings { scope: scope(selector), ..settings(vec![leader.url()]) }
}

#[tokio::test]
async fn gets_its_routes_alone_and_their_changes() {
    let leader = Leader::start().await;
    leader.publish(&Snapshot::new([route("a", "a1"), route("b", "b1")], as_of(1)));
    let mut one = Worker::start(selecting(&leader, "tenants=a"));
    let mut two = Worker::start(selecting(&leader, "tenants=b"));
    let mut all = Worker::start(settings(vec![leader.url()]));
    one.until_serving(&["a1"]).await;
    two.until_serving(&["b1"]).await;
    all.until_serving(&["a1", "b1"]).await;
    leader.publish(&Snapshot::new([route("a", "a1"), route("b", "b2")], as_of(2)));
    two.until_serving(&["b2"]).await;
    all.until_serving(&["a1", "b2"]).await;
    assert_eq!(one.applier.service().swaps(), 1, "nothing of it changed");
    leader.publish(&Snapshot::new([route("a", "a3"), route("b", "b2")], as_of(3)));
    one.until_serving(&["a3"]).await;
}

#[tokio::test]
async fn a_leader_that_gives_more_than_was_asked_for_is_refused() {
    let more = snapshot(1, "of somebody");
    let body = wire::State::from_snapshot(&more).encode_to_vec();
    let plain = ok(Some(more.root()), body.len(), &body);
    let other = String::from_utf8_lossy(&plain).contains("200 OK\r\n");
    assert!(other);
    let wider = [b"HTTP/1.1 200 OK\r\nKomainu-Scope: tenants=a|b\r\n".as_slice(), &plain[17..]].concat();
    for answer in [plain, wider] {
        let (url, _leader) = answering(vec![answer]).await;
        let settings = WorkerSettings { scope: scope("tenants=a"), ..settings(vec![url.parse().unwrap()]) };
        let mut worker = Worker::start(settings);
        let is_told = |contact: &LeaderContact| matches!(contact, LeaderContact::Failing { reason, .. } if reason.contains("an older leader"));
        let health = worker
            .until(|health| {
                let refused = health.refused.as_ref();
                is_told(&health.leader) || refused.is_some_and(|(_, why)| why.contains("an older leader"))
            })
            .await;
        assert_eq!(health.applied, None);
    }
}

#[test]
fn a_state_file_of_others_routes_is_not_served_from() {
    for (before, now, is_served) in [
        ("", "tenants=a", false),
        ("tenants=b", "tenants=a", false),
        ("tenants=a|b", "tenants=a", false),
        ("tenants=a", "tenants=a", true),
        ("tenants=a", "tenants=a|b", true),
        ("tenants=a", "", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let (mut file, _) = StateFile::of_scope(&path, scope(before));
        file.write(&Served::new(snapshot(1, "one")), &as_of(1)).unwrap();
        drop(file);
        let (mut file, served) = StateFile::of_scope(&path, scope(now));
        assert_eq!(served.is_some(), is_served, "{before:?} {now:?}");
        if let Some(served) = served {
            // A narrower part says nothing about the writes beyond it.
            let expected = if before == now { as_of(1) } else { AsOf::default() };
            assert_eq!(*served.snapshot().as_of(), expected, "{before:?} {now:?}");
        }
        // What is written next is of the new scope, and all of it.
        let next = Served::new(snapshot(2, "two"));
        file.write(&next, &as_of(2)).unwrap();
        drop(file);
        let (_, served) = StateFile::of_scope(&path, scope(now));
        assert_eq!(served.map(|served| served.snapshot().root()), Some(next.snapshot().root()));
    }
}

/// A version before scopes writes everything, and leaves what it doesn't know.
#[test]
fn a_scope_that_was_not_written_with_the_state_is_not_believed() {
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (mut file, _) = StateFile::of_scope(&path, scope("tenants=a"));
    file.write(&Served::new(snapshot(1, "one")), &as_of(1)).unwrap();
    drop(file);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("scope-root", [7; 32].as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(StateFile::of_scope(&path, scope("tenants=a")).1.is_none());
    assert!(StateFile::of_scope(&path, scope("")).1.is_some());
}

/// After its selector was changed a worker waits for a leader, and then has the new part.
#[tokio::test]
async fn another_selector_begins_without_what_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let leader = Leader::start().await;
    leader.publish(&Snapshot::new([route("a", "a1"), route("b", "b1")], as_of(1)));
    let with_file =
        |selector: &str| WorkerSettings { state_file: Some(path.clone()), ..selecting(&leader, selector) };
    let mut before = Worker::start(with_file("tenants=a"));
    before.until_serving(&["a1"]).await;
    before.stop().await;
    let mut after = Worker::start(with_file("tenants=b"));
    after.until_serving(&["b1"]).await;
    let health = after.until(|health| health.ready.is_ok()).await;
    assert!(matches!(health.applied, Some((_, Source::Leader))), "{:?}", health.applied);
    assert_eq!(after.applier.service().swaps(), 1, "never what was of the other tenant");
}

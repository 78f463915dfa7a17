//! A worker that has a state is sent what differs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dataplane_snapshot::{Snapshot, wire};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::leader::Leader;
use super::liar::{answering, ok};
use super::samples::{as_of, route, snapshot};
use super::worker::{Worker, settings};

/// Many routes, one of which has another text by `revision`.
fn many(revision: u64) -> Snapshot {
    let routes = (0..500).map(|number| route(&format!("r{number:03}"), &format!("route {number:03}")));
    Snapshot::new(routes.chain([route("edited", &format!("edit {revision}"))]), as_of(revision))
}

#[tokio::test]
async fn one_edit_is_one_small_message() {
    let leader = Leader::start().await;
    leader.publish(&many(1));
    let mut worker = Worker::start(settings(vec![leader.url()]));
    for revision in 1..=5 {
        leader.publish(&many(revision));
        worker.until(|health| health.applied.is_some_and(|(root, _)| root == many(revision).root())).await;
    }
    let stats = leader.cluster.stats();
    assert_eq!(stats.states, 1, "{stats:?}");
    assert!(stats.changes <= 4 && stats.change_bytes <= stats.changes * 300, "{stats:?}");
}

#[tokio::test]
async fn a_worker_that_goes_to_another_leader_gets_what_differs_there() {
    let one = Leader::start().await;
    one.publish(&many(1));
    let mut worker = Worker::start(settings(vec![one.url()]));
    worker.until(|health| health.ready.is_ok()).await;
    let address = one.stop().await;
    let other = Leader::start_at(address).await;
    other.publish(&many(2));
    worker.until(|health| health.applied.is_some_and(|(root, _)| root == many(2).root())).await;
    let stats = other.cluster.stats();
    assert_eq!((stats.states, stats.changes, stats.manifests), (0, 0, 1), "{stats:?}");
    assert!(stats.manifest_bytes < 300, "{stats:?}");
    other.publish(&many(3));
    worker.until(|health| health.applied.is_some_and(|(root, _)| root == many(3).root())).await;
    assert_eq!(other.cluster.stats().changes, 1, "from then on its state is known");
}

#[tokio::test]
async fn a_worker_that_starts_from_disk_is_sent_what_changed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let leader = Leader::start().await;
    leader.publish(&many(1));
    let mut settings = settings(vec![leader.url()]);
    settings.state_file = Some(folder.path().join("state"));
    let mut worker = Worker::start(settings.clone());
    worker.until(|health| health.ready.is_ok()).await;
    worker.stop().await;
    leader.publish(&many(2));
    let mut worker = Worker::start(settings);
    worker.until(|health| health.applied.is_some_and(|(root, _)| root == many(2).root())).await;
    let stats = leader.cluster.stats();
    assert_eq!((stats.states, stats.changes), (1, 1), "{stats:?}");
}

/// A leader whose changes lead elsewhere than they promise, and who has the whole as well.
#[tokio::test]
async fn a_change_that_leads_elsewhere_is_not_used_and_the_whole_is_fetched() {
    let honest = Leader::start().await;
    honest.publish(&snapshot(1, "good"));
    let next = snapshot(2, "next");
    let change = wire::State::from_base(snapshot(1, "good").root(), &next, &[route("r", "bad one")], [])
        .encode_to_vec();
    let whole = wire::State::from_snapshot(&next).encode_to_vec();
    let answers = [change, whole].map(|body| ok(Some(next.root()), body.len(), &body));
    let (url, _liar) = answering(answers.into()).await;
    let mut settings = settings(vec![honest.url(), url.parse().unwrap()]);
    settings.hold = Duration::from_secs(1);
    let mut worker = Worker::start(settings);
    worker.until_serving(&["good"]).await;
    honest.stop().await;
    worker.until_serving(&["next"]).await;
}

/// Behind a line on which no manifest gets through: it takes them, and never answers.
async fn deaf_to_manifests(address: SocketAddr, next: Snapshot) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).await.unwrap();
    let manifests = Arc::new(AtomicUsize::new(0));
    let counted = manifests.clone();
    tokio::spawn(async move {
        let (mut open, whole) = (Vec::new(), wire::State::from_snapshot(&next).encode_to_vec());
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(head.split_at(read).0).into_owned();
            if head.starts_with("POST /api/cluster/state") {
                counted.fetch_add(1, Ordering::Relaxed);
                open.push(stream);
            } else if head.contains("komainu-base") {
                let _ = stream.write_all(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n").await;
            } else {
                let _ = stream.write_all(&ok(Some(next.root()), whole.len(), &whole)).await;
            }
        }
    });
    manifests
}

#[tokio::test]
async fn a_worker_whose_manifests_never_get_through_asks_for_the_whole() {
    let honest = Leader::start().await;
    honest.publish(&snapshot(1, "good"));
    let mut settings = settings(vec![honest.url()]);
    settings.answer_timeout = Duration::from_millis(200);
    let mut worker = Worker::start(settings);
    worker.until(|health| health.ready.is_ok()).await;
    let manifests = deaf_to_manifests(honest.stop().await, snapshot(2, "next")).await;
    worker.until_serving(&["next"]).await;
    assert_eq!(manifests.load(Ordering::Relaxed), 2);
}

use dataplane_core::subscription::Source;
use dataplane_proxy::worker::LeaderContact;
use dataplane_snapshot::Snapshot;
use operator_core::programmed::Applied;

use super::leader::Leader;
use super::samples::{as_of, held, key, route, snapshot};
use super::worker::{Worker, settings};

#[tokio::test]
async fn what_is_published_is_applied_and_acknowledged() {
    let leader = Leader::start().await;
    let mut worker = Worker::start(settings(vec![leader.url()]));
    for (revision, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let state = snapshot(revision, text);
        leader.publish(&state);
        worker.until_serving(&[text]).await;
        let is_there = |root| move |applied: &Applied| applied.root == root;
        let member =
            leader.until_member(|member| member.applied.as_ref().is_some_and(is_there(state.root()))).await;
        assert_eq!(member.applied.unwrap().as_of, as_of(revision));
        assert_eq!(member.identity.name, "worker-1");
    }
    let health = worker.until(|health| health.ready.is_ok()).await;
    assert_eq!(health.leader, LeaderContact::Following(leader.url()));
    worker.stop().await;
    assert!(leader.cluster.members().is_empty(), "a worker that ends says so");
}

#[tokio::test]
async fn without_a_change_the_hold_ends_with_not_modified() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(settings(vec![leader.url()]));
    let first = worker.until(|health| health.ready.is_ok()).await.last_contact;
    worker.until(|health| health.last_contact > first).await;
    let stats = leader.cluster.stats();
    assert_eq!(stats.states, 1, "{stats:?}");
    assert!(stats.not_modified >= 1, "{stats:?}");
    assert_eq!(worker.applier.service().swaps(), 1);
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut wrong = settings(vec![leader.url()]);
    wrong.client_secret = "another".into();
    let mut worker = Worker::start(wrong);
    let is_told = |contact: &LeaderContact| matches!(contact, LeaderContact::Failing { reason, .. } if reason.contains("client id and secret"));
    let health = worker.until(|health| is_told(&health.leader)).await;
    assert!(health.ready.is_err());
    assert!(leader.cluster.stats().unauthorized > 0);
    assert!(leader.cluster.members().is_empty());
}

#[tokio::test]
async fn a_restarted_leader_is_found_again_and_told_everything() {
    let leader = Leader::start().await;
    let state = snapshot(1, "one");
    leader.publish(&state);
    let mut worker = Worker::start(settings(vec![leader.url()]));
    worker.until_serving(&["one"]).await;
    let address = leader.stop().await;
    worker.until(|health| matches!(health.leader, LeaderContact::Failing { .. })).await;
    assert_eq!(worker.serving(), ["one"]);
    let leader = Leader::start_at(address).await;
    leader.publish(&state);
    let root = state.root();
    leader.until_member(|member| member.applied.as_ref().is_some_and(|applied| applied.root == root)).await;
    assert_eq!(worker.applier.service().swaps(), 1, "equal content is neither sent nor applied again");
    assert_eq!(leader.cluster.stats().states, 0);
    leader.publish(&snapshot(2, "two"));
    worker.until_serving(&["two"]).await;
}

#[tokio::test]
async fn another_leader_is_taken_when_one_fails() {
    let leaders = [Leader::start().await, Leader::start().await];
    for leader in &leaders {
        leader.publish(&snapshot(1, "one"));
    }
    let mut worker = Worker::start(settings(leaders.iter().map(Leader::url).collect()));
    let health = worker.until(|health| matches!(health.leader, LeaderContact::Following(_))).await;
    let (mut gone, mut left) = (None, None);
    for leader in leaders {
        if health.leader == LeaderContact::Following(leader.url()) {
            gone = Some(leader);
        } else {
            left = Some(leader);
        }
    }
    gone.unwrap().stop().await;
    left.as_ref().unwrap().publish(&snapshot(2, "two"));
    worker.until_serving(&["two"]).await;
}

#[tokio::test]
async fn a_leader_that_is_behind_is_refused() {
    let ahead = Leader::start().await;
    ahead.publish(&snapshot(5, "new"));
    let mut worker = Worker::start(settings(vec![ahead.url()]));
    worker.until_serving(&["new"]).await;
    let address = ahead.stop().await;
    let behind = Leader::start_at(address).await;
    behind.publish(&snapshot(4, "old"));
    worker.until(|health| matches!(health.leader, LeaderContact::Stale(_))).await;
    assert_eq!(worker.serving(), ["new"]);
    behind.publish(&snapshot(6, "newest"));
    worker.until_serving(&["newest"]).await;
}

#[tokio::test]
async fn one_bad_object_stops_no_other() {
    let leader = Leader::start().await;
    leader.publish(&Snapshot::new([route("a", "a1"), route("b", "b1"), route("c", "c1")], as_of(1)));
    let mut worker = Worker::start(settings(vec![leader.url()]));
    worker.until_serving(&["a1", "b1", "c1"]).await;
    let next = [route("a", "a2"), route("b", "bad"), held("c"), route("d", "bad")];
    leader.publish(&Snapshot::new(next, as_of(2)));
    worker.until_serving(&["a2", "b1", "c1"]).await;
    let member = leader
        .until_member(|member| member.applied.as_ref().is_some_and(|applied| applied.as_of == as_of(2)))
        .await;
    let rejected: Vec<_> = member.applied.unwrap().rejected.into_iter().collect();
    let reason = "it is bad".to_owned();
    assert_eq!(rejected, [(key("b"), reason.clone()), (key("d"), reason)]);
}

#[tokio::test]
async fn a_fault_of_the_compile_step_leaves_what_serves_and_is_told() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(settings(vec![leader.url()]));
    worker.until_serving(&["one"]).await;
    leader.publish(&snapshot(2, "panic"));
    let member = leader.until_member(|member| member.refused.is_some()).await;
    assert!(member.refused.unwrap().contains("a fault in the compile step"));
    assert_eq!(member.applied.unwrap().root, snapshot(1, "one").root());
    assert_eq!(worker.serving(), ["one"]);
    leader.publish(&snapshot(3, "three"));
    worker.until_serving(&["three"]).await;
    leader.until_member(|member| member.refused.is_none()).await;
}

#[tokio::test]
async fn a_worker_with_nothing_says_why_it_is_not_ready() {
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut settings = settings(vec![format!("http://{free}").parse().unwrap()]);
    settings.boot_wait = std::time::Duration::from_millis(100);
    let mut worker = Worker::start(settings);
    let reason = "no leader has given a state yet and none is on disk";
    worker.until(|health| health.ready.as_ref().is_err_and(|why| why == reason)).await;
    let leader = Leader::start_at(free).await;
    leader.publish(&snapshot(1, "one"));
    let health = worker.until(|health| health.ready.is_ok()).await;
    assert_eq!(health.applied, Some((snapshot(1, "one").root(), Source::Leader)));
}

#[tokio::test]
async fn a_large_state_arrives_whole_at_many() {
    let leader = Leader::start().await;
    let large = (0..200).map(|number| route(&format!("r{number:04}"), &"x".repeat(5000)));
    let large = Snapshot::new(large, as_of(1));
    leader.publish(&large);
    let start = |number| {
        let mut settings = settings(vec![leader.url()]);
        settings.name = format!("worker-{number}");
        Worker::start(settings)
    };
    let mut workers: Vec<_> = (0..12).map(start).collect();
    for worker in &mut workers {
        let health = worker.until(|health| health.ready.is_ok()).await;
        assert_eq!(health.applied.map(|(root, _)| root), Some(large.root()));
    }
    assert_eq!(leader.cluster.stats().states, 12);
    assert_eq!(leader.cluster.members().len(), 12);
}

#[tokio::test]
async fn two_hundred_workers_at_once_all_get_the_state() {
    const WORKERS: usize = 200;
    let leader = Leader::start().await;
    let state = (0..20).map(|number| route(&format!("r{number:02}"), &"x".repeat(1000)));
    let state = Snapshot::new(state, as_of(1));
    leader.publish(&state);
    let start = |number| {
        let mut settings = settings(vec![leader.url()]);
        settings.name = format!("worker-{number}");
        Worker::start(settings)
    };
    let mut workers: Vec<_> = (0..WORKERS).map(start).collect();
    for worker in &mut workers {
        let health = worker.until(|health| health.ready.is_ok()).await;
        assert_eq!(health.applied.map(|(root, _)| root), Some(state.root()));
    }
    assert_eq!(leader.cluster.stats().states, WORKERS as u64, "each once");
    leader.publish(&snapshot(2, "two"));
    for worker in &mut workers {
        worker.until_serving(&["two"]).await;
    }
    assert_eq!(leader.cluster.stats().states, WORKERS as u64, "and then what changed");
}

#[tokio::test]
async fn an_acknowledgement_with_very_many_rejections_arrives() {
    let leader = Leader::start().await;
    let bad = (0..20_000).map(|number| route(&format!("route-{number:05}"), "bad"));
    let state = Snapshot::new(bad.chain([route("good", "good")]), as_of(1));
    leader.publish(&state);
    let mut worker = Worker::start(settings(vec![leader.url()]));
    let health = worker.until(|health| health.ready.is_ok()).await;
    assert_eq!(health.rejected, 20_000);
    let member = leader.until_member(|member| member.applied.is_some()).await;
    assert_eq!(member.refused, None, "each was refused by itself, not the whole state");
    let Applied { rejected, more_rejected, .. } = member.applied.unwrap();
    assert!(more_rejected, "the leader knows that others are rejected, too");
    assert_eq!(rejected[&key("route-00000")], "it is bad");
    let more = format!("and {} more objects were rejected", 20_000 - rejected.len());
    assert!(rejected.values().any(|reason| reason.contains(&more)), "{}", rejected.len());
}

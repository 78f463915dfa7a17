use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use dataplane_core::report::Levels;
use dataplane_proxy::worker::{LeaderContact, WorkerSettings};
use dataplane_snapshot::Key;
use dataplane_snapshot::wire::{Node, TargetLevel, TargetStanding, Usage};
use operator_server::cluster::Cluster;
use tokio::net::TcpListener;

use super::leader::{Leader, PATIENCE};
use super::samples::snapshot;
use super::worker::{Worker, settings};

/// What the worker sees now.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(&'static str, bool)>>>);

impl Seen {
    fn set(&self, targets: &[(&'static str, bool)]) {
        *self.0.lock().unwrap() = targets.to_vec();
    }

    fn told_by(&self, settings: WorkerSettings) -> WorkerSettings {
        let seen = self.clone();
        let level = |(target, is_in): &(&str, bool)| TargetLevel {
            backend: "backend/default/users".to_owned(),
            target: (*target).to_owned(),
            standing: if *is_in { TargetStanding::In } else { TargetStanding::Out }.into(),
            ..TargetLevel::default()
        };
        let look = move || {
            let targets = seen.0.lock().unwrap().iter().map(level).collect();
            Levels::new(Node::default(), Usage::default(), targets)
        };
        WorkerSettings { look: Some(Arc::new(look)), ..settings }
    }
}

fn known(cluster: &Cluster) -> Vec<(String, Option<bool>)> {
    let key: Key = "backend/default/users".parse().unwrap();
    let health = cluster.backend_health(&key);
    health.targets.iter().map(|target| (target.target.to_string(), target.is_ready())).collect()
}

/// Reports tell nobody when they come: they are looked for.
async fn until_known(leader: &Leader, expected: &[(&str, bool)]) {
    let expected: Vec<_> = expected.iter().map(|(id, ready)| ((*id).to_owned(), Some(*ready))).collect();
    let wait = async {
        while known(&leader.cluster) != expected {
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await;
    assert!(found.is_ok(), "{:?} instead of {expected:?}", known(&leader.cluster));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_sees_its_leader_knows_also_a_restarted_one() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let seen = Seen::default();
    seen.set(&[("a", true), ("b", false)]);
    let mut worker = Worker::start(seen.told_by(settings(vec![leader.url()])));
    until_known(&leader, &[("a", true), ("b", false)]).await;
    seen.set(&[("b", true), ("c", true)]);
    until_known(&leader, &[("b", true), ("c", true)]).await;
    let address = leader.stop().await;
    worker.until(|health| matches!(health.leader, LeaderContact::Failing { .. })).await;
    let leader = Leader::start_at(address).await;
    leader.publish(&snapshot(1, "one"));
    until_known(&leader, &[("b", true), ("c", true)]).await;
    worker.stop().await;
    assert_eq!(known(&leader.cluster), [], "a worker that ends has no say any more");
}

/// Answers everything but reports as the leader behind it.
async fn older_leader(cluster: &Arc<Cluster>) -> String {
    let reports = any(|| async { StatusCode::NOT_FOUND });
    let inner = cluster.router();
    let router = Router::new().route("/api/cluster/report", reports).fallback_service(inner);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_leader_that_knows_no_reports_is_followed_all_the_same() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let url = older_leader(&leader.cluster).await.parse().unwrap();
    let mut worker = Worker::start(Seen::default().told_by(settings(vec![url])));
    worker.until_serving(&["one"]).await;
    leader.publish(&snapshot(2, "two"));
    worker.until_serving(&["two"]).await;
    assert_eq!(leader.cluster.stats().reports, 0);
    let members = leader.cluster.members();
    assert_eq!(members.iter().map(|member| member.identity.name.as_str()).collect::<Vec<_>>(), ["worker-1"]);
}

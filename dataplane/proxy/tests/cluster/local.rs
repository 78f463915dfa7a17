//! The worker in the leader's own process.

use std::sync::Arc;

use dataplane_proxy::worker::{Applier, LeaderContact, Report, Service, WorkerHealth, follow};
use dataplane_snapshot::Snapshot;
use tokio::sync::{mpsc, watch};

use super::samples::{as_of, route, snapshot};
use super::worker::Names;

pub(crate) struct Local<S: Service = Names> {
    pub(crate) applier: Arc<Applier<S>>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) health: watch::Receiver<WorkerHealth>,
    _shutdown: watch::Sender<bool>,
}

impl Local {
    fn start() -> Self {
        Self::start_with(Names::default())
    }
}

impl<S: Service> Local<S> {
    pub(crate) fn start_with(service: S) -> Self {
        let applier = Arc::new(Applier::new(service));
        let (snapshots, receiver) = watch::channel(None);
        let (sender, reports) = mpsc::unbounded_channel();
        let (health_sender, health) = watch::channel(WorkerHealth::default());
        let (shutdown, is_shutdown) = watch::channel(false);
        let report = move |report| drop(sender.send(report));
        tokio::spawn(follow(receiver, applier.clone(), health_sender, report, is_shutdown));
        Self { applier, snapshots, reports, health, _shutdown: shutdown }
    }

    pub(crate) async fn publish(&mut self, snapshot: &Snapshot) -> Report {
        self.snapshots.send_replace(Some(Arc::new(snapshot.clone())));
        self.reports.recv().await.unwrap()
    }
}

#[tokio::test]
async fn each_snapshot_is_applied_and_reported() {
    let mut local = Local::start();
    local.health.wait_for(|health| health.leader == LeaderContact::Local).await.unwrap();
    assert!(local.health.borrow().ready.is_err(), "nothing is served yet");
    let first = Snapshot::new([route("a", "a1"), route("b", "bad")], as_of(1));
    let report = local.publish(&first).await;
    assert_eq!((report.root, report.as_of), (first.root(), as_of(1)));
    assert_eq!(report.rejected.len(), 1);
    assert_eq!(local.applier.service().serving(), ["a1"]);
    assert!(local.health.borrow().ready.is_ok());

    let report = local.publish(&first.with_as_of(as_of(2))).await;
    assert_eq!((report.root, report.as_of), (first.root(), as_of(2)));
    assert_eq!(report.rejected.len(), 1, "what was rejected still is");
    assert_eq!(local.applier.service().swaps(), 1, "equal content isn't applied again");
}

#[tokio::test]
async fn a_refused_snapshot_leaves_the_one_before() {
    let mut local = Local::start();
    local.publish(&snapshot(1, "one")).await;
    let report = local.publish(&snapshot(2, "panic")).await;
    assert_eq!(report.root, snapshot(1, "one").root());
    assert!(report.refused.unwrap().contains("a fault in the compile step"));
    assert_eq!(local.applier.service().serving(), ["one"]);
    let report = local.publish(&snapshot(3, "three")).await;
    assert_eq!((report.root, report.refused), (snapshot(3, "three").root(), None));
    assert_eq!(local.health.borrow().refused, None);
}

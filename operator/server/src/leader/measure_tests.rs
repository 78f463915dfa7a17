use std::collections::BTreeMap;

use dataplane_snapshot::{Epoch, Kind, SourceAsOf};
use operator_core::programmed::{Applied, Share};
use operator_core::{Owner, SourceView};
use prometheus_client::registry::Registry;

use super::*;
use crate::leader::Leader;

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

async fn until_shown(registry: &Registry, line: &str) {
    while !shown(registry).lines().any(|shown| shown == line) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_is_measured_when_the_last_worker_has_it() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let epoch = Epoch { id: "store".to_owned(), created_at: 1 };
    let as_of = SourceAsOf { epoch, revisions: BTreeMap::from([(Kind::Backend, 1)]) };
    let view = SourceView { owner: Owner::Store, as_of, objects: operator_core::ObservedMap::new() };
    let (_views, source) = watch::channel(Some(Arc::new(view)));
    let leader = Leader::start(Vec::new(), vec![source], metrics.clone());
    let worker =
        |ack: Option<Applied>| Counted { name: "one".to_owned(), ack, lost: false, share: Share::Whole };
    let (workers, counted) = watch::channel(Arc::new(vec![worker(None)]));
    measure(leader.planned.clone(), counted, &metrics);
    until_shown(&registry, "leader_propagating_changes 1").await;
    assert!(shown(&registry).contains("leader_propagation_seconds_count 0"));
    let snapshot = leader.snapshot.borrow().clone().unwrap();
    let applied = Applied {
        root: snapshot.root(),
        as_of: snapshot.as_of().clone(),
        rejected: BTreeMap::new(),
        more_rejected: false,
    };
    workers.send_replace(Arc::new(vec![worker(Some(applied))]));
    until_shown(&registry, "leader_propagation_seconds_count 1").await;
    until_shown(&registry, "leader_propagating_changes 0").await;
}

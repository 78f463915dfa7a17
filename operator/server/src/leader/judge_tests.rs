use std::collections::BTreeMap;

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::programmed::{Applied, Programmed, Share};
use operator_core::{Observed, Origin, Owner, SourceView, Spec};

use super::*;
use crate::leader::{Leader, Metrics};

fn view(revision: u64, root: &str) -> Option<Arc<SourceView>> {
    let as_of = SourceAsOf {
        epoch: Epoch { id: "store".to_owned(), created_at: 1 },
        revisions: BTreeMap::from([(Kind::Backend, revision)]),
    };
    let target = serde_json::json!({ "root": root, "targets": [{ "hostname": "127.0.0.1", "port": 8080 }] });
    let observed = Observed {
        key: key(),
        spec: Spec::Backend(Arc::new(serde_json::from_value(target).unwrap())),
        labels: BTreeMap::new(),
        generation: i64::try_from(revision).unwrap(),
        uid: String::new(),
        origin: Origin::Store,
    };
    let objects = [(key(), Arc::new(observed))].into_iter().collect();
    Some(Arc::new(SourceView { owner: Owner::Store, as_of, objects }))
}

fn key() -> Key {
    Key::new(Kind::Backend, "default", "users")
}

async fn until(verdicts: &mut watch::Receiver<Verdicts>, generation: i64, programmed: Programmed) {
    let fits = |verdicts: &Verdicts| {
        verdicts.get(&key()).is_some_and(|verdict| {
            verdict.status.generation == generation && verdict.programmed == programmed
        })
    };
    verdicts.wait_for(fits).await.unwrap();
}

#[tokio::test]
async fn follows_plans_and_workers() {
    let (views, source) = watch::channel(view(1, "/v1"));
    let leader = Leader::start(Vec::new(), vec![source], Metrics::default());
    let (workers, counted) = watch::channel(Arc::default());
    let mut verdicts = judge(leader.planned.clone(), counted);
    until(&mut verdicts, 1, Programmed::NoWorkers).await;

    let set = |ack: Option<Applied>| {
        let worker = Counted { name: "one".to_owned(), ack, lost: false, share: Share::Whole };
        workers.send_replace(Arc::new(vec![worker]));
    };
    let applied = || {
        let snapshot = leader.snapshot.borrow().clone().unwrap();
        Applied {
            root: snapshot.root(),
            as_of: snapshot.as_of().clone(),
            rejected: BTreeMap::new(),
            more_rejected: false,
        }
    };
    set(None);
    until(&mut verdicts, 1, Programmed::Propagating { applied: 0, counted: 1 }).await;
    set(Some(applied()));
    until(&mut verdicts, 1, Programmed::True).await;

    views.send_replace(view(2, "/v2"));
    until(&mut verdicts, 2, Programmed::Propagating { applied: 0, counted: 1 }).await;
    set(Some(applied()));
    until(&mut verdicts, 2, Programmed::True).await;
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane_snapshot::{AsOf, Epoch, Key, Kind, Object, Root, Snapshot, SourceAsOf, wire};

const ROUTES: u64 = 20;

/// What was written, and when. All see the same, some of them later.
#[derive(Clone, Default)]
pub(crate) struct Source(Arc<Mutex<Vec<Write>>>);

struct Write {
    at: Duration,
    snapshot: Arc<Snapshot>,
}

impl Source {
    /// Edits one route.
    pub(crate) fn write(&self, now: Duration) {
        let mut writes = self.0.lock().unwrap();
        let revision = writes.len() as u64 + 1;
        writes.push(Write { at: now, snapshot: Arc::new(snapshot(revision)) });
    }

    /// What there was at `moment`.
    pub(crate) fn at(&self, moment: Duration) -> Option<Arc<Snapshot>> {
        let writes = self.0.lock().unwrap();
        writes.iter().rev().find(|write| write.at <= moment).map(|write| write.snapshot.clone())
    }

    pub(crate) fn newest(&self) -> Option<Arc<Snapshot>> {
        self.at(Duration::MAX)
    }

    /// The snapshot of that root and its place in the order of all, if there ever was one.
    pub(crate) fn find(&self, root: Root) -> Option<(usize, Arc<Snapshot>)> {
        let writes = self.0.lock().unwrap();
        let mut places = writes.iter().enumerate();
        places
            .find(|(_, write)| write.snapshot.root() == root)
            .map(|(place, write)| (place, write.snapshot.clone()))
    }
}

/// Each write changes one route, in their order.
fn snapshot(revision: u64) -> Snapshot {
    let routes = (0..ROUTES.min(revision)).map(|number| {
        let written = revision - (revision + ROUTES - 1 - number) % ROUTES;
        let route = wire::Route { name: format!("written by {written}"), ..Default::default() };
        let key = Key::new(Kind::Route, "default", format!("r{number}"));
        Object::encode(key, &wire::Payload::Route(route).into())
    });
    let epoch = Epoch { id: "e".into(), created_at: 1 };
    let revisions = BTreeMap::from([(Kind::Route, revision)]);
    Snapshot::new(routes, AsOf(BTreeMap::from([("files".into(), SourceAsOf { epoch, revisions })])))
}

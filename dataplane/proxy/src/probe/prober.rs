use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use dataplane_core::Router;
use dataplane_core::health::Probe;
use dataplane_snapshot::Key;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Surroundings;
use super::watch::Watch;

/// Watches all that the router of the moment says.
pub(crate) struct Prober {
    around: Rc<Surroundings>,
    /// By backend and target; without a target: for all of them.
    watches: BTreeMap<(Key, Option<Box<str>>), Watch>,
}

impl Prober {
    pub(crate) fn new(around: Surroundings) -> Self {
        Self { around: Rc::new(around), watches: BTreeMap::new() }
    }

    /// Follows each router that comes, until their sender is gone.
    pub(crate) async fn run(mut self, mut routers: mpsc::UnboundedReceiver<Arc<Router>>) {
        while let Some(mut router) = routers.recv().await {
            while let Ok(newer) = routers.try_recv() {
                router = newer;
            }
            self.follow(&router);
        }
    }

    /// What stays the same keeps its schedule and what is known about it.
    fn follow(&mut self, router: &Router) {
        let probes: BTreeMap<_, _> =
            router.probes().map(|probe| ((probe.backend.clone(), probe.target.clone()), probe)).collect();
        self.watches.retain(|subject, watch| {
            let stays = probes.contains_key(subject);
            if !stays {
                watch.forget();
            }
            stays
        });
        let targets: BTreeSet<_> = probes.values().flat_map(targets).collect();
        self.around.board.keep(&targets);
        self.around.connectors.sweep(Instant::now());
        for (subject, probe) in probes {
            let previous = self.watches.get(&subject);
            if !previous.is_some_and(|watch| watch.goes_on(&probe)) {
                let watch = Watch::start(probe, previous, &self.around);
                self.watches.insert(subject, watch);
            }
        }
    }
}

fn targets(probe: &Probe) -> impl Iterator<Item = (Key, Box<str>)> {
    probe.states.iter().map(|(id, _)| (probe.backend.clone(), id.clone()))
}

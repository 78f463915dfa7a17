//! World -> snapshot and statuses, in named steps: `validate` (spec -> valid model), `resolve` (what references lead to),
//! `translate` (valid model -> wire objects), `overlap` (routes that shadow each other).

mod certificates;
mod findings;
mod listeners;
mod model;
mod objects;
mod overlap;
mod planned;
mod resolve;
mod secrets;
mod translate;
mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Key, Object, Snapshot};

use crate::{ObjectStatus, Observed, Statuses, World};
use certificates::Certificates;
use listeners::Listeners;
use planned::{Pass, Planned, changes, pass};
use resolve::{Resolver, restood};
use secrets::Secrets;

pub use listeners::check_listeners;

/// What the whole world comes to.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Held objects included, as of the world that was planned.
    pub snapshot: Snapshot,
    pub statuses: Statuses,
    /// Objects that lost their key to another source; [`Self::statuses`] has the winner's.
    pub conflicts: Vec<Arc<ObjectStatus>>,
}

/// What a pass leaves for the next one: its results, to be used again where the inputs are unchanged.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    snapshot: Snapshot,
    listeners: Listeners,
    certificates: Pass,
    secrets: BTreeMap<Key, Arc<Observed>>,
    backends: Pass,
    routes: Pass,
    /// The statuses of shadowed routes, which depend on other routes too.
    shadowed: BTreeMap<Key, Arc<ObjectStatus>>,
}

/// One full pass. The result depends on `world` alone; `memo`, from the pass before or empty, only saves work.
///
/// A bad object stops no other: it is held, and its status says why.
pub fn plan(world: &World, memo: &Memo) -> (Plan, Memo) {
    let certificates = pass(&world.certificates, &memo.certificates, |_| true, certificates::certificate);
    let named = Certificates(&certificates);
    let listeners = Listeners::plan(&world.listeners, named, &memo.listeners);

    let secrets = Secrets(&world.secrets);
    let mut restood = restood(&memo.certificates, &certificates);
    restood.extend(secrets.changed(&memo.secrets));
    let is_same = |backend: &Planned| backend.references.iter().all(|named| !restood.contains(named));
    let backends = pass(&world.backends, &memo.backends, is_same, |key, backend| {
        objects::backend(key, backend, named, secrets)
    });

    restood.extend(resolve::restood(&memo.backends, &backends));
    let same_listeners = Arc::ptr_eq(&listeners.names, &memo.listeners.names);
    let is_same =
        |route: &Planned| same_listeners && route.references.iter().all(|named| !restood.contains(named));
    let resolver =
        Resolver { backends: &backends, certificates: named, secrets, listeners: &listeners.names };
    let routes =
        pass(&world.routes, &memo.routes, is_same, |key, route| objects::route(key, route, &resolver));

    let shadowed = shadowed(&routes, &listeners, memo);
    let statuses = certificates
        .iter()
        .chain(&backends)
        .chain(&routes)
        .map(|planned| {
            (planned.key().clone(), shadowed.get(planned.key()).unwrap_or(&planned.status).clone())
        })
        .collect();
    let conflicts = world.conflicts.iter().map(|claim| Arc::new(objects::conflict(claim))).collect();
    let snapshot = snapshot(world, memo, &listeners, [&certificates, &backends, &routes]);
    let secrets = world.secrets.clone();
    let memo =
        Memo { snapshot: snapshot.clone(), listeners, certificates, secrets, backends, routes, shadowed };
    (Plan { snapshot, statuses, conflicts }, memo)
}

fn shadowed(routes: &Pass, listeners: &Listeners, memo: &Memo) -> BTreeMap<Key, Arc<ObjectStatus>> {
    let with_warnings = |(index, warnings)| {
        let planned: &Arc<Planned> = routes.get(index)?;
        let status = ObjectStatus { warnings, ..ObjectStatus::clone(&planned.status) };
        let earlier = memo.shadowed.get(planned.key()).filter(|earlier| ***earlier == status);
        Some((planned.key().clone(), earlier.cloned().unwrap_or_else(|| Arc::new(status))))
    };
    overlap::warnings(routes, &listeners.names).into_iter().filter_map(with_warnings).collect()
}

/// The memo's snapshot, edited by what is another result now.
fn snapshot(world: &World, memo: &Memo, listeners: &Listeners, passes: [&Pass; 3]) -> Snapshot {
    let mut edit = Edit::default();
    edit.replace(&memo.listeners.objects, &listeners.objects);
    for (earlier, next) in [&memo.certificates, &memo.backends, &memo.routes].into_iter().zip(passes) {
        for (old, new) in changes(earlier, next) {
            edit.replace(old.map_or(&[], |old| &old.objects), new.map_or(&[], |new| &new.objects));
        }
    }
    let as_of = world.as_of.clone();
    if edit.upserts.is_empty() && edit.removals.is_empty() {
        return memo.snapshot.with_as_of(as_of);
    }
    memo.snapshot.edit(edit.upserts, &edit.removals, as_of)
}

#[derive(Default)]
struct Edit {
    upserts: Vec<Object>,
    removals: Vec<Key>,
}

impl Edit {
    fn replace(&mut self, old: &[Object], new: &[Object]) {
        let gone = old.iter().map(Object::key).filter(|key| new.iter().all(|object| object.key() != *key));
        self.removals.extend(gone.cloned());
        self.upserts.extend(new.iter().filter(|object| !old.contains(object)).cloned());
    }
}

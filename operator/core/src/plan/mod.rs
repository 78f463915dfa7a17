//! World -> snapshot and statuses, in named steps: `validate` (spec -> valid model), `resolve` (what references lead to),
//! `translate` (valid model -> wire objects), `overlap` (routes that shadow each other).

mod certificates;
mod findings;
mod grants;
mod listeners;
mod model;
mod objects;
mod overlap;
mod planned;
mod pods;
mod quotas;
mod resolve;
mod secrets;
mod services;
mod translate;
mod users;
mod validate;

use std::collections::BTreeSet;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, SharedMap, Snapshot};

use crate::{ObjectStatus, Statuses, World};
use certificates::Certificates;
use grants::Grants;
use listeners::Listeners;
use overlap::Claims;
use planned::{Change, Pass, pass};
use resolve::{Nameable, Resolver, restood};
use secrets::Secrets;
use services::Services;
use users::Users;

pub use listeners::check_listeners;

/// What the whole world comes to.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Held objects included, as of the world that was planned.
    pub snapshot: Snapshot,
    pub statuses: Statuses,
    /// How many of [`Self::statuses`] are of refused objects.
    pub refused: usize,
    /// Objects that lost their key to another source; [`Self::statuses`] has the winner's.
    pub conflicts: Vec<Arc<ObjectStatus>>,
}

/// What a pass leaves for the next one: its inputs and results, to be used again where the inputs are unchanged.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    world: World,
    snapshot: Snapshot,
    listeners: Listeners,
    certificates: Pass,
    backends: Pass,
    routes: Pass,
    users: Users,
    claims: Claims,
    /// The statuses of shadowed routes, which depend on other routes too.
    shadowed: SharedMap<Key, Arc<ObjectStatus>>,
    statuses: Statuses,
    refused: usize,
}

/// One full pass. The result depends on `world` alone; `memo`, from the pass before or empty, only saves work: with it a pass
/// looks at what differs from the world before, and at what depends on that.
///
/// A bad object stops no other: it is held, and its status says why.
pub fn plan(world: &World, memo: &Memo) -> (Plan, Memo) {
    let mut next = memo.clone();
    let nobody = BTreeSet::new();
    let (certificates, of_certificates) = pass(
        &world.certificates,
        &memo.world.certificates,
        &memo.certificates,
        nobody,
        certificates::certificate,
    );
    let named = Certificates(&certificates);
    next.listeners = Listeners::plan(&world.listeners, &certificates, &memo.listeners);

    let nameable =
        Nameable { certificates: named, secrets: Secrets(&world.secrets), services: Services(world) };
    let mut changed: BTreeSet<Key> = restood(&of_certificates).collect();
    changed.extend(nameable.changed(&memo.world));
    // Only tests see a world whose sources or stores are others than before.
    let same_settings =
        world.has_cluster == memo.world.has_cluster && world.separate_stores == memo.world.separate_stores;
    let again = match same_settings {
        true => memo.users.of(&changed, Kind::Backend),
        false => world.backends.keys().cloned().collect(),
    };
    let (backends, of_backends) =
        pass(&world.backends, &memo.world.backends, &memo.backends, again, |key, backend| {
            objects::backend(key, backend, nameable)
        });

    changed.extend(restood(&of_backends));
    let same_listeners = Arc::ptr_eq(&next.listeners.names, &memo.listeners.names);
    let again = if same_listeners && same_settings {
        memo.users.of(&changed, Kind::Route)
    } else {
        world.routes.keys().cloned().collect()
    };
    let names = next.listeners.names.clone();
    let grants = Grants(&world.grants);
    let resolver = Resolver { backends: &backends, nameable, grants, listeners: &names };
    let (routes, of_routes) = pass(&world.routes, &memo.world.routes, &memo.routes, again, |key, route| {
        objects::route(key, route, &resolver)
    });

    (next.certificates, next.backends, next.routes) = (certificates, backends, routes);
    let changes = [of_certificates, of_backends, of_routes];
    next.world = world.clone();
    next.snapshot = snapshot(world, memo, &next.listeners, changes.iter().flatten());
    let conflicts = world.conflicts.values().map(|claim| Arc::new(objects::conflict(claim))).collect();
    next.settle_statuses(&changes);
    let plan = Plan {
        snapshot: next.snapshot.clone(),
        statuses: next.statuses.clone(),
        refused: next.refused,
        conflicts,
    };
    (plan, next)
}

impl Memo {
    /// Brings the statuses up to what has changed, and what depends on who names whom.
    fn settle_statuses(&mut self, [of_certificates, of_backends, of_routes]: &[Vec<Change>; 3]) {
        self.users.update(of_backends);
        self.users.update(of_routes);
        let affected = self.claims.update(of_routes);
        self.settle_shadowed(&affected);
        let others = of_certificates.iter().chain(of_backends).map(|change| &change.key);
        let touched: Vec<(Key, Option<Arc<ObjectStatus>>)> =
            others.chain(&affected).map(|key| (key.clone(), self.status(key))).collect();
        let is_refused = |status: Option<&Arc<ObjectStatus>>| {
            usize::from(status.is_some_and(|status| status.accepted.is_err()))
        };
        for (key, now) in &touched {
            self.refused += is_refused(now.as_ref());
            self.refused -= is_refused(self.statuses.get(key));
        }
        self.statuses.apply(touched);
    }

    fn settle_shadowed(&mut self, affected: &BTreeSet<Key>) {
        let status = |key: &Key| {
            let planned = self.routes.get(key)?;
            let overlaps = self.claims.overlaps(planned, &self.routes, &self.listeners.names);
            if overlaps.is_empty() {
                return None;
            }
            let status = ObjectStatus { overlaps, ..ObjectStatus::clone(&planned.status) };
            let earlier = self.shadowed.get(key).filter(|earlier| ***earlier == status);
            Some(earlier.cloned().unwrap_or_else(|| Arc::new(status)))
        };
        let settled: Vec<_> = affected.iter().map(|key| (key.clone(), status(key))).collect();
        self.shadowed.apply(settled);
    }

    fn status(&self, key: &Key) -> Option<Arc<ObjectStatus>> {
        let passes = [&self.routes, &self.backends, &self.certificates];
        let planned = || passes.into_iter().find_map(|pass| pass.get(key)).map(|planned| &planned.status);
        self.shadowed.get(key).or_else(planned).cloned()
    }
}

/// The memo's snapshot, edited by what is another result now.
fn snapshot<'c>(
    world: &World,
    memo: &Memo,
    listeners: &Listeners,
    changes: impl Iterator<Item = &'c Change>,
) -> Snapshot {
    let mut edit = Edit::default();
    edit.replace(&memo.listeners.objects, &listeners.objects);
    for Change { old, new, .. } in changes {
        let objects = |planned: &'c Option<Arc<planned::Planned>>| -> &'c [Object] {
            planned.as_ref().map_or(&[], |planned| &planned.objects)
        };
        edit.replace(objects(old), objects(new));
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

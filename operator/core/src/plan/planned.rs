use std::collections::BTreeSet;
use std::sync::Arc;

use dataplane_snapshot::{Key, Object, SharedMap};

use super::overlap::Footprint;
use crate::{ObjectStatus, Observed, ObservedMap};

/// The result for one object. It is used again as long as its inputs are the same.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) observed: Arc<Observed>,
    /// Its key is the object's; keys of different objects never meet.
    pub(super) objects: Vec<Object>,
    pub(super) status: Arc<ObjectStatus>,
    /// The Backends, certificates and secrets that it names.
    pub(super) references: Vec<Key>,
    /// Routes: which requests it takes.
    pub(super) footprints: Vec<Footprint>,
}

impl Planned {
    pub(super) fn key(&self) -> &Key {
        &self.status.key
    }
}

/// All objects of a kind.
pub(super) type Pass = SharedMap<Key, Arc<Planned>>;

/// What a pass made another result of: the one before and the one now, never neither.
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) old: Option<Arc<Planned>>,
    pub(super) new: Option<Arc<Planned>>,
}

/// The objects of one kind, made from the `earlier` pass over what was observed `before`: anew where the observed object is
/// another one, and where `again` says that what else it depends on is.
pub(super) fn pass(
    observed: &ObservedMap,
    before: &ObservedMap,
    earlier: &Pass,
    again: BTreeSet<Key>,
    make: impl Fn(&Key, &Arc<Observed>) -> Planned,
) -> (Pass, Vec<Change>) {
    let mut keys = again;
    keys.extend(before.differences(observed, Arc::ptr_eq).map(|(key, _, _)| key.clone()));
    let change = |key: Key| Change {
        old: earlier.get(&key).cloned(),
        new: observed.get(&key).map(|observed| Arc::new(make(&key, observed))),
        key,
    };
    let changes: Vec<Change> = keys.into_iter().map(change).collect();
    let mut next = earlier.clone();
    next.apply(changes.iter().map(|change| (change.key.clone(), change.new.clone())));
    (next, changes)
}

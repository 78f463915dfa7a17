use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Key, Object};

use super::overlap::Footprint;
use crate::{ObjectStatus, Observed};

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

/// All objects of a kind, in the order of their keys.
pub(super) type Pass = Vec<Arc<Planned>>;

/// The objects of one kind, where possible from the `earlier` pass: when the observed object is the same and `is_same` says
/// that what else it depends on is too.
pub(super) fn pass(
    observed: &BTreeMap<Key, Arc<Observed>>,
    earlier: &[Arc<Planned>],
    is_same: impl Fn(&Planned) -> bool,
    make: impl Fn(&Key, &Arc<Observed>) -> Planned,
) -> Pass {
    let mut earlier = earlier.iter().peekable();
    let mut next = Vec::with_capacity(observed.len());
    for (key, object) in observed {
        while earlier.next_if(|planned| planned.key() < key).is_some() {}
        let known = earlier.next_if(|planned| planned.key() == key);
        let reusable = known.filter(|planned| Arc::ptr_eq(&planned.observed, object) && is_same(planned));
        next.push(reusable.map_or_else(|| Arc::new(make(key, object)), Arc::clone));
    }
    next
}

/// Two passes side by side: what was there under a key and what is there now, without what is the same.
pub(super) fn changes<'a>(
    earlier: &'a [Arc<Planned>],
    next: &'a [Arc<Planned>],
) -> impl Iterator<Item = (Option<&'a Planned>, Option<&'a Planned>)> {
    let (mut earlier, mut next) = (earlier.iter().peekable(), next.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (earlier.peek(), next.peek()) {
                (None, None) => return None,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {
                    earlier.next();
                    next.next();
                    continue;
                }
                (Some(old), Some(new)) => old.key().cmp(new.key()),
            };
            let old = if order.is_le() { earlier.next() } else { None };
            let new = if order.is_ge() { next.next() } else { None };
            return Some((old.map(|old| &**old), new.map(|new| &**new)));
        }
    })
}

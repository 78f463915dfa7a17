//! Who names whom: so that a change finds those that depend on it.

use std::collections::BTreeSet;

use dataplane_snapshot::{Key, Kind, SharedMap};

use super::planned::{Change, Planned};

/// Pairs of a named object and one that names it. The named one needn't be there.
#[derive(Clone, Debug, Default)]
pub(super) struct Users(SharedMap<(Key, Key), ()>);

impl Users {
    /// Brings it up to what has changed.
    pub(super) fn update(&mut self, changes: &[Change]) {
        let pairs = |key: &Key, planned: Option<&Planned>| {
            let named = planned.map(|planned| planned.references.clone()).unwrap_or_default();
            let key = key.clone();
            named.into_iter().map(move |named| (named, key.clone()))
        };
        let gone = changes.iter().flat_map(|change| pairs(&change.key, change.old.as_deref()));
        let came = changes.iter().flat_map(|change| pairs(&change.key, change.new.as_deref()));
        self.0.apply(gone.map(|pair| (pair, None)).chain(came.map(|pair| (pair, Some(())))));
    }

    /// The objects of one kind that name one of these.
    pub(super) fn of(&self, named: &BTreeSet<Key>, kind: Kind) -> BTreeSet<Key> {
        let least = Key::new(Kind::ALL[0], "", "");
        let of_one = |named: &Key| {
            let from = (named.clone(), least.clone());
            let pairs = self.0.range_from(&from).map(|(pair, ())| pair);
            let users = pairs.take_while(|(other, _)| other == named).map(|(_, user)| user);
            users.filter(|user| user.kind() == kind).cloned().collect::<Vec<_>>()
        };
        named.iter().flat_map(of_one).collect()
    }
}

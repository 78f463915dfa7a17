//! All objects of one scope, as lists and watches tell them. Pure: time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use dataplane_snapshot::{Epoch, Key};
use kube::api::DynamicObject;
use operator_core::absence::Guard;

use crate::read::{Seen, key_of, read, revision};
use crate::scope::Scope;

/// A complete list of a scope.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Of the cluster that answered.
    pub(crate) epoch: Epoch,
    /// Everything up to here is in it.
    pub(crate) revision: u64,
    pub(crate) objects: Vec<DynamicObject>,
}

/// What an event led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The view is another one now, apart from its as-of.
    pub(crate) changed: bool,
    /// When to list again, because the list lacked suspiciously much. Until then the missing objects stay.
    pub(crate) list_again: Option<Instant>,
}

pub(crate) struct Collection {
    scope: Scope,
    objects: BTreeMap<Key, Seen>,
    /// The cluster that `objects` are of.
    epoch: Option<Epoch>,
    /// Without a first list, what is here comes from the mirror.
    is_listed: bool,
    revision: u64,
    guard: Guard,
}

impl Collection {
    /// Starts with what the mirror has, so that a first list that lacks most of it isn't believed at once either.
    pub(crate) fn new(scope: Scope, mirrored: BTreeMap<Key, Seen>, epoch: Option<Epoch>) -> Self {
        Self { scope, objects: mirrored, epoch, is_listed: false, revision: 0, guard: Guard::default() }
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Of the cluster, once there was a complete list.
    pub(crate) fn listed(&self) -> Option<&Epoch> {
        self.epoch.as_ref().filter(|_| self.is_listed)
    }

    /// Everything up to here has been told.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) const fn objects(&self) -> &BTreeMap<Key, Seen> {
        &self.objects
    }

    /// Takes a complete list.
    pub(crate) fn list(&mut self, listed: Listed, now: Instant) -> Outcome {
        let mut changed = !self.is_listed;
        if self.epoch.as_ref().is_some_and(|known| *known != listed.epoch) {
            // What another cluster had proves nothing about this one.
            self.objects.clear();
            self.guard = Guard::default();
            changed = true;
        }
        let mut keys = BTreeSet::new();
        for object in &listed.objects {
            let Some(key) = key_of(self.scope.kind(), object) else { continue };
            changed |= self.keep(&key, object);
            keys.insert(key);
        }
        let known = self.objects.keys();
        let absence = self.guard.full_list(self.scope.kind(), known, |key| keys.contains(key), now);
        for key in &absence.gone {
            changed |= self.objects.remove(key).is_some();
        }
        self.epoch = Some(listed.epoch);
        self.is_listed = true;
        self.revision = listed.revision;
        Outcome { changed, list_again: absence.list_again }
    }

    /// Takes an object that was added or modified.
    pub(crate) fn apply(&mut self, object: &DynamicObject) -> Outcome {
        let Some(key) = key_of(self.scope.kind(), object) else { return Outcome::default() };
        self.reach(revision(object.metadata.resource_version.as_deref()));
        self.guard.settled(&key);
        Outcome { changed: self.keep(&key, object), list_again: None }
    }

    /// Takes a deletion that was watched: it needs no proof.
    pub(crate) fn delete(&mut self, object: &DynamicObject) -> Outcome {
        let Some(key) = key_of(self.scope.kind(), object) else { return Outcome::default() };
        self.reach(revision(object.metadata.resource_version.as_deref()));
        self.guard.settled(&key);
        Outcome { changed: self.objects.remove(&key).is_some(), list_again: None }
    }

    /// Everything up to `revision` has been told.
    pub(crate) fn reach(&mut self, revision: Option<u64>) {
        self.revision = self.revision.max(revision.unwrap_or_default());
    }

    /// Whether it is new or another one.
    fn keep(&mut self, key: &Key, object: &DynamicObject) -> bool {
        let known = self.objects.get(key);
        let seen = read(key, object, known);
        let changed = known.is_none_or(|known| !Arc::ptr_eq(&known.observed, &seen.observed));
        self.objects.insert(key.clone(), seen);
        changed
    }
}

#[cfg(test)]
#[path = "collection_tests.rs"]
mod tests;

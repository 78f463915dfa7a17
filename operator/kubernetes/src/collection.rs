//! All objects of one scope, as lists and watches tell them. Pure: time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use dataplane_snapshot::{Epoch, Key, Kind};
use kube::api::DynamicObject;
use operator_core::absence::Guard;
use operator_core::unready::Doubts;
use operator_core::{Observed, SliceSpec, Spec, slice_key};

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
    /// The view is another one now, apart from its as-of: an object is, or it is the first one.
    pub(crate) changed: bool,
    /// What came, went or changed.
    pub(crate) keys: BTreeSet<Key>,
    /// When to list again, because the list lacked suspiciously much. Until then the missing objects stay.
    pub(crate) list_again: Option<Instant>,
}

impl Outcome {
    fn of(keys: BTreeSet<Key>) -> Self {
        Self { changed: !keys.is_empty(), keys, list_again: None }
    }
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
    doubts: Doubts,
}

impl Collection {
    /// Starts with what the mirror has, so that a first list that lacks most of it isn't believed at once either.
    pub(crate) fn new(
        scope: Scope,
        mirrored: BTreeMap<Key, Seen>,
        epoch: Option<Epoch>,
        now: Instant,
    ) -> Self {
        let is_doubted =
            mirrored.values().filter_map(slice).any(|slice| slice.endpoints.iter().any(|one| one.doubted));
        let doubts = if is_doubted { Doubts::inherited(now) } else { Doubts::default() };
        Self {
            scope,
            objects: mirrored,
            epoch,
            is_listed: false,
            revision: 0,
            guard: Guard::default(),
            doubts,
        }
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

    /// How many objects the newest list lacks that are kept.
    pub(crate) fn unproved(&self) -> usize {
        self.guard.unproved()
    }

    /// The API server doesn't answer.
    pub(crate) fn away(&mut self, now: Instant) {
        self.doubts.away(now);
    }

    /// The API server answers. If it was away for so long that unreadiness is doubted: until when.
    pub(crate) fn back(&mut self, now: Instant) -> Option<Instant> {
        self.doubts.back(now)
    }

    /// Until when unreadiness is doubted, if it ever was.
    pub(crate) const fn doubted_until(&self) -> Option<Instant> {
        self.doubts.until()
    }

    /// Takes a complete list.
    pub(crate) fn list(&mut self, listed: Listed, now: Instant) -> Outcome {
        let is_other = self.epoch.as_ref().is_some_and(|known| *known != listed.epoch);
        let is_first = is_other || !self.is_listed;
        let mut changed = BTreeSet::new();
        if is_other {
            // What another cluster had proves nothing about this one.
            changed.extend(std::mem::take(&mut self.objects).into_keys());
            self.guard = Guard::default();
        }
        let mut keys = BTreeSet::new();
        for object in &listed.objects {
            let Some(key) = key_of(self.scope.kind(), object) else { continue };
            if self.keep(&key, object, now) {
                changed.insert(key.clone());
            }
            keys.insert(key);
        }
        let known = self.objects.keys();
        let absence = self.guard.full_list(self.scope.kind(), known, |key| keys.contains(key), now);
        changed.extend(absence.gone.into_iter().filter(|key| self.objects.remove(key).is_some()));
        self.epoch = Some(listed.epoch);
        self.is_listed = true;
        // Also without other objects: workers that had another leader take nothing from this one before it has seen as much.
        let is_later = std::mem::replace(&mut self.revision, listed.revision) < listed.revision;
        let is_news = is_first || is_later || !changed.is_empty();
        Outcome { changed: is_news, keys: changed, list_again: absence.list_again }
    }

    /// Takes the word that the cluster doesn't know this kind, which then has no objects, or doesn't let it be read, which says
    /// nothing about those that are known.
    pub(crate) fn absent(&mut self, epoch: Epoch, revision: u64, is_known: bool, now: Instant) -> Outcome {
        if is_known && !self.objects.is_empty() && self.epoch.as_ref() == Some(&epoch) {
            let changed = !std::mem::replace(&mut self.is_listed, true);
            self.reach(Some(revision));
            return Outcome { changed, ..Outcome::default() };
        }
        self.list(Listed { epoch, revision, objects: Vec::new() }, now)
    }

    /// Takes an object that was added or modified.
    pub(crate) fn apply(&mut self, object: &DynamicObject, now: Instant) -> Outcome {
        self.reach(revision(object.metadata.resource_version.as_deref()));
        let key = key_of(self.scope.kind(), object);
        let mut changed = self.moved(key.as_ref(), object);
        if let Some(key) = key {
            self.guard.settled(&key);
            if self.keep(&key, object, now) {
                changed.insert(key);
            }
        }
        Outcome::of(changed)
    }

    /// Takes a deletion that was watched: it needs no proof.
    pub(crate) fn delete(&mut self, object: &DynamicObject) -> Outcome {
        let Some(key) = key_of(self.scope.kind(), object) else { return Outcome::default() };
        self.reach(revision(object.metadata.resource_version.as_deref()));
        self.guard.settled(&key);
        Outcome::of(self.objects.remove(&key).map(|_| key).into_iter().collect())
    }

    /// Takes a slice away from the Service that it was of, if it is of another one now.
    fn moved(&mut self, to: Option<&Key>, object: &DynamicObject) -> BTreeSet<Key> {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else {
            return BTreeSet::new();
        };
        if self.scope.kind() != Kind::Slice || to.is_some_and(|to| self.objects.contains_key(to)) {
            return BTreeSet::new();
        }
        let first = slice_key(namespace, "", "");
        let of_namespace = self.objects.range(first..).map(|(key, _)| key);
        let of_namespace = of_namespace.take_while(|key| key.namespace() == namespace);
        let is_it = |key: &&Key| key.name().split_once('/').is_some_and(|(_, slice)| slice == name);
        let old: BTreeSet<_> = of_namespace.filter(is_it).cloned().collect();
        old.iter().for_each(|key| drop(self.objects.remove(key)));
        old
    }

    /// Everything up to `revision` has been told. Whether that is news.
    pub(crate) fn reach(&mut self, revision: Option<u64>) -> bool {
        let before = self.revision;
        self.revision = before.max(revision.unwrap_or_default());
        self.revision != before
    }

    /// Whether it is new or another one.
    fn keep(&mut self, key: &Key, object: &DynamicObject, now: Instant) -> bool {
        let known = self.objects.get(key);
        let seen = judged(&mut self.doubts, read(key, object, known), known, now);
        let changed = known.is_none_or(|known| !Arc::ptr_eq(&known.observed, &seen.observed));
        self.objects.insert(key.clone(), seen);
        changed
    }
}

/// With the marks of doubted unreadiness, which the mirror gets too: a leader that starts from it doubts on.
fn judged(doubts: &mut Doubts, told: Seen, known: Option<&Seen>, now: Instant) -> Seen {
    let Some(its) = slice(&told) else { return told };
    let Some(marked) = doubts.judge(its, known.and_then(slice), now) else { return told };
    if let Some(known) = known.filter(|known| known.uid == told.uid && slice(known) == Some(&marked)) {
        return known.clone();
    }
    // What can't be written is mirrored as it was told.
    let spec = serde_json::to_string(&marked).map_or_else(|_| told.spec.clone(), Arc::from);
    let observed = Observed { spec: Spec::Slice(Arc::new(marked)), ..Observed::clone(&told.observed) };
    Seen { spec, observed: Arc::new(observed), ..told }
}

fn slice(seen: &Seen) -> Option<&SliceSpec> {
    match &seen.observed.spec {
        Spec::Slice(slice) => Some(slice),
        _ => None,
    }
}

#[cfg(test)]
#[path = "collection_tests.rs"]
mod tests;

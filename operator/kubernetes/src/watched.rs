//! All scopes together: the view of the cluster, complete or none. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use dataplane_snapshot::{Epoch, Key, Kind, SharedMap, SourceAsOf};
use operator_core::{Observed, ObservedMap, Owner, SourceView};

use crate::collection::{Collection, Outcome};
use crate::named::{Named, SecretName, named_by};
use crate::read::Seen;
use crate::scope::Scope;

/// The view of the cluster with what the mirror needs.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) as_of: SourceAsOf,
    pub(crate) seen: SharedMap<Key, Seen>,
    /// The same without what the mirror needs, and with what Secrets give, which it doesn't get.
    pub(crate) observed: ObservedMap,
}

/// What all scopes have is kept together, so that a view costs what has changed.
pub(crate) struct Watched {
    collections: Vec<Collection>,
    seen: SharedMap<Key, Seen>,
    observed: ObservedMap,
    named: Named,
    /// Those of `named` that the API server has answered.
    secrets: BTreeMap<SecretName, Answered>,
    /// As of what Secrets are; never lower than it was.
    secrets_as_of: u64,
}

/// What is known of a Secret.
#[derive(Debug, Default)]
struct Answered {
    objects: Vec<Arc<Observed>>,
    /// `None`: the API server didn't say what there is.
    revision: Option<u64>,
}

impl Watched {
    /// `mirrored` is what the mirror has, of the cluster `epoch`; `always` are the Secrets that settings name.
    pub(crate) fn new(
        scopes: Vec<Scope>,
        mirrored: &BTreeMap<Key, Seen>,
        epoch: Option<&Epoch>,
        always: &[SecretName],
        now: Instant,
    ) -> Self {
        let collections = scopes.into_iter().map(|scope| {
            let is_its = |key: &Key| key.kind() == scope.kind() && scope.covers(key.namespace());
            let of_scope = mirrored.iter().filter(|(key, _)| is_its(key));
            let of_scope = of_scope.map(|(key, seen)| (key.clone(), seen.clone())).collect();
            Collection::new(scope, of_scope, epoch.cloned(), now)
        });
        let collections: Vec<_> = collections.collect();
        let seen = collections.iter().flat_map(|collection| collection.objects());
        let seen: SharedMap<_, _> = seen.map(|(key, seen)| (key.clone(), seen.clone())).collect();
        let observed: ObservedMap =
            seen.iter().map(|(key, seen)| (key.clone(), seen.observed.clone())).collect();
        let mut named = Named::default();
        let names = observed.values().flat_map(|observed| named_by(observed));
        names.chain(always.iter().cloned()).for_each(|name| named.add(name));
        Self { collections, seen, observed, named, secrets: BTreeMap::new(), secrets_as_of: 0 }
    }

    /// The scope of this index.
    pub(crate) fn scope(&self, index: usize) -> Option<&Scope> {
        self.collections.get(index).map(Collection::scope)
    }

    /// How many objects of a kind the newest lists lack that are kept.
    pub(crate) fn unproved(&self, kind: Kind) -> usize {
        let its = self.collections.iter().filter(|collection| collection.scope().kind() == kind);
        its.map(Collection::unproved).sum()
    }

    /// The API server doesn't answer.
    pub(crate) fn away(&mut self, now: Instant) {
        self.collections.iter_mut().for_each(|collection| collection.away(now));
    }

    /// The API server answers. If it was away for so long that unreadiness is doubted: until when.
    pub(crate) fn back(&mut self, now: Instant) -> Option<Instant> {
        let each: Vec<_> = self.collections.iter_mut().map(|collection| collection.back(now)).collect();
        each.into_iter().flatten().max()
    }

    /// Until when unreadiness is doubted, if it is from the beginning on.
    pub(crate) fn doubted_until(&self) -> Option<Instant> {
        self.collections.iter().filter_map(Collection::doubted_until).max()
    }

    /// The places of the scopes of a kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let places = self.collections.iter().enumerate();
        places.filter(move |(_, collection)| collection.scope().kind() == kind).map(|(place, _)| place)
    }

    /// Lets the collection of this index take something.
    pub(crate) fn update(&mut self, index: usize, take: impl FnOnce(&mut Collection) -> Outcome) -> Outcome {
        let Some(collection) = self.collections.get_mut(index) else { return Outcome::default() };
        let outcome = take(collection);
        let now = |key: &Key| (key.clone(), collection.objects().get(key).cloned());
        let changed: Vec<_> = outcome.keys.iter().map(now).collect();
        for (key, seen) in &changed {
            let before = self.observed.get(key).map(|observed| named_by(observed)).unwrap_or_default();
            let now = seen.as_ref().map(|seen| named_by(&seen.observed)).unwrap_or_default();
            now.into_iter().for_each(|name| self.named.add(name));
            before.iter().for_each(|name| self.unname(name));
        }
        let observed =
            changed.iter().map(|(key, seen)| (key.clone(), seen.as_ref().map(|seen| seen.observed.clone())));
        self.observed.apply(observed);
        self.seen.apply(changed);
        outcome
    }

    fn unname(&mut self, name: &SecretName) {
        if self.named.remove(name) {
            let gone = self.secrets.remove(name).unwrap_or_default();
            gone.objects.iter().for_each(|object| drop(self.observed.remove(&object.key)));
        }
    }

    /// The Secrets that are to be read.
    pub(crate) const fn named(&self) -> &Named {
        &self.named
    }

    /// Takes what a Secret gives; nothing if there is none. Whether there may be another view.
    pub(crate) fn secret(&mut self, name: &SecretName, objects: Vec<Arc<Observed>>, revision: u64) -> bool {
        if !self.named.contains(name) {
            return false;
        }
        let is_first = !self.secrets.contains_key(name);
        let known = self.secrets.entry(name.clone()).or_default();
        known.revision = known.revision.max(Some(revision));
        if !is_first && known.objects == objects {
            return false;
        }
        let before = std::mem::replace(&mut known.objects, objects.clone());
        let gone = before.iter().map(|object| (object.key.clone(), None));
        let came = objects.into_iter().map(|object| (object.key.clone(), Some(object)));
        self.observed.apply(gone.chain(came));
        true
    }

    /// Takes that a Secret can't be read, which says nothing about one that is known, and keeps nobody waiting. Whether there
    /// may be another view.
    pub(crate) fn secret_failed(&mut self, name: &SecretName) -> bool {
        if !self.named.contains(name) || self.secrets.contains_key(name) {
            return false;
        }
        self.secrets.insert(name.clone(), Answered::default());
        true
    }

    /// Nothing else has happened to a Secret up to here.
    pub(crate) fn secret_reached(&mut self, name: &SecretName, revision: u64) {
        if let Some(known) = self.secrets.get_mut(name) {
            known.revision = known.revision.max(Some(revision));
        }
    }

    /// `None` before every scope has been listed and every named Secret answered, and while they were listed from different
    /// clusters.
    pub(crate) fn view(&mut self) -> Option<View> {
        let epoch = self.collections.first()?.listed()?;
        if self.collections.iter().any(|collection| collection.listed() != Some(epoch)) {
            return None;
        }
        if !self.named.iter().all(|name| self.secrets.contains_key(name)) {
            return None;
        }
        let mut revisions = BTreeMap::<Kind, u64>::new();
        for collection in &self.collections {
            // Of several namespaces the one that lags counts: what is claimed has been seen in all of them.
            let revision = revisions.entry(collection.scope().kind()).or_insert(u64::MAX);
            *revision = (*revision).min(collection.revision());
        }
        // Which Secrets there are custom resources say, whose revisions are counted together with theirs.
        let named_as_of = [Kind::Backend, Kind::Route].iter().filter_map(|kind| revisions.get(kind)).min();
        let secrets_as_of = self.secrets.values().filter_map(|secret| secret.revision).min();
        let secrets_as_of = secrets_as_of.or(named_as_of.copied()).unwrap_or_default();
        self.secrets_as_of = self.secrets_as_of.max(secrets_as_of);
        revisions.insert(Kind::Secret, self.secrets_as_of);
        let as_of = SourceAsOf { epoch: epoch.clone(), revisions };
        Some(View { as_of, seen: self.seen.clone(), observed: self.observed.clone() })
    }
}

impl View {
    pub(crate) fn source_view(&self) -> SourceView {
        SourceView { owner: Owner::Kubernetes, as_of: self.as_of.clone(), objects: self.observed.clone() }
    }
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;

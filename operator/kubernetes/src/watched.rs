//! All scopes together: the view of the cluster, complete or none. Pure.

use std::collections::BTreeMap;

use dataplane_snapshot::{Epoch, Key, Kind, SharedMap, SourceAsOf};
use operator_core::{ObservedMap, Owner, SourceView};

use crate::collection::{Collection, Outcome};
use crate::read::Seen;
use crate::scope::Scope;

/// The view of the cluster with what the mirror needs.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) as_of: SourceAsOf,
    pub(crate) seen: SharedMap<Key, Seen>,
    /// The same without what the mirror needs.
    pub(crate) observed: ObservedMap,
}

/// What all scopes have is kept together, so that a view costs what has changed.
pub(crate) struct Watched {
    collections: Vec<Collection>,
    seen: SharedMap<Key, Seen>,
    observed: ObservedMap,
}

impl Watched {
    /// `mirrored` is what the mirror has, of the cluster `epoch`.
    pub(crate) fn new(scopes: Vec<Scope>, mirrored: &BTreeMap<Key, Seen>, epoch: Option<&Epoch>) -> Self {
        let collections = scopes.into_iter().map(|scope| {
            let is_its = |key: &Key| key.kind() == scope.kind() && scope.covers(key.namespace());
            let of_scope = mirrored.iter().filter(|(key, _)| is_its(key));
            let of_scope = of_scope.map(|(key, seen)| (key.clone(), seen.clone())).collect();
            Collection::new(scope, of_scope, epoch.cloned())
        });
        let collections: Vec<_> = collections.collect();
        let seen = collections.iter().flat_map(|collection| collection.objects());
        let seen: SharedMap<_, _> = seen.map(|(key, seen)| (key.clone(), seen.clone())).collect();
        let observed = seen.iter().map(|(key, seen)| (key.clone(), seen.observed.clone())).collect();
        Self { collections, seen, observed }
    }

    /// The scope of this index.
    pub(crate) fn scope(&self, index: usize) -> Option<&Scope> {
        self.collections.get(index).map(Collection::scope)
    }

    /// Lets the collection of this index take something.
    pub(crate) fn update(&mut self, index: usize, take: impl FnOnce(&mut Collection) -> Outcome) -> Outcome {
        let Some(collection) = self.collections.get_mut(index) else { return Outcome::default() };
        let outcome = take(collection);
        let now = |key: &Key| (key.clone(), collection.objects().get(key).cloned());
        let changed: Vec<_> = outcome.keys.iter().map(now).collect();
        let observed =
            changed.iter().map(|(key, seen)| (key.clone(), seen.as_ref().map(|seen| seen.observed.clone())));
        self.observed.apply(observed);
        self.seen.apply(changed);
        outcome
    }

    /// `None` before every scope has been listed, and while they were listed from different clusters.
    pub(crate) fn view(&self) -> Option<View> {
        let epoch = self.collections.first()?.listed()?;
        if self.collections.iter().any(|collection| collection.listed() != Some(epoch)) {
            return None;
        }
        let mut revisions = BTreeMap::<Kind, u64>::new();
        for collection in &self.collections {
            // Of several namespaces the one that lags counts: what is claimed has been seen in all of them.
            let revision = revisions.entry(collection.scope().kind()).or_insert(u64::MAX);
            *revision = (*revision).min(collection.revision());
        }
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

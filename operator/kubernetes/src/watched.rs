//! All scopes together: the view of the cluster, complete or none. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{Observed, Owner, SourceView};

use crate::collection::Collection;
use crate::read::Seen;
use crate::scope::Scope;

/// The view of the cluster with what the mirror needs.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) as_of: SourceAsOf,
    pub(crate) objects: BTreeMap<Key, (Arc<Observed>, Arc<str>)>,
}

pub(crate) struct Watched {
    pub(crate) collections: Vec<Collection>,
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
        Self { collections: collections.collect() }
    }

    /// `None` before every scope has been listed, and while they were listed from different clusters.
    pub(crate) fn view(&self) -> Option<View> {
        let epoch = self.collections.first()?.listed()?;
        if self.collections.iter().any(|collection| collection.listed() != Some(epoch)) {
            return None;
        }
        let mut revisions = BTreeMap::<Kind, u64>::new();
        let mut objects = BTreeMap::new();
        for collection in &self.collections {
            // Of several namespaces the one that lags counts: what is claimed has been seen in all of them.
            let revision = revisions.entry(collection.scope().kind()).or_insert(u64::MAX);
            *revision = (*revision).min(collection.revision());
            let seen = collection.objects().iter();
            objects.extend(seen.map(|(key, seen)| (key.clone(), (seen.observed.clone(), seen.spec.clone()))));
        }
        Some(View { as_of: SourceAsOf { epoch: epoch.clone(), revisions }, objects })
    }
}

impl View {
    pub(crate) fn source_view(&self) -> SourceView {
        let observed =
            |(key, (observed, _)): (&Key, &(Arc<Observed>, Arc<str>))| (key.clone(), observed.clone());
        SourceView {
            owner: Owner::Kubernetes,
            as_of: self.as_of.clone(),
            objects: self.objects.iter().map(observed).collect(),
        }
    }
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;

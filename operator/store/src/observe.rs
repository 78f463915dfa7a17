use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, SourceAsOf};
use operator_core::{Observed, ObservedMap, Origin, Owner, Problem, SourceView, Spec};
use serde::de::DeserializeOwned;

use crate::{ChangeSet, Listing, StateStore, StoreError, StoredObject};

/// All that the store has of `owner`; `None` if nothing of it was ever written, so that an empty mirror isn't taken for an
/// empty cluster.
pub async fn view(store: &dyn StateStore, owner: Owner) -> Result<Option<SourceView>, StoreError> {
    let listing = store.list(owner).await?;
    Ok(Follower::of(owner, &listing).view())
}

/// Follows the objects of one owner and keeps the `Arc` of each that didn't change.
pub(crate) struct Follower {
    owner: Owner,
    pub(crate) revision: u64,
    as_of: Option<SourceAsOf>,
    objects: ObservedMap,
    /// Changes since the revision aren't enough.
    pub(crate) read_all: bool,
}

impl Follower {
    pub(crate) fn of(owner: Owner, listing: &Listing) -> Self {
        let objects = listing.objects.iter().map(observe).collect();
        Self { owner, revision: listing.revision, as_of: listing.as_of.clone(), objects, read_all: false }
    }

    /// Takes a new listing and keeps what is as it was.
    pub(crate) fn replace(&mut self, listing: &Listing) {
        let next = Self::of(self.owner, listing);
        let mut objects = self.objects.clone();
        let changes = self.objects.differences(&next.objects, |known, observed| known == observed);
        objects.apply(changes.map(|(key, _, observed)| (key.clone(), observed.cloned())));
        *self = Self { objects, ..next };
    }

    /// Whether the changes say anything new. Of a mirror they do when they are whole: it is written in parts, of which only the
    /// last one raises what was seen.
    pub(crate) fn advance(&mut self, changes: ChangeSet) -> bool {
        let ChangeSet { revision, as_of, written, deleted } = changes;
        let is_own = self.owner == Owner::Store && !(written.is_empty() && deleted.is_empty());
        let changed = as_of != self.as_of || is_own;
        let deleted = deleted.into_iter().map(|key| (key, None));
        let written = written.iter().map(observe).map(|(key, observed)| (key, Some(observed)));
        self.objects.apply(deleted.chain(written));
        (self.revision, self.as_of) = (revision, as_of);
        changed
    }

    pub(crate) fn view(&self) -> Option<SourceView> {
        let as_of = self.as_of.clone()?;
        Some(SourceView { owner: self.owner, as_of, objects: self.objects.clone() })
    }
}

fn observe(object: &StoredObject) -> (Key, Arc<Observed>) {
    let spec = match object.key.kind() {
        Kind::Backend => read(&object.spec).map(Spec::Backend),
        Kind::Route => read(&object.spec).map(Spec::Route),
        // Only the mirror has these; nobody else can write them.
        Kind::Service if object.owner == Owner::Kubernetes => read(&object.spec).map(Spec::Service),
        Kind::Slice if object.owner == Owner::Kubernetes => read(&object.spec).map(Spec::Slice),
        Kind::Grant if object.owner == Owner::Kubernetes => read(&object.spec).map(Spec::Grant),
        kind => Err(format!("a {kind} can't be written, only a backend or a route")),
    };
    let spec = spec.unwrap_or_else(|message| {
        Spec::Invalid(vec![Problem { field: "spec".to_owned(), message, place: None }])
    });
    let origin = match object.owner {
        Owner::Kubernetes => Origin::Kubernetes,
        // No store keeps files.
        Owner::Store | Owner::Files => Origin::Store,
    };
    let (key, labels, generation) = (object.key.clone(), object.labels.clone(), object.generation);
    (key.clone(), Arc::new(Observed { key, spec, labels, generation, uid: String::new(), origin }))
}

fn read<T: DeserializeOwned>(spec: &str) -> Result<Arc<T>, String> {
    serde_json::from_str(spec).map(Arc::new).map_err(|error| {
        // Line and column of the stored text say nothing to people.
        let text = error.to_string();
        text.split(" at line ").next().unwrap_or(&text).to_owned()
    })
}

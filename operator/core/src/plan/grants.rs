//! What namespaces let others name.

use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};

use crate::{GrantFrom, GrantSpec, GrantTo, ObservedMap, Spec};

/// All ReferenceGrants.
#[derive(Clone, Copy)]
pub(super) struct Grants<'a>(pub(super) &'a ObservedMap);

impl<'a> Grants<'a> {
    /// The namespaces whose grants changed, as [`of_namespace`]: who depends on them is planned anew.
    pub(super) fn changed(self, earlier: &'a ObservedMap) -> impl Iterator<Item = Key> + use<'a> {
        earlier.differences(self.0, Arc::ptr_eq).map(|(key, _, _)| of_namespace(key.namespace()))
    }

    /// Whether `from` may name `to`: within a namespace everybody may, from another one whom a grant there lets.
    pub(super) fn permit(self, from: &Key, to: &Key) -> bool {
        let first = of_namespace(to.namespace());
        from.namespace() == to.namespace()
            || self
                .0
                .range_from(&first)
                .take_while(|(key, _)| key.kind() == Kind::Grant && key.namespace() == to.namespace())
                .any(|(_, observed)| matches!(&observed.spec, Spec::Grant(grant) if permits(grant, from, to)))
    }
}

/// Stands for all grants of a namespace among what an object depends on.
pub(super) fn of_namespace(namespace: &str) -> Key {
    Key::new(Kind::Grant, namespace, "")
}

fn permits(grant: &GrantSpec, from: &Key, to: &Key) -> bool {
    let is_from =
        |it: &GrantFrom| (&*it.group, &*it.kind) == resource(from) && it.namespace == from.namespace();
    let is_name =
        |name: &Option<String>| name.as_deref().is_none_or(|name| name.is_empty() || name == to.name());
    let is_to = |it: &GrantTo| (&*it.group, &*it.kind) == resource(to) && is_name(&it.name);
    grant.from.iter().any(is_from) && grant.to.iter().any(is_to)
}

/// What Kubernetes calls the kind of an object.
pub(super) const fn kind(key: &Key) -> &'static str {
    resource(key).1
}

/// Group and kind, as grants tell them.
const fn resource(key: &Key) -> (&'static str, &'static str) {
    match key.kind() {
        Kind::Backend => (crds::GROUP, "Backend"),
        Kind::Route => (crds::GROUP, "Route"),
        Kind::Certificate | Kind::Secret => ("", "Secret"),
        _ => ("", "Service"),
    }
}

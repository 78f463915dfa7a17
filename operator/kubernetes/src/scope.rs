use std::fmt;

use dataplane_snapshot::Kind;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};

/// What one watch covers: a kind, in one namespace or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    kind: Kind,
    namespace: Option<String>,
}

impl Scope {
    pub(crate) const fn new(kind: Kind, namespace: Option<String>) -> Self {
        Self { kind, namespace }
    }

    /// Both kinds in all namespaces, or in each of those listed.
    pub(crate) fn all(namespaces: &[String]) -> Vec<Self> {
        let mut namespaces: Vec<_> = namespaces.iter().cloned().map(Some).collect();
        namespaces.sort();
        namespaces.dedup();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let of_kind = |kind| namespaces.iter().map(move |namespace| Self::new(kind, namespace.clone()));
        of_kind(Kind::Backend).chain(of_kind(Kind::Route)).collect()
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(crate) fn covers(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    pub(crate) const fn plural(&self) -> &'static str {
        plural(self.kind)
    }

    /// As in the name of the definition: `backends.komainu.dev`.
    pub(crate) const fn resource(&self) -> &'static str {
        match self.kind {
            Kind::Backend => "backends.komainu.dev",
            _ => "routes.komainu.dev",
        }
    }

    pub(crate) fn api(&self, client: &Client) -> Api<DynamicObject> {
        let resource = api_resource(self.kind);
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in {namespace}", self.plural()),
            None => f.write_str(self.plural()),
        }
    }
}

const fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Backend => "backends",
        _ => "routes",
    }
}

/// The resource of a kind; objects are read untyped first, so that one that doesn't fit its type is reported and not lost.
pub(crate) fn api_resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Backend => ApiResource::erase::<crds::Backend>(&()),
        _ => ApiResource::erase::<crds::Route>(&()),
    }
}

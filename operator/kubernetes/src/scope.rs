use std::fmt;

use dataplane_snapshot::Kind;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};

use crate::named::SecretName;

/// The kinds that are watched.
const KINDS: [Kind; 5] = [Kind::Backend, Kind::Route, Kind::Service, Kind::Slice, Kind::Grant];

/// Of ReferenceGrant, the newest first: clusters have what their definitions of the Gateway API have.
const GRANT_VERSIONS: &[&str] = &["v1", "v1beta1"];

/// What one watch covers: a kind, in one namespace or in all, or one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    kind: Kind,
    namespace: Option<String>,
    name: Option<String>,
}

impl Scope {
    pub(crate) const fn new(kind: Kind, namespace: Option<String>) -> Self {
        Self { kind, namespace, name: None }
    }

    /// A Secret is watched by itself: a leader need not read others.
    pub(crate) fn of_secret(SecretName { namespace, name }: &SecretName) -> Self {
        Self { kind: Kind::Secret, namespace: Some(namespace.clone()), name: Some(name.clone()) }
    }

    /// Every kind in all namespaces, or in each of those listed.
    pub(crate) fn all(namespaces: &[String]) -> Vec<Self> {
        let mut namespaces: Vec<_> = namespaces.iter().cloned().map(Some).collect();
        namespaces.sort();
        namespaces.dedup();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let of_kind = |kind| namespaces.iter().map(move |namespace| Self::new(kind, namespace.clone()));
        KINDS.into_iter().flat_map(of_kind).collect()
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The field selector of lists and watches.
    pub(crate) fn fields(&self) -> Option<String> {
        self.name.as_ref().map(|name| format!("metadata.name={name}"))
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(crate) fn covers(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// Whether a cluster needn't know the kind, or let it be read: then it has none.
    pub(crate) const fn is_optional(&self) -> bool {
        matches!(self.kind, Kind::Grant)
    }

    /// Whether the status of its objects is ours to write.
    pub(crate) const fn has_status(&self) -> bool {
        matches!(self.kind, Kind::Backend | Kind::Route)
    }

    /// How many versions of the API there are that it may be found in.
    pub(crate) const fn versions(&self) -> usize {
        match self.kind {
            Kind::Grant => GRANT_VERSIONS.len(),
            _ => 1,
        }
    }

    pub(crate) fn group(&self) -> String {
        api_resource(self.kind, 0).group
    }

    pub(crate) fn plural(&self) -> String {
        api_resource(self.kind, 0).plural
    }

    /// As in the name of the definition: `backends.komainu.dev`.
    pub(crate) fn resource(&self) -> String {
        let ApiResource { plural, group, .. } = api_resource(self.kind, 0);
        if group.is_empty() { plural } else { format!("{plural}.{group}") }
    }

    /// `version` is one of [`Self::versions`].
    pub(crate) fn api(&self, client: &Client, version: usize) -> Api<DynamicObject> {
        let resource = api_resource(self.kind, version);
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => write!(f, "{} {name} in {namespace}", self.plural()),
            (Some(namespace), None) => write!(f, "{} in {namespace}", self.plural()),
            (None, _) => f.write_str(&self.plural()),
        }
    }
}

/// The resource of a kind; objects are read untyped first, so that one that doesn't fit its type is reported and not lost.
pub(crate) fn api_resource(kind: Kind, version: usize) -> ApiResource {
    match kind {
        Kind::Backend => ApiResource::erase::<crds::Backend>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::Secret => ApiResource::erase::<Secret>(&()),
        Kind::Slice => ApiResource::erase::<EndpointSlice>(&()),
        Kind::Grant => {
            let (group, version) =
                ("gateway.networking.k8s.io", GRANT_VERSIONS.get(version).unwrap_or(&"v1"));
            ApiResource {
                group: group.to_owned(),
                version: (*version).to_owned(),
                api_version: format!("{group}/{version}"),
                kind: "ReferenceGrant".to_owned(),
                plural: "referencegrants".to_owned(),
            }
        }
        _ => ApiResource::erase::<crds::Route>(&()),
    }
}

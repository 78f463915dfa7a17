//! Services, their EndpointSlices and ReferenceGrants: of what an API server sends, as much as `plan` looks at, in its spelling.
//! An absent or null field is a default one, and what isn't named here is passed over.

use dataplane_snapshot::{Key, Kind};
use serde::{Deserialize, Deserializer, Serialize};

/// `spec` of a Service (core/v1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// With the type `ExternalName`: the name that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_name: Option<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// What the ports of its slices are called too; absent or empty if it is the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub port: u16,
    /// TCP if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// An EndpointSlice (discovery.k8s.io/v1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceSpec {
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<SlicePort>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlicePort {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// TCP if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Only the first one counts: the API gives the others no meaning, and kube-proxy doesn't look at them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub conditions: EndpointConditions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Not of the API: it was ready when the API server went away for long, and that it isn't now isn't believed yet; see
    /// [`Doubts`](crate::unready::Doubts).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub doubted: bool,
}

/// As the API says what an absent one means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Absent: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Absent: if it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// Absent: it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

impl EndpointConditions {
    pub fn is_ready(self) -> bool {
        self.ready.unwrap_or(true)
    }

    pub fn is_serving(self) -> bool {
        self.serving.unwrap_or(self.is_ready())
    }

    pub fn is_terminating(self) -> bool {
        self.terminating.unwrap_or(false)
    }
}

/// `spec` of a ReferenceGrant (gateway.networking.k8s.io): whoever `from` tells may name whatever `to` tells in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrantSpec {
    #[serde(deserialize_with = "or_default")]
    pub from: Vec<GrantFrom>,
    #[serde(deserialize_with = "or_default")]
    pub to: Vec<GrantTo>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrantFrom {
    pub group: String,
    pub kind: String,
    pub namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrantTo {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    /// Absent: all of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The key of a slice begins with the name of its Service, so that those of one Service are neighbours. `/` is in no name.
pub fn slice_key(namespace: &str, service: &str, slice: &str) -> Key {
    Key::new(Kind::Slice, namespace, [service, "/", slice].concat())
}

/// The key of the Service that a slice is of.
pub fn service_of(slice: &Key) -> Key {
    let (service, _) = slice.name().split_once('/').unwrap_or((slice.name(), ""));
    Key::new(Kind::Service, slice.namespace(), service)
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

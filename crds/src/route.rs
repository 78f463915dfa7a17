use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BackendSpec, RouteStatus, backend::default_weight};

/// Which requests go to which backend.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "komainu.dev",
    version = "v1alpha1",
    kind = "Route",
    namespaced,
    status = "RouteStatus",
    shortname = "krt",
    category = "komainu",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// Names of listeners; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    #[serde(default)]
    pub matches: Vec<RouteMatch>,
    /// Remove the matched part of the path before the backend's root is put in front.
    #[serde(default = "default_true")]
    pub strip_path: bool,
    /// Send the target's host name as `Host`; otherwise the client's is kept.
    #[serde(default)]
    pub override_host: bool,
    #[serde(default)]
    pub backends: Vec<RouteBackend>,
}

fn default_true() -> bool {
    true
}

/// The product of hostnames and paths, with conditions that all must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RouteMatch {
    pub hostnames: Vec<String>,
    pub paths: Vec<PathMatch>,
    pub methods: Vec<String>,
    pub headers: Vec<Condition>,
    pub query: Vec<Condition>,
    pub cookies: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathMatch {
    #[serde(default, rename = "type")]
    pub type_: PathType,
    pub value: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathType {
    #[default]
    Prefix,
    Exact,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    pub name: String,
    #[serde(default, rename = "type")]
    pub type_: ConditionType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    #[default]
    Exact,
    Regex,
    Wildcard,
    Present,
    Absent,
}

/// One destination: `ref` or `inline`, not both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteBackend {
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<BackendReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<InlineBackend>,
    #[serde(default = "default_weight")]
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendReference {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A backend that belongs to one route, with the properties of a Backend.
pub type InlineBackend = BackendSpec;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::bounds::{
    MAX_DESCRIPTION, MAX_DISPLAY_NAME, MAX_HOSTNAME, MAX_LABEL, MAX_MATCHES, MAX_ROUTE_BACKENDS, MAX_WEIGHT,
};
use crate::target::default_weight;
use crate::{BackendSpec, RouteFilters, RouteMatch, RouteStatus};

/// Which requests go to which backend.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "komainu.dev",
    version = "v1alpha1",
    kind = "Route",
    namespaced,
    status = "RouteStatus",
    shortname = "krt",
    category = "komainu",
    derive = "PartialEq",
    doc = "Which requests go to which backend.",
    printcolumn = r#"{"name":"Hosts","type":"string","description":"The hostnames of the first match.","jsonPath":".spec.matches[0].hostnames"}"#,
    printcolumn = r#"{"name":"Path","type":"string","description":"The first path of the first match.","jsonPath":".spec.matches[0].paths[0].value"}"#,
    printcolumn = r#"{"name":"Backend","type":"string","description":"The first Backend referred to.","jsonPath":".spec.backends[0].ref.name"}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","description":"Whether every worker serves by this generation.","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","description":"Whether a backend can take its requests.","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","priority":1,"description":"Whether the Route is used as it is written.","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Targets","type":"string","priority":1,"description":"How many targets of inline backends are ready.","jsonPath":".status.ready"}"#,
    printcolumn = r#"{"name":"Overlapping","type":"string","priority":1,"description":"Whether another Route takes requests that it would match.","jsonPath":".status.conditions[?(@.type==\"Overlapping\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"description":"Why it is ready or not.","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.matches)")
        .message("a route needs matches; to get every request write matches: [{}]").reason(Reason::FieldValueRequired),
    validation = Rule::new(
        "has(self.backends) || has(self.filters) && (has(self.filters.requestRedirect) || has(self.filters.directResponse))")
        .message("a route needs backends: the ref of a Backend or an inline one").reason(Reason::FieldValueRequired),
    validation = Rule::new(
        "!has(self.backends) || !has(self.filters) || !(has(self.filters.requestRedirect) || has(self.filters.directResponse))")
        .message("requestRedirect and directResponse answer every request: leave backends out"),
    validation = Rule::new(
        "!has(self.filters) || !has(self.filters.urlRewrite) || !has(self.overrideHost) || !self.overrideHost")
        .message("urlRewrite.hostname and overrideHost both say what Host is sent: write only one of them")
)]
pub struct RouteSpec {
    /// The name shown to people. If absent: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DISPLAY_NAME))]
    pub display_name: Option<String>,
    /// What the route is for, in free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DESCRIPTION))]
    pub description: Option<String>,
    /// Words to find the route by. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::tags")]
    pub tags: Vec<String>,
    /// Free key-value pairs, at most 64. Expressions can use them as `${route.metadata.<key>}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::metadata")]
    pub metadata: BTreeMap<String, String>,
    /// A route that isn't enabled gets no requests. Default: true.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// The names of the listeners that the route is reached at, at most 32. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::listeners")]
    pub listeners: Vec<String>,
    /// Which requests the route gets: those that meet any of these. 1 to 32.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_MATCHES))]
    pub matches: Vec<RouteMatch>,
    /// Remove the matched part of the path before the backend's root is put in front. Default: true.
    #[serde(default = "default_true")]
    pub strip_path: bool,
    /// Send the target's host name as `Host`; otherwise the client's is kept, unless filters.urlRewrite has another. Default:
    /// false.
    #[serde(default)]
    pub override_host: bool,
    /// What is done to requests and responses besides sending them on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<RouteFilters>,
    /// Where requests go, in proportion to the weights. 1 to 16; none with a filter that answers every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = MAX_ROUTE_BACKENDS))]
    pub backends: Vec<RouteBackend>,
}

const fn default_true() -> bool {
    true
}

impl Default for RouteSpec {
    /// No match and no backend yet, the rest as documented.
    fn default() -> Self {
        Self {
            display_name: None,
            description: None,
            tags: Vec::new(),
            metadata: BTreeMap::new(),
            enabled: true,
            listeners: Vec::new(),
            matches: Vec::new(),
            strip_path: true,
            override_host: false,
            filters: None,
            backends: Vec::new(),
        }
    }
}

/// One destination: `ref` or `inline`, not both.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.ref) != has(self.inline)")
        .message("give either ref, the name of a Backend, or inline, the properties of one: exactly one of them"),
    validation = Rule::new(
        "!has(self.inline) || !has(self.inline.allowedNamespaces) || size(self.inline.allowedNamespaces) == 0"
    )
    .message("allowedNamespaces only goes with a Backend of its own, as nobody else can name an inline one: leave it out")
)]
pub struct RouteBackend {
    /// A Backend by its name.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<BackendReference>,
    /// A backend of this route alone, with the properties of a Backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<InlineBackend>,
    /// The share of requests in proportion to the other backends' weights; 0: none. Default: 1.
    #[serde(default = "default_weight")]
    #[schemars(range(max = MAX_WEIGHT))]
    pub weight: u32,
}

/// The name of a Backend.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendReference {
    /// The Backend's name.
    #[schemars(length(min = 1, max = MAX_HOSTNAME))]
    pub name: String,
    /// The Backend's namespace. If absent: that of the route. Another one has to allow it: by the Backend's
    /// allowedNamespaces, or by a ReferenceGrant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_LABEL))]
    pub namespace: Option<String>,
}

/// A backend that belongs to one route, with the properties of a Backend.
pub type InlineBackend = BackendSpec;

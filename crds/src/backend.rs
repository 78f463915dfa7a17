use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_DESCRIPTION, MAX_DISPLAY_NAME, MAX_PATTERN, MAX_TARGETS};
use crate::{BackendStatus, ClientSettings, HealthCheck, LoadBalancing, Target};

/// Servers that requests are forwarded to, and how: load balancing, health check, timeouts and retries. The properties and
/// their defaults are those of Otoroshi's Backends page.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "komainu.dev",
    version = "v1alpha1",
    kind = "Backend",
    namespaced,
    status = "BackendStatus",
    shortname = "kbe",
    category = "komainu",
    derive = "PartialEq",
    doc = "A list of target servers and how requests are sent to them. Routes refer to it by name.",
    printcolumn = r#"{"name":"Ready","type":"string","description":"How many targets are ready of how many there are.","jsonPath":".status.ready"}"#,
    printcolumn = r#"{"name":"Health","type":"string","description":"How the targets are.","jsonPath":".status.conditions[?(@.type==\"Healthy\")].reason"}"#,
    printcolumn = r#"{"name":"Policy","type":"string","description":"How a target is chosen.","jsonPath":".spec.loadBalancing.type"}"#,
    printcolumn = r#"{"name":"Routes","type":"integer","description":"How many Routes use the Backend.","jsonPath":".status.routes"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","priority":1,"description":"Whether the Backend is used as it is written.","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","priority":1,"description":"Whether every worker serves by this generation.","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status"}"#,
    printcolumn = r#"{"name":"Ejected","type":"integer","priority":1,"description":"How many targets a circuit breaker keeps requests from.","jsonPath":".status.targets.ejected"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"description":"Why it is ready or not.","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSpec {
    /// The name shown to people. If absent: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DISPLAY_NAME))]
    pub display_name: Option<String>,
    /// What the backend is for, in free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DESCRIPTION))]
    pub description: Option<String>,
    /// Words to find the backend by. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::tags")]
    pub tags: Vec<String>,
    /// Free key-value pairs, at most 64. The gateway itself gives them no meaning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::bounds::metadata")]
    pub metadata: BTreeMap<String, String>,
    /// The servers, at most 128. Without any, requests are answered 503.
    #[serde(default)]
    #[schemars(length(max = MAX_TARGETS))]
    #[x_kube(validation = Rule::new(
        "self.all(a, !has(a.id) || self.exists_one(b, has(b.id) && b.id == a.id))"
    ).message("two targets have the same id; give each its own, or none"))]
    pub targets: Vec<Target>,
    /// What is put in front of each request's path; with `rewrite`, the whole new path. May hold expressions such as
    /// `${req.pathparams.id}`. Starts with `/` or with an expression. Default: `/`.
    #[serde(default = "default_root")]
    #[schemars(length(min = 1, max = MAX_PATTERN))]
    #[x_kube(validation = Rule::new("self.startsWith('/') || self.startsWith('${')")
        .message("root is a path: it starts with / (or with an expression ${...})"))]
    pub root: String,
    /// Replace the request's path by `root` instead of putting `root` in front. The query string is kept. Default: false.
    #[serde(default)]
    pub rewrite: bool,
    /// How a target is chosen for a request. Default: RoundRobin.
    #[serde(default)]
    pub load_balancing: LoadBalancing,
    /// Health checks are disbelieved while fewer than so many percent of the targets are healthy: all of them are used then,
    /// since a bad check would take the backend away. 0 to 100; 0: never. If absent: while none is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub panic_threshold: Option<u32>,
    /// Regular requests that find out which targets are healthy. If absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// How the gateway connects to targets: timeouts, retries, circuit breaker, connections.
    #[serde(default)]
    pub client: ClientSettings,
    /// The namespaces whose Routes may use the Backend besides its own, at most 64; `*`: all. Empty: none, unless a
    /// ReferenceGrant says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::allowed_namespaces")]
    pub allowed_namespaces: Vec<String>,
}

fn default_root() -> String {
    "/".to_owned()
}

impl Default for BackendSpec {
    fn default() -> Self {
        Self {
            display_name: None,
            description: None,
            tags: Vec::new(),
            metadata: BTreeMap::new(),
            targets: Vec::new(),
            root: default_root(),
            rewrite: false,
            load_balancing: LoadBalancing::default(),
            panic_threshold: None,
            health_check: None,
            client: ClientSettings::default(),
            allowed_namespaces: Vec::new(),
        }
    }
}

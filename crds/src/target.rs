use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::bounds::{MAX_HOSTNAME, MAX_LABEL, MAX_PER_PREDICATE, MAX_PLACE, MAX_TARGET_ID, MAX_WEIGHT};

/// A server: `hostname` and `port`, or a Kubernetes `service`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.hostname) != has(self.service)")
        .message("a target is either a hostname with a port, or a service: give exactly one of them"),
    validation = Rule::new("!has(self.hostname) || has(self.port)")
        .message("a hostname needs a port, for instance port: 8080").reason(Reason::FieldValueRequired),
    validation = Rule::new("!has(self.service) || (!has(self.port) && !has(self.ipAddress))")
        .message("port and ipAddress go with hostname; with a service, write service.port")
)]
pub struct Target {
    /// Names the target in logs, metrics and status, uniquely within the backend. If absent: `scheme://hostname:port`, or
    /// `scheme://hostname@ipAddress:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TARGET_ID))]
    pub id: Option<String>,
    /// A host name or an IP address, without scheme, port and path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_HOSTNAME))]
    #[x_kube(validation = Rule::new(
        "self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$') || isIP(self)"
    ).message("a hostname is a name or an IP address, without scheme, port and path: api.internal or 10.0.0.7"))]
    pub hostname: Option<String>,
    /// The port at `hostname`, 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// A Kubernetes Service, followed to its pods by its EndpointSlices: each pod that is ready is a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    /// Call the target by HTTPS: its certificate has to be trusted and made for `hostname`. Default: false.
    #[serde(default)]
    pub tls: bool,
    /// The share of requests in proportion to the other targets' weights; 0 drains the target. Default: 1.
    #[serde(default = "default_weight")]
    #[schemars(range(max = MAX_WEIGHT))]
    pub weight: u32,
    /// The HTTP version spoken with the target: HTTP/1.0, HTTP/1.1, HTTP/2.0 (also for gRPC) or HTTP/3.0. Default: HTTP/1.1.
    /// With TLS, HTTP/2.0 is offered next to HTTP/1.1 and the target chooses. HTTP/3.0 is not supported yet.
    #[serde(default)]
    pub protocol: Protocol,
    /// When the target takes part. Default: always.
    #[serde(default)]
    pub predicate: Predicate,
    /// Connect to this address instead of resolving `hostname`, which is still sent as the name of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)").message("ipAddress is an IPv4 or IPv6 address, for instance 10.0.0.7"))]
    pub ip_address: Option<String>,
    /// TLS settings of this target; they count with `tls: true`.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Use the target only while no target without `backup` is available. Default: false.
    #[serde(default)]
    pub backup: bool,
}

impl Default for Target {
    /// No server yet, the rest as documented.
    fn default() -> Self {
        Self {
            id: None,
            hostname: None,
            port: None,
            service: None,
            tls: false,
            weight: default_weight(),
            protocol: Protocol::default(),
            predicate: Predicate::default(),
            ip_address: None,
            tls_config: TlsConfig::default(),
            backup: false,
        }
    }
}

impl Target {
    /// What the target is called without an id: `http://api.internal:8080`, `https://api.internal@10.0.0.7:8443`, or for a
    /// service `http://name.namespace:port`.
    pub fn default_id(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        if let Some(ServiceReference { name, namespace, port }) = &self.service {
            let namespace = namespace.iter().map(|namespace| format!(".{namespace}")).collect::<String>();
            let port = match port {
                IntOrString::Int(port) => port.to_string(),
                IntOrString::String(port) => port.clone(),
            };
            return format!("{scheme}://{name}{namespace}:{port}");
        }
        let hostname = self.hostname.as_deref().unwrap_or_default();
        let address = self.ip_address.iter().map(|address| format!("@{address}")).collect::<String>();
        format!("{scheme}://{hostname}{address}:{}", self.port.unwrap_or_default())
    }
}

pub(crate) const fn default_weight() -> u32 {
    1
}

/// A port of a Kubernetes Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceReference {
    /// The Service's name.
    #[schemars(length(min = 1, max = MAX_LABEL), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The Service's namespace. If absent: that of the object. Another one has to allow it by a ReferenceGrant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_LABEL), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// The Service's port, by number (1 to 65535) or by name.
    #[schemars(schema_with = "crate::bounds::port_or_name")]
    pub port: IntOrString,
}

/// The HTTP version spoken with a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    #[serde(rename = "HTTP/1.0")]
    Http10,
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http11,
    #[serde(rename = "HTTP/2.0")]
    Http2,
    #[serde(rename = "HTTP/3.0")]
    Http3,
}

/// When a target takes part.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new(
        "self.type == 'NetworkLocationMatch' || !(has(self.provider) || has(self.region) || has(self.zone) || \
         has(self.dataCenter) || has(self.rack))"
    ).message("provider, region, zone, dataCenter and rack only go with type NetworkLocationMatch"),
    validation = Rule::new(
        "self.type == 'RequestMatch' || !(has(self.methods) || has(self.headers) || has(self.query) || \
         has(self.cookies) || has(self.clientCidrs))"
    ).message("methods, headers, query, cookies and clientCidrs only go with type RequestMatch")
)]
pub struct Predicate {
    /// AlwaysMatch; NetworkLocationMatch: the worker's own location (its settings `instance.location`, else its node's region
    /// and zone) has to meet the patterns below; RequestMatch: the request has to meet the conditions below. Default: AlwaysMatch.
    #[serde(default, rename = "type")]
    pub type_: PredicateType,
    /// The provider that the worker runs at, `*` stands for any characters; compared without case. If absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PLACE))]
    pub provider: Option<String>,
    /// The region that the worker runs in, `*` stands for any characters. If absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PLACE))]
    pub region: Option<String>,
    /// The zone that the worker runs in, `*` stands for any characters. If absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PLACE))]
    pub zone: Option<String>,
    /// The data center that the worker runs in, `*` stands for any characters. If absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PLACE))]
    pub data_center: Option<String>,
    /// The rack that the worker runs in, `*` stands for any characters. If absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PLACE))]
    pub rack: Option<String>,
    /// For RequestMatch: upper-case, for instance GET. Empty: any. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::methods")]
    pub methods: Vec<String>,
    /// For RequestMatch: conditions on headers that all must hold; their names are compared without case. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PER_PREDICATE))]
    pub headers: Vec<Condition>,
    /// For RequestMatch: conditions on query parameters that all must hold. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PER_PREDICATE))]
    pub query: Vec<Condition>,
    /// For RequestMatch: conditions on cookies that all must hold. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PER_PREDICATE))]
    pub cookies: Vec<Condition>,
    /// For RequestMatch: networks such as `10.0.0.0/8`, or addresses, one of which has the client. Empty: any. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::client_cidrs")]
    pub client_cidrs: Vec<String>,
}

/// What a predicate looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PredicateType {
    #[default]
    AlwaysMatch,
    NetworkLocationMatch,
    RequestMatch,
}

/// TLS with one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsConfig {
    /// Use the settings below; without it they count for nothing, and the target is verified by what the worker's system
    /// trusts. Default: false.
    #[serde(default)]
    pub enabled: bool,
    /// Verify the target in any case: takes `trustAll` back. Default: false.
    #[serde(default)]
    pub loose: bool,
    /// Take any certificate of the target, also a self-signed one or one for another name. Default: false.
    #[serde(default)]
    pub trust_all: bool,
    /// Client certificates shown to a target that asks for one, the first that fits: names of Secrets of type
    /// kubernetes.io/tls in the namespace of the object, or of files `certificates/NAME.crt` with their `NAME.key`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::certificates")]
    pub certs: Vec<String>,
    /// Certificates that the target's one has to be, or to be signed by: names of Secrets with `ca.crt` or `tls.crt`, or of
    /// files `certificates/NAME.crt`. Empty: what the worker's system trusts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::certificates")]
    pub trusted_certs: Vec<String>,
}

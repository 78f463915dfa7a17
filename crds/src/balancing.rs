use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How a target is chosen for a request.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.ratio) || self.type == 'WeightedBestResponseTime'")
        .message("ratio only goes with type WeightedBestResponseTime"),
    validation = Rule::new("!has(self.headerName) || self.type == 'HeaderHash'")
        .message("headerName only goes with type HeaderHash"),
    validation = Rule::new("!has(self.cookieName) || self.type in ['CookieHash', 'Sticky']")
        .message("cookieName only goes with type CookieHash or Sticky"),
    validation = Rule::new("!has(self.cookieTtl) || self.type == 'Sticky'")
        .message("cookieTtl only goes with type Sticky"),
    validation = Rule::new("!has(self.queryName) || self.type == 'QueryHash'")
        .message("queryName only goes with type QueryHash")
)]
pub struct LoadBalancing {
    /// RoundRobin (each target in its turn), Random, Sticky (by a cookie that names the target), IpAddressHash (by the client's
    /// address), BestResponseTime, WeightedBestResponseTime, LeastConnections, PowerOfTwoRandomChoices, NaiveFailover (the
    /// first that works), HeaderHash, CookieHash or QueryHash (RoundRobin without a value). Default: RoundRobin.
    #[serde(default, rename = "type")]
    pub type_: LoadBalancingType,
    /// For WeightedBestResponseTime: the share of requests that prefer the fastest target, 0 to 0.99. If absent: 0.5.
    // A float, against the Kubernetes convention, because Otoroshi's is one and nothing exact is computed from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    // The API server prints a maximum of 0.99 as 0.
    #[x_kube(validation = Rule::new("self <= 0.99").message("ratio is a number from 0 to 0.99"))]
    pub ratio: Option<f64>,
    /// For HeaderHash: the header whose value is hashed. If absent: session-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header_name: Option<String>,
    /// For CookieHash: the cookie whose value is hashed; if absent: session-id. For Sticky: the name of the cookie; if absent:
    /// komainu-tracking- and a number of the backend's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie_name: Option<String>,
    /// For Sticky: how long the cookie lives; 0s: until the browser ends. If absent: 720h (30 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_ttl: Option<Duration>,
    /// For QueryHash: the query parameter whose value is hashed. If absent: session-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query_name: Option<String>,
    /// Use pods of Services that are in the worker's own zone (its setting `instance.location.zone`, else its node's) while
    /// one of them is available, whatever the type. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefer_own_zone: bool,
}

/// The ways to choose a target. The first six are on Otoroshi's page, its code has the others too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoadBalancingType {
    #[default]
    RoundRobin,
    Random,
    Sticky,
    IpAddressHash,
    BestResponseTime,
    WeightedBestResponseTime,
    LeastConnections,
    PowerOfTwoRandomChoices,
    NaiveFailover,
    HeaderHash,
    CookieHash,
    QueryHash,
}

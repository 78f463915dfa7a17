use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::MAX_HOSTNAME;

/// A forward proxy on the way to the targets.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.password) || has(self.principal)")
    .message("a password needs a principal, the name that it belongs to").reason(Reason::FieldValueRequired))]
pub struct UpstreamProxy {
    /// The proxy's host name or IP address.
    #[schemars(length(min = 1, max = MAX_HOSTNAME))]
    pub host: String,
    /// The proxy's port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// How the proxy itself is reached: http or https. If absent: http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProxyProtocol>,
    /// The user name for the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub principal: Option<String>,
    /// The password for the proxy. Whoever may read this object may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub password: Option<String>,
    /// Hosts that are reached without the proxy, `*` stands for any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = MAX_HOSTNAME)))]
    pub non_proxy_hosts: Vec<String>,
}

/// How a forward proxy is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    #[default]
    Http,
    Https,
}

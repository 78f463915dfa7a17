use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::MAX_HOSTNAME;

/// A forward proxy on the way to the targets. Each connection to a target begins at the proxy, which is asked to lead to it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.password) && !has(self.passwordSecret) || has(self.principal)")
    .message("a password needs a principal, the name that it belongs to").reason(Reason::FieldValueRequired))]
#[x_kube(validation = Rule::new("!has(self.password) || !has(self.passwordSecret)")
    .message("write password or passwordSecret, not both").reason(Reason::FieldValueInvalid))]
pub struct UpstreamProxy {
    /// The proxy's host name or IP address.
    #[schemars(length(min = 1, max = MAX_HOSTNAME))]
    pub host: String,
    /// The proxy's port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// How the proxy is spoken to: CONNECT of http, the same inside TLS as https, whose certificate has to be one that the
    /// worker's system trusts, or socks5. If absent: http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProxyProtocol>,
    /// The user name for the proxy. For http and https without `:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub principal: Option<String>,
    /// The password for the proxy. Whoever may read this object may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub password: Option<String>,
    /// Where the password for the proxy is, instead of in `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretEntry>,
    /// Host names of targets that are reached without the proxy, `*` stands for any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = MAX_HOSTNAME)))]
    pub non_proxy_hosts: Vec<String>,
}

/// One entry of a secret in the namespace of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretEntry {
    /// The Secret, of any type but kubernetes.io/tls; outside a cluster the folder `secrets/NAME` of the resources.
    #[schemars(length(min = 1, max = MAX_HOSTNAME), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The entry of its `data`, or the file in that folder.
    #[schemars(length(min = 1, max = MAX_HOSTNAME), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// How a forward proxy is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    #[default]
    Http,
    Https,
    Socks5,
}

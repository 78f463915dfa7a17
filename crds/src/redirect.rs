use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_HOSTNAME, MAX_PATTERN};

/// Where clients are redirected to: `location`, or what is different from the URL that they asked for.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.location) || has(self.scheme) || has(self.hostname) || has(self.port) || has(self.path)")
        .message("a redirect needs location, scheme, hostname, port or path: otherwise it leads to itself"),
    validation = Rule::new("!has(self.location) || !(has(self.scheme) || has(self.hostname) || has(self.port) || has(self.path))")
        .message("location is the whole URL: leave scheme, hostname, port and path out"),
    validation = Rule::new("!has(self.statusCode) || self.statusCode in [301, 302, 303, 307, 308]")
        .message("the status of a redirect is 301, 302, 303, 307 or 308")
)]
pub struct RequestRedirect {
    /// The whole URL, or a path from / on. The query of the request isn't appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PATTERN))]
    pub location: Option<String>,
    /// If absent: that of the request, as this gateway sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<RedirectScheme>,
    /// If absent: that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_HOSTNAME))]
    pub hostname: Option<String>,
    /// If absent: with `scheme` the usual one of the scheme, otherwise that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// If absent: that of the request. The query is always kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RedirectPath>,
    /// 301, 302, 303, 307 or 308. Default: 302.
    #[serde(default = "default_redirect_status")]
    #[schemars(range(min = 301, max = 308))]
    pub status_code: u16,
}

const fn default_redirect_status() -> u16 {
    302
}

impl Default for RequestRedirect {
    /// Leads nowhere yet.
    fn default() -> Self {
        Self {
            location: None,
            scheme: None,
            hostname: None,
            port: None,
            path: None,
            status_code: default_redirect_status(),
        }
    }
}

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RedirectScheme {
    Http,
    Https,
}

/// The path of a redirect: one of both.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.replaceFullPath) != has(self.replacePrefixMatch)")
    .message("give either replaceFullPath or replacePrefixMatch: exactly one of them"))]
pub struct RedirectPath {
    /// Instead of the whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PATTERN))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("a path starts with /, for instance /new"))]
    pub replace_full_path: Option<String>,
    /// Instead of the part of the path that the route's pattern matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PATTERN))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("a path starts with /, for instance /new"))]
    pub replace_prefix_match: Option<String>,
}

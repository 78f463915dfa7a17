use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_DIRECT_BODY, MAX_HOSTNAME, MAX_MIRRORS, MAX_RATE_LIMITS};
use crate::{Cors, HeaderModifier, RateLimit, RequestMirror, RequestRedirect};

/// What is done to the requests of a route and to their responses. Each filter at most once; the order in which they are
/// applied is fixed and is the order here.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.requestRedirect) || !has(self.directResponse)")
        .message("requestRedirect and directResponse both answer every request: write only one of them"),
    validation = Rule::new("!has(self.requestMirrors) || !(has(self.requestRedirect) || has(self.directResponse))")
        .message("requestRedirect and directResponse answer every request, and none is mirrored: leave requestMirrors out")
)]
pub struct RouteFilters {
    /// Which clients are served, by their IP address; the others are answered with 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_access: Option<IpAccess>,
    /// How large a request may be; a larger one is answered with 413 or 431.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RequestLimits>,
    /// Which scripts of other sites may use the responses. Preflight requests are answered by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// How many requests may come in a time, at all workers together; one beyond is answered with 429, with Retry-After and
    /// RateLimit-* fields that say when the next may come. Preflight requests that cors answers aren't counted. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_RATE_LIMITS))]
    #[x_kube(validation = Rule::new(
        "self.all(a, self.exists_one(b, b.per == a.per && has(b.key) == has(a.key) && (!has(a.key) || !has(b.key) || \
         b.key.type == a.key.type && (has(b.key.name) ? b.key.name : '') == (has(a.key.name) ? a.key.name : ''))))"
    ).message("two limits have the same key and period: write only one of them"))]
    pub rate_limits: Vec<RateLimit>,
    /// Answer every request with a redirect. The route then has no backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<RequestRedirect>,
    /// Answer every request with a fixed response. The route then has no backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_response: Option<DirectResponse>,
    /// What is changed in the headers of requests before they are sent to a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HeaderModifier>,
    /// What else of requests is rewritten; the path is rewritten by the backend's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<UrlRewrite>,
    /// Backends that get copies of requests, besides the target; what they answer is dropped, and no request waits for them.
    /// At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MIRRORS))]
    pub request_mirrors: Vec<RequestMirror>,
    /// What is changed in the headers of responses before they are sent to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HeaderModifier>,
}

impl RouteFilters {
    /// Every request is answered here, and none goes to a backend.
    pub const fn is_answering(&self) -> bool {
        self.request_redirect.is_some() || self.direct_response.is_some()
    }
}

/// What of a request is rewritten besides its path.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.hostname)").message("urlRewrite needs hostname"))]
pub struct UrlRewrite {
    /// The host name, with a port if wanted, that is sent as `Host`; not together with overrideHost, which sends the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_HOSTNAME))]
    pub hostname: Option<String>,
}

/// A response of the gateway itself.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.body) || size(self.body) == 0 || !has(self.status) || !(self.status in [204, 205, 304])")
    .message("a response with the status 204, 205 or 304 has no body: leave it out"))]
pub struct DirectResponse {
    /// The status code. Default: 200.
    #[serde(default = "default_direct_status")]
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// The body. Not for 204, 205 and 304, which have none. Default: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MAX_DIRECT_BODY))]
    pub body: String,
    /// The media type of the body. If absent: `text/plain; charset=utf-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub content_type: Option<String>,
}

const fn default_direct_status() -> u16 {
    200
}

impl Default for DirectResponse {
    fn default() -> Self {
        Self { status: default_direct_status(), body: String::new(), content_type: None }
    }
}

/// Which clients are served. The address is the peer's or, if that is a trusted proxy, what it says.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.allow) || has(self.deny)")
    .message("ipAccess needs allow or deny with at least one address, for instance 10.0.0.0/8"))]
pub struct IpAccess {
    /// Addresses and networks (10.0.0.7, 10.0.0.0/8, fd00::/8) that are served, and no others. Empty: all. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::networks")]
    pub allow: Vec<String>,
    /// Addresses and networks that aren't served, also if they are in `allow`. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::networks")]
    pub deny: Vec<String>,
}

/// How large a request may be, within the limits of the whole gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.maxBodyBytes) || has(self.maxHeaderBytes) || has(self.maxHeaders)")
    .message("limits needs maxBodyBytes, maxHeaderBytes or maxHeaders"))]
pub struct RequestLimits {
    /// Bytes of a body, without its chunk framing, at most 1 TiB. A larger one is answered with 413. If absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub max_body_bytes: Option<u64>,
    /// Bytes of a head, the request line included. A larger one is answered with 431. If absent: as the gateway's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_header_bytes: Option<u32>,
    /// Headers of a request. More are answered with 431. If absent: as the gateway's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_headers: Option<u32>,
}

use std::collections::BTreeMap;

use super::{Condition, HealthCheck};

/// How requests are sent to the targets, which are in the Endpoints of the same namespace and name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Backend {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub metadata: BTreeMap<String, String>,
    /// Path prefix, or the whole new path if `rewrite`. May hold `${…}` expressions.
    #[prost(string, tag = "3")]
    pub root: String,
    #[prost(bool, tag = "4")]
    pub rewrite: bool,
    #[prost(message, optional, tag = "5")]
    pub load_balancing: Option<LoadBalancing>,
    #[prost(message, optional, tag = "6")]
    pub client: Option<ClientSettings>,
    /// Absent: targets aren't checked.
    #[prost(message, optional, boxed, tag = "7")]
    pub health_check: Option<Box<HealthCheck>>,
    /// Health checks are disbelieved while fewer than so many percent of the targets are healthy; 0: never. Absent: while
    /// none is.
    #[prost(uint32, optional, tag = "8")]
    pub panic_threshold: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct LoadBalancing {
    #[prost(enumeration = "LoadBalancingPolicy", tag = "1")]
    pub policy: i32,
    /// For WeightedBestResponseTime: the share of requests that goes to the fastest target, 0 to 0.99.
    #[prost(double, tag = "2")]
    pub ratio: f64,
    /// Of the header, cookie or query parameter that is hashed, or of Sticky's cookie; that one may be empty, and then the
    /// worker makes one of the backend's key.
    #[prost(string, tag = "3")]
    pub name: String,
    /// For Sticky: how long the cookie lives, in seconds; 0: until the browser ends.
    #[prost(uint64, tag = "4")]
    pub ttl: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum LoadBalancingPolicy {
    RoundRobin = 0,
    Random = 1,
    Sticky = 2,
    IpAddressHash = 3,
    BestResponseTime = 4,
    WeightedBestResponseTime = 5,
    LeastConnections = 6,
    PowerOfTwoRandomChoices = 7,
    NaiveFailover = 8,
    HeaderHash = 9,
    CookieHash = 10,
    QueryHash = 11,
}

/// All durations in milliseconds; 0: no limit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientSettings {
    #[prost(uint64, tag = "1")]
    pub connection_timeout: u64,
    #[prost(uint64, tag = "2")]
    pub idle_timeout: u64,
    #[prost(uint64, tag = "3")]
    pub call_timeout: u64,
    #[prost(uint64, tag = "4")]
    pub call_and_stream_timeout: u64,
    #[prost(uint64, tag = "5")]
    pub global_timeout: u64,
    #[prost(message, repeated, tag = "6")]
    pub custom_timeouts: Vec<CustomTimeouts>,
    /// Absent: a failed request isn't sent again.
    #[prost(message, optional, tag = "7")]
    pub retries: Option<Retries>,
    /// Absent: no circuit breaker.
    #[prost(message, optional, tag = "8")]
    pub breaker: Option<Breaker>,
    /// Absent: the pools that all backends share, and a queue of 2048.
    #[prost(message, optional, tag = "9")]
    pub connections: Option<ConnectionSettings>,
    /// Absent: targets are connected to directly.
    #[prost(message, optional, boxed, tag = "10")]
    pub proxy: Option<Box<ForwardProxy>>,
}

/// What stands between the worker and the targets, and is told where to lead.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ForwardProxy {
    /// A host name or an IP address.
    #[prost(string, tag = "1")]
    pub host: String,
    #[prost(uint32, tag = "2")]
    pub port: u32,
    #[prost(enumeration = "ProxyProtocol", tag = "3")]
    pub protocol: i32,
    /// Empty: the proxy isn't told who asks.
    #[prost(string, tag = "4")]
    pub principal: String,
    /// The key of the [`Secret`](super::Secret) with the password; empty: there is none.
    #[prost(string, tag = "5")]
    pub password: String,
    /// Patterns with `*` for the host names of targets that are connected to directly.
    #[prost(string, repeated, tag = "6")]
    pub non_proxy_hosts: Vec<String>,
}

/// How a forward proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ProxyProtocol {
    /// CONNECT (RFC 9110 section 9.3.6).
    Http = 0,
    /// CONNECT inside TLS.
    Https = 1,
    /// RFC 1928.
    Socks5 = 2,
}

/// How connections to targets are kept.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ConnectionSettings {
    /// No other backend uses them.
    #[prost(bool, tag = "1")]
    pub own_pool: bool,
    /// Most requests that wait for a connection to one target.
    #[prost(uint32, tag = "2")]
    pub queue_size: u32,
}

/// How often and when a request that failed is sent again. Durations in milliseconds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Retries {
    /// Beyond the first try.
    #[prost(uint32, tag = "1")]
    pub count: u32,
    /// Before the first retry.
    #[prost(uint64, tag = "2")]
    pub initial_delay: u64,
    /// Before the second one; each further one waits `backoff_factor` times as long.
    #[prost(uint64, tag = "3")]
    pub interval: u64,
    /// 0 is 1.
    #[prost(uint32, tag = "4")]
    pub backoff_factor: u32,
    /// Also requests that may have an effect each time.
    #[prost(bool, tag = "5")]
    pub non_idempotent: bool,
    /// Answers that are failures.
    #[prost(uint32, repeated, tag = "6")]
    pub statuses: Vec<u32>,
}

/// When a target that fails gets no requests for a while.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Breaker {
    /// In a row, at least 1.
    #[prost(uint32, tag = "1")]
    pub max_errors: u32,
    /// Milliseconds in which the errors have to come, and for which the breaker then stays open.
    #[prost(uint64, tag = "2")]
    pub interval: u64,
    /// Answers from 500 are errors, too.
    #[prost(bool, tag = "3")]
    pub server_errors: bool,
}

/// Other timeouts for the paths that meet `path`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CustomTimeouts {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(message, optional, tag = "2")]
    pub timeouts: Option<ClientSettings>,
}

/// The targets of a backend. Apart from it, so that a moved pod is one small object and no route is compiled again.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Endpoints {
    #[prost(message, repeated, tag = "1")]
    pub targets: Vec<Target>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Target {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(uint32, tag = "3")]
    pub port: u32,
    /// 0: drained, gets no new requests.
    #[prost(uint32, tag = "4")]
    pub weight: u32,
    /// Connect here instead of resolving the host name; empty: resolve.
    #[prost(string, tag = "5")]
    pub ip_address: String,
    #[prost(enumeration = "Protocol", tag = "6")]
    pub protocol: i32,
    /// Only for when no target without this is available.
    #[prost(bool, tag = "7")]
    pub backup: bool,
    /// Absent: the target is one for every request.
    #[prost(message, optional, tag = "8")]
    pub predicate: Option<Predicate>,
    /// Absent: clear text.
    #[prost(message, optional, tag = "9")]
    pub tls: Option<TargetTls>,
    /// Where it is, if workers in this zone prefer it; empty: nobody does.
    #[prost(string, tag = "10")]
    pub zone: String,
}

/// TLS towards a target. Certificates are named by their keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TargetTls {
    /// Each has a private key. Shown to a target that asks for one: the first that fits.
    #[prost(string, repeated, tag = "1")]
    pub client_certificates: Vec<String>,
    /// What the target's certificate is, or is signed by; empty: the roots that the worker's system trusts.
    #[prost(string, repeated, tag = "2")]
    pub trusted: Vec<String>,
    /// Neither chain nor host name is verified.
    #[prost(bool, tag = "3")]
    pub trust_all: bool,
}

/// Which requests a target is for. One of a kind that a receiver doesn't know is refused.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Predicate {
    #[prost(oneof = "PredicateKind", tags = "1, 2")]
    pub kind: Option<PredicateKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum PredicateKind {
    #[prost(message, tag = "1")]
    NetworkLocation(NetworkLocation),
    #[prost(message, tag = "2")]
    Request(RequestMatch),
}

/// Patterns with `*` for where the worker runs; empty: any.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NetworkLocation {
    #[prost(string, tag = "1")]
    pub provider: String,
    #[prost(string, tag = "2")]
    pub region: String,
    #[prost(string, tag = "3")]
    pub zone: String,
    #[prost(string, tag = "4")]
    pub data_center: String,
    #[prost(string, tag = "5")]
    pub rack: String,
}

/// Conditions on a request that all must hold.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestMatch {
    /// Upper-case; empty: any.
    #[prost(string, repeated, tag = "1")]
    pub methods: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<Condition>,
    #[prost(message, repeated, tag = "3")]
    pub query: Vec<Condition>,
    #[prost(message, repeated, tag = "4")]
    pub cookies: Vec<Condition>,
    /// Networks or addresses, one of which has the client; empty: any.
    #[prost(string, repeated, tag = "5")]
    pub client_cidrs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Protocol {
    Http11 = 0,
    Http10 = 1,
    /// With TLS if the target chooses it (ALPN), without by prior knowledge.
    Http2 = 2,
}

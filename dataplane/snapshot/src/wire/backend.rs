use std::collections::BTreeMap;

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
    /// Health checks are disbelieved while fewer than so many percent of the targets are healthy; 0: never. Absent: while
    /// none is.
    #[prost(uint32, optional, tag = "8")]
    pub panic_threshold: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct LoadBalancing {
    #[prost(enumeration = "LoadBalancingPolicy", tag = "1")]
    pub policy: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum LoadBalancingPolicy {
    RoundRobin = 0,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Protocol {
    Http11 = 0,
    Http10 = 1,
}

/// How a worker finds out which targets of a backend can take requests. All durations in milliseconds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheck {
    #[prost(enumeration = "HealthCheckKind", tag = "1")]
    pub kind: i32,
    /// For HTTP: a path, or an absolute `http://` URL.
    #[prost(string, tag = "2")]
    pub url: String,
    /// The longest time between two checks; 0: 10,000.
    #[prost(uint64, tag = "3")]
    pub interval: u64,
    /// 0: 5,000.
    #[prost(uint64, tag = "4")]
    pub timeout: u64,
    /// Percent of the interval by which a wait may be shorter.
    #[prost(uint32, tag = "5")]
    pub jitter: u32,
    /// 0: 1.
    #[prost(uint32, tag = "6")]
    pub healthy_threshold: u32,
    /// 0: 1.
    #[prost(uint32, tag = "7")]
    pub unhealthy_threshold: u32,
    /// Empty: 200 to 499.
    #[prost(uint32, repeated, tag = "8")]
    pub healthy_statuses: Vec<u32>,
    #[prost(uint32, repeated, tag = "9")]
    pub unhealthy_statuses: Vec<u32>,
    #[prost(string, repeated, tag = "10")]
    pub healthy_patterns: Vec<String>,
    #[prost(string, repeated, tag = "11")]
    pub unhealthy_patterns: Vec<String>,
    /// No traffic also for a target that answers as unhealthy.
    #[prost(bool, tag = "12")]
    pub block_on_red: bool,
    /// Ask for Otoroshi's answer to a number.
    #[prost(bool, tag = "13")]
    pub logic_check: bool,
    /// For gRPC: the service that is asked about; empty: the server itself.
    #[prost(string, tag = "14")]
    pub service: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum HealthCheckKind {
    Http = 0,
    /// A connection that is opened is enough.
    Tcp = 1,
    /// `grpc.health.v1.Health/Check` by HTTP/2.
    Grpc = 2,
}

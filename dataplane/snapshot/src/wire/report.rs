use std::collections::BTreeMap;

use super::{Member, NetworkLocation};

/// The most targets that a report tells of.
pub const MAX_TARGETS: usize = 32_768;

/// The longest report, in bytes: 256 for each of so many targets. A worker with longer texts tells of fewer.
pub const MAX_REPORT_BYTES: usize = MAX_TARGETS * 256;

/// The longest description of a process in it, in bytes.
pub const MAX_NODE_BYTES: usize = 64 * 1024;

/// What a worker tells a leader about itself and its targets. It says how things are, not what happened: it can come twice,
/// late or never, and the next one makes up for it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Report {
    #[prost(message, optional, tag = "1")]
    pub member: Option<Member>,
    /// Grows with each report of a process, from 1 on; a report below the newest one came late.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The sequence of a report that the leader has taken. Of the targets only those are in this one that are otherwise
    /// than in that. 0: all are.
    #[prost(uint64, tag = "3")]
    pub base: u64,
    #[prost(message, optional, tag = "4")]
    pub node: Option<Node>,
    #[prost(message, optional, tag = "5")]
    pub usage: Option<Usage>,
    #[prost(message, repeated, tag = "6")]
    pub targets: Vec<TargetLevel>,
}

/// What a process is, which hardly changes while it runs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// `off`, `leader` or `worker`, as the setting `cluster.mode`.
    #[prost(string, tag = "1")]
    pub mode: String,
    /// Where it runs; what isn't known is empty.
    #[prost(message, optional, tag = "2")]
    pub location: Option<NetworkLocation>,
    /// Where its health and metrics are.
    #[prost(string, tag = "3")]
    pub admin: String,
    /// The listeners that are open, and their addresses.
    #[prost(btree_map = "string, string", tag = "4")]
    pub listeners: BTreeMap<String, String>,
    /// Of the settings of the cluster that nodes should share.
    #[prost(string, tag = "5")]
    pub settings_hash: String,
    /// Milliseconds since 1970-01-01 UTC, by its own clock.
    #[prost(uint64, tag = "6")]
    pub started_at: u64,
}

/// What a process does and takes.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Usage {
    /// Milliseconds since its start.
    #[prost(uint64, tag = "1")]
    pub uptime: u64,
    /// Answered, since the reading before.
    #[prost(double, tag = "2")]
    pub requests_per_second: f64,
    /// Of those requests, in microseconds; 0: there were none.
    #[prost(uint64, tag = "3")]
    pub mean_latency: u64,
    #[prost(uint64, tag = "4")]
    pub p99_latency: u64,
    /// Cores that it keeps busy, since the reading before.
    #[prost(double, tag = "5")]
    pub cores: f64,
    /// Bytes that are resident.
    #[prost(uint64, tag = "6")]
    pub memory: u64,
}

/// How one target stands with one worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TargetLevel {
    /// The backend's key.
    #[prost(string, tag = "1")]
    pub backend: String,
    /// The target's id.
    #[prost(string, tag = "2")]
    pub target: String,
    #[prost(enumeration = "TargetStanding", tag = "3")]
    pub standing: i32,
    /// Since when, in milliseconds since 1970-01-01 UTC, by the worker's clock.
    #[prost(uint64, tag = "4")]
    pub since: u64,
    /// What the last probe found; empty while that is what it should be.
    #[prost(string, tag = "5")]
    pub reason: String,
    #[prost(enumeration = "TargetBreaker", tag = "6")]
    pub breaker: i32,
    /// It is no longer checked, and its breaker isn't open: nothing is said about it any more.
    #[prost(bool, tag = "7")]
    pub gone: bool,
}

/// What the health checks of a worker decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TargetStanding {
    NotChecked = 0,
    /// It gets traffic.
    In = 1,
    Out = 2,
}

/// Whether the circuit breaker of a worker lets requests through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TargetBreaker {
    Closed = 0,
    Open = 1,
}

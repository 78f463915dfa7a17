use std::collections::BTreeMap;

use super::Filter;

/// Which requests go where. Its id is the object's key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Route {
    /// The name shown to people, as `${route.name}`.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub metadata: BTreeMap<String, String>,
    /// Names of listeners; empty: all.
    #[prost(string, repeated, tag = "3")]
    pub listeners: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub rules: Vec<Rule>,
}

/// Requests that meet any of `matches` pass `filters` and go to one of `destinations`, by weight.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rule {
    #[prost(message, repeated, tag = "1")]
    pub matches: Vec<Match>,
    #[prost(message, repeated, tag = "2")]
    pub filters: Vec<Filter>,
    #[prost(message, repeated, tag = "3")]
    pub destinations: Vec<Destination>,
}

/// The product of hostnames and paths, with conditions that all must hold.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Match {
    /// Lower-case: exact, or a wildcard `*.example.com` (one or more labels). Empty: any host.
    #[prost(string, repeated, tag = "1")]
    pub hostnames: Vec<String>,
    /// Empty: any path.
    #[prost(message, repeated, tag = "2")]
    pub paths: Vec<PathMatch>,
    /// Upper-case; empty: any.
    #[prost(string, repeated, tag = "3")]
    pub methods: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub headers: Vec<Condition>,
    #[prost(message, repeated, tag = "5")]
    pub query: Vec<Condition>,
    #[prost(message, repeated, tag = "6")]
    pub cookies: Vec<Condition>,
    /// Among matches with the same listener, host and path the lowest goes first. Made by `plan`, unique in a snapshot.
    #[prost(bytes = "bytes", tag = "7")]
    pub precedence: bytes::Bytes,
}

/// A path pattern, segment by segment: literal, `:name`, `$name<regex>` (whole segment), or with `*`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PathMatch {
    #[prost(enumeration = "PathKind", tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub pattern: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum PathKind {
    Prefix = 0,
    Exact = 1,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Condition {
    /// Lower-case for headers.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(enumeration = "ConditionKind", tag = "2")]
    pub kind: i32,
    /// Unused for `Present` and `Absent`.
    #[prost(string, tag = "3")]
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ConditionKind {
    Exact = 0,
    /// Full match, Unicode classes off.
    Regex = 1,
    /// `*` stands for any characters, also none.
    Wildcard = 2,
    Present = 3,
    Absent = 4,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Destination {
    /// A key of kind backend; its targets are in the Endpoints of the same namespace and name.
    #[prost(string, tag = "1")]
    pub backend: String,
    #[prost(uint32, tag = "2")]
    pub weight: u32,
    #[prost(message, repeated, tag = "3")]
    pub filters: Vec<Filter>,
}

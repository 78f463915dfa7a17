//! The messages on the wire and on disk, in Protocol Buffers. Field numbers are never reused. Every field may be absent or
//! empty: a receiver validates before it compiles.

mod backend;
mod filter;
mod health;
mod listener;
mod protocol;
mod report;
mod route;
mod secret;
mod usage;

pub use backend::{
    Backend, Breaker, ClientSettings, ConnectionSettings, CustomTimeouts, Endpoints, ForwardProxy,
    LoadBalancing, LoadBalancingPolicy, NetworkLocation, Predicate, PredicateKind, Protocol, ProxyProtocol,
    RequestMatch, Retries, Target, TargetTls,
};
pub use filter::{
    AddressAccess, Cors, DirectAnswer, Filter, FilterKind, FilterSettings, Fraction, HeaderEdits,
    HeaderField, RateLimit, RateLimitKey, RateLimitPeriod, RateLimits, Redirect, RequestLimits,
    RequestMirror,
};
pub use health::{HealthCheck, HealthCheckKind};
pub use listener::{ClientCertificates, Listener, ListenerProtocol, ListenerTls};
pub use protocol::{
    Ack, FORMAT_VERSION, Member, Rejection, Relay, RelayAnswer, RelayedWorker, State, StateError,
    StateObject, WireAsOf, WireSource, as_of_from_wire, as_of_to_wire,
};
pub use report::{
    MAX_NODE_BYTES, MAX_REPORT_BYTES, MAX_TARGETS, Node, Report, TargetBreaker, TargetLevel, TargetStanding,
    Usage,
};
pub use route::{Condition, ConditionKind, Destination, Match, PathKind, PathMatch, Route, Rule};
pub use secret::{Certificate, Secret, SecretKind};
pub use usage::{
    MAX_PUSH_BYTES, MAX_PUSHED_TOTALS, OTHER_CONSUMERS, UsageAnswer, UsageCounts, UsagePush, UsageTotal,
};

use crate::Kind;

/// What the bytes of an object hold.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Content {
    #[prost(btree_map = "string, string", tag = "1")]
    pub labels: std::collections::BTreeMap<String, String>,
    #[prost(oneof = "Payload", tags = "2, 3, 4, 5, 6, 7, 15")]
    pub payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Payload {
    #[prost(message, tag = "2")]
    Listener(Listener),
    #[prost(message, tag = "3")]
    Route(Route),
    #[prost(message, tag = "4")]
    Backend(Backend),
    #[prost(message, tag = "5")]
    Endpoints(Endpoints),
    #[prost(message, tag = "6")]
    Certificate(Certificate),
    #[prost(message, tag = "7")]
    Secret(Secret),
    #[prost(message, tag = "15")]
    Held(Held),
}

/// Stands in for an object that couldn't be planned. A worker that has a good version of it keeps serving that one; one
/// that never had one answers 503 with the reason.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Held {
    #[prost(string, tag = "1")]
    pub reason: String,
    /// For a route whose matches are good: where the 503 is answered, so that its requests don't fall to another route.
    #[prost(message, optional, tag = "2")]
    pub route: Option<Route>,
}

impl Payload {
    /// `None` for [`Held`], which fits every kind.
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Listener(_) => Some(Kind::Listener),
            Self::Route(_) => Some(Kind::Route),
            Self::Backend(_) => Some(Kind::Backend),
            Self::Endpoints(_) => Some(Kind::Endpoints),
            Self::Certificate(_) => Some(Kind::Certificate),
            Self::Secret(_) => Some(Kind::Secret),
            Self::Held(_) => None,
        }
    }
}

impl From<Payload> for Content {
    fn from(payload: Payload) -> Self {
        Self { labels: std::collections::BTreeMap::new(), payload: Some(payload) }
    }
}

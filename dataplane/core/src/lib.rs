//! What a worker does with a request, without doing it: which route, which backend, which target, which path.
//!
//! A [`Router`] is compiled from what a worker serves ([`served::Served`]) and is immutable; a change makes another one
//! that shares with it all that stayed the same. Only [`BackendStates`] lives on from one to the next.
//!
//! This crate is pure: no clock, no socket, no randomness.

mod atomic;
pub mod backend;
pub mod balance;
mod breaker;
mod budget;
mod certificates;
mod choice;
pub mod condition;
mod connections;
mod cookie;
mod decision;
pub mod expression;
pub mod filter;
mod forward_proxy;
mod glob;
mod head;
pub mod health;
pub mod hostname;
pub mod limit;
mod listener;
mod moment;
pub mod names;
mod passwords;
pub mod path;
pub mod pattern;
mod predicate;
mod query;
mod regex;
pub mod report;
mod resilience;
mod retry;
mod rewrite;
mod route;
mod router;
#[cfg(test)]
mod sample;
pub mod served;
mod state;
pub mod stored;
pub mod subscription;
mod target;
mod timeouts;
mod tls;

pub use backend::CompiledBackend;
pub use balance::{Latency, Outcome, Schedule, Warmth};
pub use breaker::{Breaker, BreakerRule, BreakerState, Permit};
pub use budget::RetryBudget;
pub use choice::{Choice, Tried};
pub use condition::{Condition, ConditionError, Place};
pub use connections::{Connections, PoolKey};
pub use decision::{Answered, Decision, Matched};
pub use expression::{ExpressionError, Template};
pub use filter::{FilterError, Filters};
pub use forward_proxy::{Credentials, CredentialsError, ForwardProxy};
pub use glob::Glob;
pub use head::RequestHead;
pub use hostname::{HostError, HostPattern};
pub use listener::{CompiledListener, ListenerId};
pub use moment::Moment;
pub use path::BadPath;
pub use pattern::{PathPattern, PatternError};
pub use predicate::{Location, parse_network};
pub use regex::{FoundRegex, FullRegex, RegexError};
pub use resilience::Retries;
pub use retry::{Fault, RetryRule};
pub use rewrite::{RewriteError, Root, RootError};
pub use route::{CompiledDestination, CompiledRoute, CompiledRule};
pub use router::{Compiled, Router};
pub use state::{BackendStates, InFlight, Queued, TargetState};
pub use target::CompiledTarget;
pub use timeouts::Timeouts;
pub use tls::{
    CertifiedKey, ClientCertificates, ClientTrust, ListenerTls, PrivateKey, TargetTls, TlsIdentity,
};

//! The custom resources of `komainu.dev/v1alpha1`: what users write and what they see.
//!
//! The types are the one source of the CRDs in `generated/` (`komainu crds` prints them).

mod backend;
mod client;
mod duration;
mod route;
mod status;

pub use backend::{
    Backend, BackendSpec, HealthCheck, LoadBalancing, LoadBalancingType, Predicate, PredicateType, Protocol,
    ServiceReference, Target, TlsConfig,
};
pub use client::{ClientSettings, ConnectionCache, CustomTimeouts, UpstreamProxy};
pub use duration::{Duration, DurationError};
pub use route::{
    BackendReference, Condition, ConditionType, InlineBackend, PathMatch, PathType, Route, RouteBackend, RouteMatch,
    RouteSpec,
};
pub use status::{BackendStatus, RouteStatus};

/// The API group of all kinds.
pub const GROUP: &str = "komainu.dev";
/// The only version so far.
pub const VERSION: &str = "v1alpha1";

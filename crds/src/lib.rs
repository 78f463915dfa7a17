//! The custom resources of `komainu.dev/v1alpha1`: what users write and what they see.
//!
//! The types are the one source of the CRDs in `generated/` (`komainu crds` prints them).

#![expect(
    unreachable_pub,
    reason = "the KubeSchema macro repeats each type within a function, with its visibility"
)]

mod backend;
mod balancing;
pub mod bounds;
mod client;
mod cors;
mod definitions;
mod duration;
mod filters;
mod header_modifier;
mod health;
mod rate_limit;
mod redirect;
mod request_mirror;
mod route;
mod route_match;
mod status;
mod target;
mod upstream_proxy;

pub use backend::{Backend, BackendSpec};
pub use balancing::{LoadBalancing, LoadBalancingType};
pub use client::{ClientSettings, ConnectionCache, CustomTimeouts};
pub use cors::Cors;
pub use definitions::{crds, to_yaml};
pub use duration::{Duration, DurationError};
pub use filters::{DirectResponse, IpAccess, RequestLimits, RouteFilters, UrlRewrite};
pub use header_modifier::{HeaderModifier, HeaderValue};
pub use health::{HealthCheck, HealthCheckType};
pub use rate_limit::{RateLimit, RateLimitKey, RateLimitKeyType, RateLimitPeriod};
pub use redirect::{RedirectPath, RedirectScheme, RequestRedirect};
pub use request_mirror::{Fraction, RequestMirror};
pub use route::{BackendReference, InlineBackend, Route, RouteBackend, RouteSpec};
pub use route_match::{Condition, ConditionType, PathMatch, PathType, RouteMatch};
pub use status::{BackendStatus, RouteStatus, TargetCounts, TargetState, WorstTarget};
pub use target::{Predicate, PredicateType, Protocol, ServiceReference, Target, TlsConfig};
pub use upstream_proxy::{ProxyProtocol, SecretEntry, UpstreamProxy};

/// The API group of all kinds.
pub const GROUP: &str = "komainu.dev";
/// The only version so far.
pub const VERSION: &str = "v1alpha1";

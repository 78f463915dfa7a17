//! The leader's decisions, without I/O: what the sources say becomes one [`World`], and [`plan`] turns it into the objects of
//! a snapshot and the status of each object.

pub mod absence;
pub mod conditions;
pub mod healthy;
pub mod otoroshi;
pub mod overview;
mod plan;
pub mod programmed;
pub mod propagation;
pub mod reports;
mod scoped;
mod service;
pub mod session;
mod status;
pub mod unready;
pub mod usage;
pub mod used_up;
mod world;

pub use plan::{Memo, Plan, check_listeners, plan};
pub use scoped::{MAX_SCOPES, Part, Scoped};
pub use service::{
    Endpoint, EndpointConditions, GrantFrom, GrantSpec, GrantTo, ServicePort, ServiceSpec, SlicePort,
    SliceSpec, service_of, slice_key,
};
pub use status::{
    Acceptance, ObjectStatus, Refusal, RefusalReason, Statuses, Targets, Unresolved, UnresolvedReason,
};
pub use world::{
    CertificateSpec, Claim, ClientCertificates, ClientTrust, ListenerProtocol, ListenerSettings, ListenerTls,
    Observed, ObservedMap, Origin, Owner, Place, PrivateKey, Problem, SecretSpec, SourceView, Spec, World,
};

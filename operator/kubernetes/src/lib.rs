//! Kubernetes as a source, and the place where statuses are shown: watches Backends and Routes of an API server and what they
//! name, keeps a mirror of them in the state store, but for Secrets, and writes their conditions.
//!
//! One leader writes statuses: there is no Lease yet, so two leaders on one cluster would both write, each its own view.

mod collection;
mod connect;
mod error;
mod follow;
mod mirror;
mod named;
mod read;
mod scope;
mod secret;
mod secrets;
mod source;
mod status;
mod watched;

pub use connect::{connect, install_crypto_provider};
pub use error::{ConnectError, SourceError};
pub use named::SecretName;
pub use source::{KubernetesSettings, Links, run};
pub use status::FIELD_MANAGER;

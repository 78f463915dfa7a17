//! Kubernetes as a source, and the place where statuses are shown: watches Backends and Routes of an API server and what they
//! name, keeps a mirror of them in the state store, but for Secrets, and writes their conditions.
//!
//! Of several leaders the holder of a Lease writes; all serve workers, which they know by their service account tokens.

mod collection;
mod connect;
mod error;
mod follow;
mod lease;
mod metrics;
mod mirror;
mod named;
mod nodes;
mod pods;
mod presence;
mod read;
mod scope;
mod secret;
mod secrets;
mod source;
mod status;
mod tokens;
mod watched;

pub use connect::{connect, install_crypto_provider};
pub use error::{ConnectError, SourceError};
pub use kube::Client;
pub use lease::{Holder, LeaseSettings, elect};
pub use metrics::SourceMetrics;
pub use mirror::Mirroring;
pub use named::SecretName;
pub use nodes::Nodes;
pub use pods::{ReadyPods, follow_pods};
pub use source::{KubernetesSettings, Links, run};
pub use status::FIELD_MANAGER;
pub use tokens::{TokenError, TokenSettings, Tokens};

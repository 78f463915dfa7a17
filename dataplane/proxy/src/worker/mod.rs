//! A worker's subscription to its leaders: fetch, apply, acknowledge, persist.
//!
//! What to do when is decided by [`dataplane_core::subscription`]; this module does it.

mod acknowledge;
mod applier;
mod ask;
mod client;
mod coding;
mod health;
mod leader_tls;
mod leader_url;
mod local;
mod network;
mod report;
mod retry;
mod run;
mod settings;
mod state_file;
mod usage;

pub use applier::{Applied, Applier, ApplyError, ProxyService, Service};
pub use ask::{AskError, ask};
pub use health::{LeaderContact, WorkerHealth};
pub use leader_tls::LeaderTls;
pub use leader_url::{LeaderUrl, LeaderUrlError, is_loopback};
pub use local::{Report, follow};
pub use network::{Connecting, Connection, Network, Tcp};
pub use report::Look;
pub use run::{WorkerError, new_id, run};
pub use settings::{OnLocation, WorkerSettings};
pub use state_file::{StateFile, StateFileError};
pub use usage::{Metering, SendUsage, Sending, meter, to_leader};

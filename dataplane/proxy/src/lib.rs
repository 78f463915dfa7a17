//! The worker's side of the traffic: listeners, HTTP/1 and HTTP/2 towards clients, and connections to targets.
//!
//! [`Proxy`] runs one OS thread per core. A connection lives on the thread that accepted it, with that thread's upstream
//! pools, buffers and counters, so that a request never locks and never waits for another thread. What is served is a
//! [`dataplane_core::Router`], swapped as a whole; a request finishes on the router it began with.

mod accept;
mod answer;
mod buffers;
mod connection;
mod draw;
mod exchange;
mod grpc;
pub mod http1;
mod http2;
mod listen;
mod listening;
mod page;
mod peer;
mod probe;
mod proxy;
pub mod proxy_header;
mod reason;
mod recent;
mod settings;
mod stats;
mod thread;
mod timer;
mod tls;
mod upstream;
pub mod worker;

pub use listen::ListenError;
pub use probe::TargetHealth;
pub use proxy::{DrainReport, Proxy, ProxyError};
pub use reason::Reason;
pub use recent::Recent;
pub use settings::{ClientTimeouts, Limits, NameSettings, PoolSettings, ProxySettings};
pub use stats::{DURATION_BUCKETS, LookupOutcome, MirrorOutcome, RetryOutcome, Stats};

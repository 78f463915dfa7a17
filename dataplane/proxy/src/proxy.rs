use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dataplane_core::Router;

use crate::{ProxySettings, Stats};

/// Why a proxy couldn't start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("{0} threads: at least 1 is needed")]
    Threads(usize),
    #[error("a thread or its runtime couldn't be started: {0}")]
    Start(#[from] std::io::Error),
}

/// A listener that isn't open. The others are.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener}: {reason}")]
pub struct ListenError {
    pub listener: String,
    pub reason: String,
}

/// How a [`Proxy::drain`] ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were cut at the deadline.
    pub forced: u64,
}

/// Threads that accept connections and proxy requests.
pub struct Proxy {
    _private: (),
}

impl Proxy {
    /// Starts the threads. There is no listener before the first [`Proxy::swap`].
    pub fn start(settings: ProxySettings) -> Result<Self, ProxyError> {
        if settings.threads == 0 { Err(ProxyError::Threads(0)) } else { Ok(Self { _private: () }) }
    }

    /// Serves new requests by `router`, and opens, keeps and drains listeners to match it. Requests in flight finish on
    /// the router they began with. A listener that can't be opened is in the answer; the others serve.
    pub fn swap(&self, _router: Arc<Router>) -> Vec<ListenError> {
        Vec::new()
    }

    /// The bound address of each open listener.
    pub fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        BTreeMap::new()
    }

    /// Sums of the per-thread counters.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Stops accepting, closes idle connections, answers what is in flight with `Connection: close`, and cuts what is
    /// left after `deadline`.
    pub async fn drain(&self, _deadline: Duration) -> DrainReport {
        DrainReport::default()
    }
}

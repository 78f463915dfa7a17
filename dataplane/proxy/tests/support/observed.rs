use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::eventually;

/// A server of a test: where it listens, and what it has seen until now.
pub struct Observed<S> {
    address: SocketAddr,
    pub seen: Arc<Mutex<S>>,
}

impl<S: Clone + Send + 'static> Observed<S> {
    pub const fn new(address: SocketAddr, seen: Arc<Mutex<S>>) -> Self {
        Self { address, seen }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn seen(&self) -> S {
        self.seen.lock().unwrap().clone()
    }

    pub fn wait(&self, condition: impl Fn(&S) -> bool) -> S {
        eventually(|| Some(self.seen()).filter(|seen| condition(seen)))
    }

    /// As [`Self::wait`], while the runtime of this thread goes on.
    pub async fn wait_aside(&self, condition: impl Fn(&S) -> bool + Send + 'static) -> S {
        let seen = self.seen.clone();
        let wait = move || eventually(|| Some(seen.lock().unwrap().clone()).filter(|seen| condition(seen)));
        tokio::task::spawn_blocking(wait).await.unwrap()
    }
}

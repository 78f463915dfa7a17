use std::cell::RefCell;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::Transport;
use crate::buffers::Buffers;
use crate::http1::stream::Stream;
use crate::http2::upstream::Http2Stream;
use crate::stats::Counters;
use crate::{Limits, PoolSettings};

/// A connection to a target as HTTP/1 sees it.
pub(crate) struct Upstream {
    pub(crate) stream: Stream<Transport>,
    /// A request was sent on it before.
    pub(crate) reused: bool,
    idle_until: Option<Instant>,
}

impl Upstream {
    pub(crate) const fn new(stream: Stream<Transport>) -> Self {
        Self { stream, reused: false, idle_until: None }
    }

    /// For the one request of `stream`.
    pub(crate) fn of_stream(
        stream: Http2Stream,
        reused: bool,
        buffers: Rc<Buffers>,
        limits: Limits,
    ) -> Box<Self> {
        let stream = Stream::new(Transport::Http2(Box::new(stream)), buffers, limits);
        Box::new(Self { reused, ..Self::new(stream) })
    }

    /// Ready for a next request as far as is known. A target that closed, or says something that nobody asked for, isn't.
    /// This is a system call only if the kernel had something to tell.
    fn is_alive(&mut self) -> bool {
        self.stream.is_at_rest() && self.stream.io_mut().is_quiet()
    }
}

/// Which connections can stand in for each other. What else distinguishes them (proxies) belongs here when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) address: SocketAddr,
    /// The connector's id; `None`: clear text.
    pub(crate) tls: Option<NonZeroU64>,
}

/// The idle upstream connections of a thread, last used first.
pub(crate) struct Pool {
    settings: PoolSettings,
    counters: Arc<Counters>,
    #[expect(clippy::vec_box, reason = "a connection comes and goes as a box, which is cheaper to move")]
    idle: RefCell<FxHashMap<PoolKey, Vec<Box<Upstream>>>>,
}

impl Pool {
    pub(crate) fn new(settings: PoolSettings, counters: Arc<Counters>) -> Self {
        Self { settings, counters, idle: RefCell::default() }
    }

    /// The connection used last of those that are still open.
    pub(crate) fn take(&self, key: PoolKey) -> Option<Box<Upstream>> {
        let mut idle = self.idle.borrow_mut();
        let stack = idle.get_mut(&key)?;
        while let Some(mut upstream) = stack.pop() {
            self.counters.upstream_idle.sub(1);
            if upstream.is_alive() {
                upstream.reused = true;
                return Some(upstream);
            }
        }
        None
    }

    /// Keeps `upstream` if it can take another request. `idle_timeout` is the backend's.
    pub(crate) fn give(
        &self,
        key: PoolKey,
        mut upstream: Box<Upstream>,
        idle_timeout: Option<Duration>,
        now: Instant,
    ) {
        if !upstream.is_alive() {
            return;
        }
        let own = self.settings.idle_timeout;
        upstream.idle_until = now.checked_add(idle_timeout.map_or(own, |timeout| timeout.min(own)));
        let mut idle = self.idle.borrow_mut();
        let stack = idle.entry(key).or_default();
        if stack.len() < self.settings.idle_per_target {
            stack.push(upstream);
            self.counters.upstream_idle.add(1);
        }
    }

    /// Drops what is too old or was closed by its target. Called now and then, off the request path.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, stack| {
            let before = stack.len();
            stack.retain_mut(|upstream| {
                upstream.idle_until.is_some_and(|until| now < until) && upstream.is_alive()
            });
            self.counters.upstream_idle.sub((before - stack.len()) as u64);
            !stack.is_empty()
        });
    }

    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}

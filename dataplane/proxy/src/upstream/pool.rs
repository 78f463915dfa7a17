use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane_core::PoolKey;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::Transport;
use super::lane::{Lane, Seat, Waiting, Width};
use super::resolve::Address;
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
    seat: Option<Seat>,
    /// For a target with a name.
    address: Option<Arc<Address>>,
    idle_until: Option<Instant>,
}

impl Upstream {
    pub(crate) const fn new(stream: Stream<Transport>) -> Self {
        Self { stream, reused: false, seat: None, address: None, idle_until: None }
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

    /// Counts as one of the connections of its target from now on.
    pub(crate) fn sit(&mut self, seat: Seat, address: Option<Arc<Address>>) {
        self.seat = Some(seat);
        self.address = address;
    }

    /// Doesn't count any more.
    pub(crate) fn rise(&mut self) {
        self.seat = None;
    }

    pub(super) fn into_seat(mut self: Box<Self>) -> Option<Seat> {
        self.seat.take()
    }

    /// Ready for a next request as far as is known. A target that closed, or says something that nobody asked for, isn't;
    /// nor is one that its name doesn't lead to any more. This is a system call only if the kernel had something to tell.
    fn is_alive(&mut self) -> bool {
        self.stream.is_at_rest()
            && self.address.as_ref().is_none_or(|address| !address.is_gone())
            && self.stream.io_mut().is_quiet()
    }

    pub(super) fn is_usable(&mut self, now: Instant) -> bool {
        self.idle_until.is_none_or(|until| now < until) && self.is_alive()
    }
}

/// The upstream connections of a thread.
pub(crate) struct Pool {
    width: Width,
    idle_timeout: Duration,
    counters: Arc<Counters>,
    lanes: RefCell<FxHashMap<PoolKey, Rc<Lane>>>,
}

impl Pool {
    /// For one of `threads`, which share out how many connections there may be.
    pub(crate) fn new(settings: PoolSettings, threads: usize, counters: Arc<Counters>) -> Self {
        let open = settings.connections_per_target.div_ceil(threads.max(1)).max(1);
        let width = Width { open, idle: settings.idle_per_target };
        Self { width, idle_timeout: settings.idle_timeout, counters, lanes: RefCell::default() }
    }

    /// The connection used last of those that are still open.
    pub(crate) fn take(&self, key: PoolKey, now: Instant) -> Option<Box<Upstream>> {
        self.lanes.borrow().get(&key)?.take(now)
    }

    /// Leave to open a connection; `None`: wait for one.
    pub(crate) fn seat(&self, key: PoolKey) -> Option<Seat> {
        self.lane(key).seat()
    }

    pub(crate) fn wait(&self, key: PoolKey) -> Waiting {
        self.lane(key).wait()
    }

    fn lane(&self, key: PoolKey) -> Rc<Lane> {
        let fresh = || Rc::new(Lane::new(self.width, self.counters.clone()));
        Rc::clone(self.lanes.borrow_mut().entry(key).or_insert_with(fresh))
    }

    /// Keeps `upstream` if it can take another request. `idle_timeout` is the backend's or the target's.
    pub(crate) fn give(
        &self,
        key: PoolKey,
        mut upstream: Box<Upstream>,
        idle_timeout: Option<Duration>,
        now: Instant,
    ) {
        let own = self.idle_timeout;
        upstream.idle_until = now.checked_add(idle_timeout.map_or(own, |timeout| timeout.min(own)));
        if upstream.is_usable(now)
            && let Some(lane) = self.lanes.borrow().get(&key)
        {
            lane.give(upstream);
        }
    }

    /// Drops what is too old or was closed by its target. Called now and then, off the request path.
    pub(crate) fn sweep(&self, now: Instant) {
        self.lanes.borrow_mut().retain(|_, lane| lane.sweep(now));
    }

    pub(crate) fn clear(&self) {
        self.lanes.borrow().values().for_each(|lane| lane.clear());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Idle connections hold the lane that they are in.
        self.clear();
    }
}

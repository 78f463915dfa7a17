use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::client::conn::http1::{Connection, Parts, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{Activity, RequestBody, Transport};
use crate::PoolSettings;
use crate::stats::Counters;

/// An HTTP/1 connection to a target. Whoever has it polls it.
pub(crate) struct Upstream {
    pub(crate) sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<Transport>, RequestBody>,
    pub(crate) activity: Rc<Activity>,
    /// A request was sent on it before.
    pub(crate) reused: bool,
    /// The connection future is complete and must not be polled again.
    closed: bool,
    idle_until: Option<Instant>,
}

impl Upstream {
    pub(crate) fn new(
        sender: SendRequest<RequestBody>,
        connection: Connection<TokioIo<Transport>, RequestBody>,
        activity: Rc<Activity>,
    ) -> Self {
        Self { sender, connection, activity, reused: false, closed: false, idle_until: None }
    }

    /// Drives reading and writing. Errors arrive where the response is awaited.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        if !self.closed && self.connection.poll_without_shutdown(cx).is_ready() {
            self.closed = true;
        }
    }

    /// Ready for a next request as far as is known.
    fn is_alive(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll(cx);
        !self.closed && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(())))
    }

    /// After a 101: the byte stream, and what was read beyond the head.
    pub(crate) fn into_parts(self) -> Parts<TokioIo<Transport>> {
        self.connection.into_parts()
    }
}

/// Which connections can stand in for each other. What else distinguishes them (TLS, proxies) belongs here when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) address: SocketAddr,
}

/// The idle upstream connections of a thread, last used first.
pub(crate) struct Pool {
    settings: PoolSettings,
    counters: Arc<Counters>,
    #[expect(clippy::vec_box, reason = "a connection comes and goes as a box, which is cheaper to move")]
    idle: RefCell<HashMap<PoolKey, Vec<Box<Upstream>>>>,
}

impl Pool {
    pub(crate) fn new(settings: PoolSettings, counters: Arc<Counters>) -> Self {
        Self { settings, counters, idle: RefCell::new(HashMap::new()) }
    }

    /// The connection used last of those that are still open.
    pub(crate) fn take(&self, key: PoolKey, cx: &mut Context<'_>) -> Option<Box<Upstream>> {
        let mut idle = self.idle.borrow_mut();
        let stack = idle.get_mut(&key)?;
        while let Some(mut upstream) = stack.pop() {
            self.counters.upstream_idle.sub(1);
            if upstream.is_alive(cx) {
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
        cx: &mut Context<'_>,
    ) {
        if !upstream.is_alive(cx) {
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
        let mut cx = Context::from_waker(Waker::noop());
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, stack| {
            let before = stack.len();
            stack.retain_mut(|upstream| {
                upstream.idle_until.is_some_and(|until| now < until) && upstream.is_alive(&mut cx)
            });
            self.counters.upstream_idle.sub((before - stack.len()) as u64);
            !stack.is_empty()
        });
    }

    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}

//! Getting a connection to a target.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use dataplane_core::{CompiledTarget, Timeouts};
use tokio::time::Instant;

use super::deadlines::{self, Deadlines};
use crate::Reason;
use crate::answer::Failure;
use crate::thread::Thread;
use crate::timer::Timer;
use crate::upstream::{PoolKey, Upstream, connect};

/// Whether an idle connection may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Any,
    /// An idle one failed: the next would come from the same time.
    New,
}

/// A connection to `target`: the idle one used last, or a new one.
pub(super) async fn reach(
    thread: &Thread,
    timer: &mut Timer,
    target: &CompiledTarget,
    timeouts: &Timeouts,
    deadlines: &Deadlines,
    freshness: Freshness,
) -> Result<(PoolKey, Box<Upstream>), Failure> {
    let ip = match literal(target) {
        Some(ip) => ip,
        None => resolve(thread, timer, target, timeouts, deadlines).await?,
    };
    let key = PoolKey { address: SocketAddr::new(ip, target.port) };
    if freshness == Freshness::Any
        && let Some(upstream) = thread.pool.take(key)
    {
        thread.counters.upstream_reuses.add(1);
        return Ok((key, upstream));
    }
    thread.counters.upstream_connects.add(1);
    let limits = connecting(timeouts, deadlines);
    // On the heap: it is large, rare, and would be part of every connection's memory.
    let connecting = Box::pin(connect(key.address, thread.buffers.clone(), thread.settings.limits));
    match within(timer, limits, connecting).await? {
        Ok(upstream) => Ok((key, upstream)),
        Err(error) => Err(Failure::new(Reason::ConnectionFailed, error.to_string())),
    }
}

fn literal(target: &CompiledTarget) -> Option<IpAddr> {
    target.ip_address.or_else(|| target.hostname.parse().ok())
}

async fn resolve(
    thread: &Thread,
    timer: &mut Timer,
    target: &CompiledTarget,
    timeouts: &Timeouts,
    deadlines: &Deadlines,
) -> Result<IpAddr, Failure> {
    let lookup = Box::pin(thread.resolver.resolve(&target.hostname));
    let answer = within(timer, connecting(timeouts, deadlines), lookup).await?;
    answer.map_err(|error| Failure::new(Reason::ResolveFailed, error.to_string()))
}

fn connecting(timeouts: &Timeouts, deadlines: &Deadlines) -> Option<(Instant, Reason)> {
    let connection = deadlines::after(Instant::now(), timeouts.connection);
    deadlines::first(std::iter::once((connection, Reason::ConnectionTimeout)).chain(deadlines.head()))
}

/// Waits for `future` until the deadline.
async fn within<F: Future>(
    timer: &mut Timer,
    deadline: Option<(Instant, Reason)>,
    future: F,
) -> Result<F::Output, Failure> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let Some((at, reason)) = deadline else { return Poll::Pending };
        timer.poll(at, cx).map(|()| Err(Failure::new(reason, deadlines::sentence(reason))))
    })
    .await
}

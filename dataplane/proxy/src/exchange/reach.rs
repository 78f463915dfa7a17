//! Getting a connection to a target.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use dataplane_core::{CompiledTarget, Timeouts};
use dataplane_snapshot::wire::Protocol;
use tokio::time::Instant;

use super::deadlines::{self, Deadlines};
use crate::Reason;
use crate::answer::Failure;
use crate::http1::stream::Stream;
use crate::http2::upstream::{Carrier, Way};
use crate::thread::Thread;
use crate::timer::Timer;
use crate::tls::Connector;
use crate::upstream::{Addresses, PoolKey, Upstream, connect};

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
    let tls = connector(thread, target)?;
    let tls = tls.as_deref();
    let candidates = match literal(target) {
        Some(ip) => Candidates::One(ip),
        None => Candidates::Named(resolve(thread, timer, target, timeouts, deadlines).await?),
    };
    let key = candidates.key(0, target.port, tls)?;
    if target.protocol == Protocol::Http2 {
        let limit = connecting(timeouts, deadlines);
        // On the heap, as few have it.
        let shared = reach_shared(thread, timer, (target.port, tls), (key, &candidates), limit, freshness);
        return Box::pin(shared).await;
    }
    if freshness == Freshness::Any
        && let Some(upstream) = thread.pool.take(key)
    {
        thread.counters.upstream_reuses.add(1);
        return Ok((key, upstream));
    }
    connect_any(thread, timer, (target.port, tls), &candidates, connecting(timeouts, deadlines)).await
}

/// A stream on a connection by HTTP/2, or, with TLS if the target chooses HTTP/1.1, a connection of its own.
async fn reach_shared(
    thread: &Thread,
    timer: &mut Timer,
    to: (u16, Option<&Connector>),
    (key, candidates): (PoolKey, &Candidates),
    limit: Option<(Instant, Reason)>,
    freshness: Freshness,
) -> Result<(PoolKey, Box<Upstream>), Failure> {
    let (buffers, limits) = (&thread.buffers, thread.settings.limits);
    if freshness == Freshness::Any
        && let Some(upstream) = thread.pool.take(key)
    {
        thread.counters.upstream_reuses.add(1);
        return Ok((key, upstream));
    }
    let way = within(timer, limit, thread.carriers.way(key, freshness == Freshness::New)).await?;
    let turn = match way {
        Way::Stream(stream) => {
            thread.counters.upstream_reuses.add(1);
            return Ok((key, Upstream::of_stream(stream, true, buffers.clone(), limits)));
        }
        Way::Connect(turn) => turn,
    };
    let (key, upstream) = connect_any(thread, timer, to, candidates, limit).await?;
    let transport = upstream.stream.into_io();
    if !transport.carries_http2() {
        turn.decline();
        return Ok((key, Box::new(Upstream::new(Stream::new(transport, buffers.clone(), limits)))));
    }
    let scheme = transport.scheme();
    let carrier = Carrier::open(transport, scheme, limits).await;
    let carrier = carrier.map_err(|error| Failure::new(Reason::ConnectionFailed, error.to_string()))?;
    Ok((key, Upstream::of_stream(turn.share(key, carrier), false, buffers.clone(), limits)))
}

/// Where a target may be.
enum Candidates {
    One(IpAddr),
    Named(Arc<Addresses>),
}

impl Candidates {
    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Named(addresses) => addresses.count(),
        }
    }

    fn key(&self, distance: usize, port: u16, tls: Option<&Connector>) -> Result<PoolKey, Failure> {
        let ip = match self {
            Self::One(ip) => Some(*ip),
            Self::Named(addresses) => addresses.at(distance),
        };
        let ip = ip.ok_or_else(|| Failure::new(Reason::ResolveFailed, "no address"))?;
        Ok(PoolKey { address: SocketAddr::new(ip, port), tls: tls.map(|tls| tls.id) })
    }
}

/// Connects to the first address that takes it, each given an equal share of the time that is left.
async fn connect_any(
    thread: &Thread,
    timer: &mut Timer,
    (port, tls): (u16, Option<&Connector>),
    candidates: &Candidates,
    limit: Option<(Instant, Reason)>,
) -> Result<(PoolKey, Box<Upstream>), Failure> {
    let mut failure = None;
    for distance in 0..candidates.count() {
        let key = candidates.key(distance, port, tls)?;
        let share = limit.map(|(at, reason)| (share(at, candidates.count() - distance), reason));
        thread.counters.upstream_connects.add(1);
        // On the heap: it is large, rare, and would be part of every connection's memory.
        let connecting = Box::pin(connect(key.address, tls, thread.buffers.clone(), thread.settings.limits));
        match within(timer, share, connecting).await {
            Ok(Ok(upstream)) => {
                if let (Candidates::Named(addresses), 1..) = (candidates, distance) {
                    addresses.prefer(distance);
                }
                return Ok((key, upstream));
            }
            Ok(Err(error)) => failure = Some(Failure::new(error.reason(), error.to_string())),
            Err(late) => failure = Some(late),
        }
    }
    Err(failure.unwrap_or_else(|| Failure::new(Reason::ResolveFailed, "no address")))
}

/// The end of an equal share of the time until `at`, for the first of `left`.
fn share(at: Instant, left: usize) -> Instant {
    let now = Instant::now();
    now + at.saturating_duration_since(now) / u32::try_from(left.max(1)).unwrap_or(u32::MAX)
}

/// How TLS with the target begins; `None`: it is spoken to in clear text.
fn connector(thread: &Thread, target: &CompiledTarget) -> Result<Option<Rc<Connector>>, Failure> {
    let Some(tls) = &target.tls else { return Ok(None) };
    let connector = thread.connectors.find(tls, &target.hostname, target.protocol);
    connector.map(Some).map_err(|reason| Failure::new(Reason::TlsFailed, reason.to_string()))
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
) -> Result<Arc<Addresses>, Failure> {
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

//! Getting a connection to a target.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use dataplane_core::{CompiledBackend, CompiledTarget, PoolKey, Timeouts};
use dataplane_snapshot::wire::Protocol;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::deadlines::{self, Deadlines};
use crate::Reason;
use crate::answer::Failure;
use crate::http1::stream::Stream;
use crate::http2::upstream::{Carrier, Way};
use crate::thread::Thread;
use crate::timer::Timer;
use crate::tls::Connector;
use crate::upstream::{Address, Handed, Hop, Upstream, Via, connect};

/// Whether an idle connection may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Any,
    /// An idle one failed: the next would come from the same time.
    New,
}

/// What a connection is wanted for.
pub(super) struct Goal<'a> {
    pub(super) backend: &'a CompiledBackend,
    pub(super) target: &'a CompiledTarget,
    pub(super) timeouts: &'a Timeouts,
    pub(super) deadlines: &'a Deadlines,
    /// When the attempt began.
    pub(super) began: Instant,
}

impl Goal<'_> {
    /// What ends the wait for a connection.
    fn limit(&self, timeout: Reason) -> Option<(Instant, Reason)> {
        let connection = deadlines::after(Instant::now(), self.timeouts.connection);
        deadlines::first(std::iter::once((connection, timeout)).chain(self.deadlines.head()))
    }
}

/// A connection to the target: the idle one used last, or a new one. `gone` is ready when the client has left.
pub(super) async fn reach(
    thread: &Thread,
    timer: &mut Timer,
    goal: &Goal<'_>,
    freshness: Freshness,
    gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<(PoolKey, Box<Upstream>), Failure> {
    let key = goal.backend.connections.key(goal.target);
    if freshness == Freshness::Any
        && let Some(upstream) = thread.pool.take(key, goal.began)
    {
        thread.counters.upstream_reuses.add(1);
        return Ok((key, upstream));
    }
    // On the heap: it is large, rare, and would be part of every connection's memory.
    let upstream = match goal.target.protocol {
        Protocol::Http2 => Box::pin(share_one(thread, timer, goal, key, (freshness, gone))).await?,
        _ => Box::pin(open(thread, timer, goal, key, gone)).await?,
    };
    Ok((key, upstream))
}

/// A new connection, or one that another request is done with, if there are as many as there may be.
async fn open(
    thread: &Thread,
    timer: &mut Timer,
    goal: &Goal<'_>,
    key: PoolKey,
    gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<Box<Upstream>, Failure> {
    let seat = match thread.pool.seat(key) {
        Some(seat) => seat,
        None => match wait(thread, timer, goal, key, gone).await? {
            Handed::Seat(seat) => seat,
            Handed::Connection(upstream) => {
                thread.counters.upstream_reuses.add(1);
                return Ok(upstream);
            }
        },
    };
    let (mut upstream, address) = connect_any(thread, timer, goal).await?;
    upstream.sit(seat, address);
    Ok(upstream)
}

/// Waits until one of the target's connections is free, as there are as many as there may be.
async fn wait(
    thread: &Thread,
    timer: &mut Timer,
    goal: &Goal<'_>,
    key: PoolKey,
    mut gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<Handed, Failure> {
    let Some(_queued) = goal.target.state.queue(goal.backend.connections.queue_size) else {
        let message = "all connections to the target are in use, and as many requests as may wait for one do";
        return Err(Failure::new(Reason::QueueFull, message));
    };
    let mut waiting = pin!(thread.pool.wait(key));
    let free = poll_fn(|cx| {
        if let Poll::Ready(handed) = waiting.as_mut().poll(cx) {
            return Poll::Ready(Ok(handed));
        }
        gone(cx).map(|()| Err(Failure::new(Reason::ClientGone, "")))
    });
    within(timer, goal.limit(Reason::QueueTimeout), free).await?
}

/// A stream on a connection by HTTP/2, or, with TLS if the target chooses HTTP/1.1, a connection of its own.
async fn share_one(
    thread: &Thread,
    timer: &mut Timer,
    goal: &Goal<'_>,
    key: PoolKey,
    (freshness, gone): (Freshness, impl FnMut(&mut Context<'_>) -> Poll<()>),
) -> Result<Box<Upstream>, Failure> {
    let (buffers, limits) = (&thread.buffers, thread.settings.limits);
    let limit = goal.limit(Reason::ConnectionTimeout);
    let way = within(timer, limit, thread.carriers.way(key, freshness == Freshness::New)).await?;
    let turn = match way {
        Way::Stream(stream) => {
            thread.counters.upstream_reuses.add(1);
            return Ok(Upstream::of_stream(stream, true, buffers.clone(), limits));
        }
        Way::Connect(turn) => turn,
    };
    let (upstream, address) = connect_any(thread, timer, goal).await?;
    let transport = upstream.stream.into_io();
    if !transport.carries_http2() {
        turn.decline();
        let handed = match thread.pool.seat(key) {
            Some(seat) => Handed::Seat(seat),
            None => wait(thread, timer, goal, key, gone).await?,
        };
        return Ok(match handed {
            Handed::Connection(upstream) => upstream,
            Handed::Seat(seat) => {
                let mut upstream = Box::new(Upstream::new(Stream::new(transport, buffers.clone(), limits)));
                upstream.sit(seat, address);
                upstream
            }
        });
    }
    let scheme = transport.scheme();
    let carrier = Carrier::open(transport, scheme, limits, address).await;
    let carrier = carrier.map_err(|error| Failure::new(Reason::ConnectionFailed, error.to_string()))?;
    Ok(Upstream::of_stream(turn.share(key, carrier), false, buffers.clone(), limits))
}

/// Connects to the first address that takes it, each given an equal share of the time that is left. The addresses of a name
/// have their turns.
async fn connect_any(
    thread: &Thread,
    timer: &mut Timer,
    goal: &Goal<'_>,
) -> Result<(Box<Upstream>, Option<Arc<Address>>), Failure> {
    let tls = connector(thread, goal.target)?;
    let target = Hop::new(&goal.target.hostname, goal.target.ip_address, goal.target.port);
    let via = via(thread, goal, target)?;
    let hop = via.as_ref().map_or(target, Via::hop);
    let candidates = candidates(thread, timer, goal, &hop).await?;
    let mut failure = None;
    let limit = goal.limit(Reason::ConnectionTimeout);
    for (tried, (ip, address)) in candidates.iter().enumerate() {
        let share = limit.map(|(at, reason)| (share(at, candidates.len() - tried), reason));
        thread.counters.upstream_connects.add(1);
        let place = SocketAddr::new(*ip, hop.port);
        let (tls, buffers) = (tls.as_deref(), thread.buffers.clone());
        let connecting = connect(place, via.as_ref(), tls, buffers, thread.settings.limits);
        match within(timer, share, connecting).await {
            Ok(Ok(upstream)) => {
                if let Some(address) = address {
                    address.succeed();
                }
                return Ok((upstream, address.clone()));
            }
            Ok(Err(error)) => failure = Some(Failure::new(error.reason(), error.to_string())),
            Err(late) => failure = Some(blamed(late, via.as_ref())),
        }
        // What a forward proxy says about the target is nothing against the proxy's address.
        if let Some(address) = address
            && !via.as_ref().is_some_and(Via::was_asked)
        {
            address.fail(thread.moment(Instant::now()));
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

/// The way through the backend's forward proxy, if it has one for this target.
fn via<'a>(thread: &Thread, goal: &Goal<'a>, target: Hop<'a>) -> Result<Option<Via<'a>>, Failure> {
    let Some(proxy) = goal.backend.connections.proxy_to(target.hostname) else { return Ok(None) };
    let tls = proxy.tls.as_ref().map(|tls| thread.connectors.find(tls, &proxy.host, Protocol::Http11));
    let tls = tls.transpose().map_err(|reason| Failure::new(Reason::ProxyUnreachable, reason.to_string()))?;
    Ok(Some(Via::new(proxy, tls, target)))
}

/// The failure of a connection that took too long. As long as a forward proxy hasn't been told where to lead, the target has
/// no part in it.
fn blamed(late: Failure, via: Option<&Via<'_>>) -> Failure {
    let is_the_proxys = late.reason == Reason::ConnectionTimeout && via.is_some_and(|via| !via.was_asked());
    if !is_the_proxys {
        return late;
    }
    Failure::new(Reason::ProxyTimeout, deadlines::sentence(Reason::ProxyTimeout))
}

/// Where a hop may be, in the order in which that is tried.
async fn candidates(
    thread: &Thread,
    timer: &mut Timer,
    goal: &Goal<'_>,
    hop: &Hop<'_>,
) -> Result<SmallVec<[(IpAddr, Option<Arc<Address>>); 4]>, Failure> {
    if let Some(ip) = hop.ip {
        return Ok([(ip, None)].into_iter().collect());
    }
    let lookup = thread.resolver.resolve(hop.hostname);
    let answer = within(timer, goal.limit(Reason::ConnectionTimeout), lookup).await?;
    let addresses = answer.map_err(|error| Failure::new(Reason::ResolveFailed, error.to_string()))?;
    let in_turn = addresses.in_turn(thread.moment(Instant::now())).into_iter();
    Ok(in_turn.map(|address| (address.ip, Some(address))).collect())
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

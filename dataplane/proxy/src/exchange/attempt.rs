//! One attempt to get a response: one target, and one connection to it but for a stale one.

use std::future::poll_fn;

use bytes::Bytes;
use dataplane_core::{CompiledBackend, CompiledTarget, Fault, InFlight, PoolKey};
use dataplane_snapshot::wire::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::deadlines::Deadlines;
use super::outgoing::Outgoing;
use super::reach::{Freshness, Goal, reach};
use super::relay::{self, NoResponse, Relay, RequestSide};
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;
use crate::grpc;
use crate::http1::head::Version;
use crate::http1::response_head::ResponseHead;

/// A response that has begun.
pub(super) struct Attempt<'a> {
    pub(super) relay: Relay<'a>,
    pub(super) key: PoolKey,
    pub(super) head: ResponseHead,
    pub(super) bytes: Bytes,
    /// The target was told that the connection may stay.
    pub(super) persistent: bool,
    /// The target was asked to switch protocols.
    pub(super) upgrade: bool,
    pub(super) backend: &'a CompiledBackend,
    pub(super) target: &'a CompiledTarget,
    /// The request is with the target until the response has ended.
    pub(super) in_flight: InFlight,
}

/// A request without a response.
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// Bytes of the request were sent.
    pub(super) sent: bool,
    pub(super) side: RequestSide,
}

/// How an attempt ended.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and a box costs each request")]
pub(super) enum Ended<'a> {
    Answered(Attempt<'a>),
    Failed(Unanswered),
}

impl<'a> Ended<'a> {
    fn failed(failure: Failure, sent: bool, side: RequestSide) -> Self {
        Self::Failed(Unanswered { failure, sent, side })
    }

    /// There is no further attempt.
    pub(super) fn result<S>(self, connection: &mut Connection<S>) -> Result<Attempt<'a>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Self::Answered(attempt) => Ok(attempt),
            Self::Failed(Unanswered { failure, side, .. }) => {
                side.leave(&mut connection.stream);
                Err(failure)
            }
        }
    }

    /// What there is to retry; `None`: nothing, or the client is the one who failed, or there is no time left.
    pub(super) const fn fault(&self) -> Option<Fault> {
        let (failure, sent) = match self {
            Self::Answered(attempt) => return Some(Fault::Answered(attempt.head.status)),
            Self::Failed(Unanswered { failure, sent, .. }) => (failure, *sent),
        };
        match (failure.reason.is_retryable(), sent) {
            (true, true) => Some(Fault::Unanswered),
            (true, false) => Some(Fault::Unsent),
            (false, _) => None,
        }
    }

    pub(super) const fn side(&self) -> &RequestSide {
        match self {
            Self::Answered(attempt) => &attempt.relay.request,
            Self::Failed(unanswered) => &unanswered.side,
        }
    }

    /// Lets go of the response.
    pub(super) async fn into_side<S>(self, connection: &Connection<S>, is_head: bool) -> RequestSide {
        match self {
            // On the heap, as it is rare.
            Self::Answered(attempt) => Box::pin(attempt.discard(connection, is_head)).await,
            Self::Failed(unanswered) => unanswered.side,
        }
    }
}

impl<'a> Outgoing<'a> {
    /// Sends the request to `target`. One that was lost because the target had closed an idle connection is sent once
    /// more, on a new connection, if its body can be and doing it twice does no harm (RFC 9112 section 9.3.1).
    pub(super) async fn attempt<S>(
        &self,
        connection: &mut Connection<S>,
        target: &'a CompiledTarget,
        mut side: RequestSide,
        deadlines: &mut Deadlines,
        began: Instant,
    ) -> Ended<'a>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let in_flight = target.state.enter();
        let mut freshness = Freshness::Any;
        loop {
            let text = match self.write(connection, target) {
                Ok(text) => text,
                Err(failure) => return Ended::failed(failure, false, side),
            };
            let (backend, timeouts) = (self.matched.backend, self.timeouts);
            let goal = Goal { backend, target, timeouts, deadlines, began };
            let Connection { thread, timer, stream, .. } = &mut *connection;
            let (key, mut upstream) =
                match reach(thread, timer, &goal, freshness, |cx| stream.poll_gone(cx)).await {
                    Ok(reached) => reached,
                    Err(failure) => return Ended::failed(failure, false, side),
                };
            upstream.stream.output.begin(text, &thread.buffers);
            // Connecting may have taken its time; an idle connection is there at once.
            let now = if upstream.reused { began } else { Instant::now() };
            let (received, sent) = (upstream.stream.received, upstream.stream.sent);
            let interim = self.request.head.version == Version::Http11;
            let mut relay = Relay::new(upstream, side, self.timeouts, *deadlines, now, interim)
                .patient(|| grpc::is_call(self.request.values("content-type")));
            let error = match poll_fn(|cx| relay.poll_head(connection, cx)).await {
                Ok((head, bytes)) => {
                    let persistent = target.protocol != Protocol::Http10;
                    let upgrade = self.upgrade(target).is_some();
                    return Ended::Answered(Attempt {
                        relay,
                        key,
                        head,
                        bytes,
                        persistent,
                        upgrade,
                        backend: self.matched.backend,
                        target,
                        in_flight,
                    });
                }
                Err(error) => error,
            };
            let Relay { mut upstream, request, .. } = relay;
            let sent = upstream.stream.sent != sent && !upstream.stream.io_mut().is_unsent();
            let error = match error {
                NoResponse::Failure(failure) => return Ended::failed(failure, sent, request),
                NoResponse::Upstream(error) => error,
            };
            let failure = relay::upstream_failure(&error);
            let lost = upstream.reused
                && upstream.stream.received == received
                && failure.reason == Reason::UpstreamClosed;
            let harmless = !sent || self.request.is_idempotent();
            if !(lost && harmless && request.is_repeatable()) {
                return Ended::failed(failure, sent, request);
            }
            connection.thread.counters.upstream_resends.add(1);
            *deadlines = deadlines.again(self.timeouts, Instant::now());
            (freshness, side) = (Freshness::New, request.again());
        }
    }
}

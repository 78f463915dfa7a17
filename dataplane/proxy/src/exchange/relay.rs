use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dataplane_core::Timeouts;
use http::Response;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::deadlines::{self, Deadlines};
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;
use crate::http1::response::{self, Framing};
use crate::http1::stream::{BodyError, BodyReader, Stream};
use crate::upstream::{PoolKey, Slot, Upstream};

/// One request on its way to one target and back. Everything is driven by the task of the client's connection: what one
/// side can't take isn't read from the other.
pub(super) struct Relay<'t> {
    pub(super) upstream: Box<Upstream>,
    pub(super) request: RequestSide,
    timeouts: &'t Timeouts,
    deadlines: Deadlines,
    /// When something last moved, and how much had by then.
    moved_at: Instant,
    moved: u64,
}

/// The request's body. It outlives an attempt that failed before any of it was sent.
pub(super) struct RequestSide {
    pub(super) reader: BodyReader,
    pub(super) slot: Option<Rc<Slot>>,
    /// The client waits for 100 before it sends its body.
    pub(super) expects_continue: bool,
    /// The target wants more of the body and the client hasn't sent it.
    starved: bool,
}

impl RequestSide {
    pub(super) const fn new(reader: BodyReader, slot: Option<Rc<Slot>>, expects_continue: bool) -> Self {
        Self { reader, slot, expects_continue, starved: false }
    }

    /// All of the body was handed on.
    pub(super) fn is_finished(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| slot.is_finished())
    }
}

/// Why there was no response.
pub(super) enum NoResponse {
    Failure(Failure),
    Upstream(hyper::Error),
}

impl From<Failure> for NoResponse {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The response's body on its way to the client.
pub(super) struct ResponseSide {
    pub(super) body: Incoming,
    pub(super) framing: Framing,
    pub(super) ended: bool,
}

impl<'t> Relay<'t> {
    pub(super) const fn new(
        upstream: Box<Upstream>,
        request: RequestSide,
        timeouts: &'t Timeouts,
        deadlines: Deadlines,
        now: Instant,
    ) -> Self {
        Self { upstream, request, timeouts, deadlines, moved_at: now, moved: 0 }
    }

    /// Sends the request until the head of the response is there.
    pub(super) fn poll_head<S, F>(
        &mut self,
        connection: &mut Connection<S>,
        mut response: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Incoming>, NoResponse>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: Future<Output = hyper::Result<Response<Incoming>>>,
    {
        loop {
            self.upstream.poll(cx);
            if let Poll::Ready(answer) = response.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(NoResponse::Upstream));
            }
            if !self.move_request(connection, cx)? {
                break;
            }
        }
        // A 100 that couldn't be written at once.
        if let Poll::Ready(Err(_)) = connection.stream.poll_flush(cx) {
            return Poll::Ready(Err(Failure::new(Reason::ClientGone, "").into()));
        }
        self.poll_time(connection, self.deadlines.head(), cx).map(|failure| Err(failure.into()))
    }

    /// Copies the response's body to the client, and what is left of the request's to the target.
    pub(super) fn poll_body<S>(
        &mut self,
        connection: &mut Connection<S>,
        response: &mut ResponseSide,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let mut moved = self.move_request(connection, cx)?;
            self.upstream.poll(cx);
            moved |= move_response(&mut connection.stream, response, cx)?;
            if moved && !response.ended && connection.stream.output.takes_more() {
                continue;
            }
            match connection.stream.poll_flush(cx) {
                Poll::Ready(Ok(())) if response.ended => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::new(Reason::ClientGone, ""))),
                // Blocked by the client: go on only for the request's sake.
                Poll::Pending if response.ended || !moved => break,
                Poll::Pending => {}
            }
            if !moved {
                break;
            }
        }
        let limits = [(self.deadlines.stream, Reason::CallAndStreamTimeout)];
        self.poll_time(connection, limits, cx).map(Err)
    }

    /// The backend's.
    pub(super) const fn idle_timeout(&self) -> Option<Duration> {
        self.timeouts.idle
    }

    /// Puts the upstream connection into the pool, unless it is still owed a part of the request.
    pub(super) async fn keep_upstream<S>(self, connection: &Connection<S>, key: PoolKey) {
        if !self.request.is_finished() {
            return;
        }
        let idle = self.timeouts.idle;
        let mut upstream = Some(self.upstream);
        poll_fn(|cx| {
            if let Some(upstream) = upstream.take() {
                connection.thread.pool.give(key, upstream, idle, Instant::now(), cx);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Puts a piece of the request's body where hyper takes it, if it asked. `true`: something changed.
    fn move_request<S>(
        &mut self,
        connection: &mut Connection<S>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(slot) = &self.request.slot else { return Ok(false) };
        if !slot.wants() {
            self.request.starved = false;
            return Ok(false);
        }
        let stream = &mut connection.stream;
        if std::mem::take(&mut self.request.expects_continue) && stream.unread().is_empty() {
            stream.output.buffer(&stream.buffers).extend_from_slice(response::CONTINUE);
            if let Poll::Ready(Err(_)) = stream.poll_flush(cx) {
                return Err(Failure::new(Reason::ClientGone, ""));
            }
        }
        match stream.poll_body(&mut self.request.reader, cx) {
            Poll::Pending => {
                self.request.starved = true;
                return Ok(false);
            }
            Poll::Ready(None) => slot.end(),
            Poll::Ready(Some(Ok(frame))) => put(slot, &self.request.reader, frame),
            Poll::Ready(Some(Err(error))) => {
                slot.fail();
                return Err(body_failure(&error));
            }
        }
        self.request.starved = false;
        Ok(true)
    }

    /// Ready when time is up. Called when nothing can move.
    fn poll_time<S>(
        &mut self,
        connection: &mut Connection<S>,
        limits: impl IntoIterator<Item = (Option<Instant>, Reason)>,
        cx: &mut Context<'_>,
    ) -> Poll<Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = &connection.stream;
        let moved = stream.received + stream.sent + self.upstream.activity.total();
        if moved != self.moved {
            self.moved = moved;
            self.moved_at = Instant::now();
        }
        let progress = connection.thread.settings.timeouts.body_progress;
        let (patience, reason) = if !stream.output.is_empty() {
            (Some(progress), Reason::ClientStalled)
        } else if self.request.starved {
            (Some(progress), Reason::BodyTimeout)
        } else {
            (self.timeouts.idle, Reason::IdleTimeout)
        };
        let still = (deadlines::after(self.moved_at, patience), reason);
        let Some((at, reason)) = deadlines::first(std::iter::once(still).chain(limits)) else {
            return Poll::Pending;
        };
        connection.timer.poll(at, cx).map(|()| Failure::new(reason, deadlines::sentence(reason)))
    }
}

/// Takes a piece of the response's body, if there is room for it. `true`: something changed.
fn move_response<S>(
    stream: &mut Stream<S>,
    response: &mut ResponseSide,
    cx: &mut Context<'_>,
) -> Result<bool, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if response.ended || !stream.output.takes_more() {
        return Ok(false);
    }
    let frame = match Pin::new(&mut response.body).poll_frame(cx) {
        Poll::Pending => return Ok(false),
        Poll::Ready(None) => {
            response.ended = true;
            if response.framing == Framing::Chunked {
                stream.output.buffer(&stream.buffers).extend_from_slice(response::LAST_CHUNK);
            }
            return Ok(true);
        }
        Poll::Ready(Some(Err(_))) => {
            return Err(Failure::new(
                Reason::UpstreamClosed,
                "the target closed in the middle of its response",
            ));
        }
        Poll::Ready(Some(Ok(frame))) => frame,
    };
    match frame.into_data() {
        Ok(data) if data.is_empty() => {}
        Ok(data) if response.framing == Framing::Chunked => {
            response::chunk_size(stream.output.buffer(&stream.buffers), data.len());
            stream.push(data, response::CRLF);
        }
        Ok(data) => stream.push(data, b""),
        Err(frame) => {
            response.ended = true;
            if let (Ok(trailers), Framing::Chunked) = (frame.into_trailers(), response.framing) {
                response::trailers(stream.output.buffer(&stream.buffers), &trailers);
            }
            return Ok(true);
        }
    }
    response.ended |= response.framing != Framing::Chunked && response.body.is_end_stream();
    Ok(true)
}

/// Puts `frame` into the slot, with the end of the body if that is known already.
pub(super) fn put(slot: &Slot, reader: &BodyReader, frame: Frame<Bytes>) {
    slot.put(frame);
    if reader.is_done() {
        slot.end();
    }
}

fn body_failure(error: &BodyError) -> Failure {
    match error {
        BodyError::Chunk(error) => Failure::new(error.reason(), error.to_string()),
        BodyError::Closed | BodyError::Io(_) => Failure::new(Reason::ClientGone, ""),
    }
}

use std::fmt::Display;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use dataplane_core::{PoolKey, Timeouts};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::deadlines::{self, Deadlines};
use super::mirror::Tee;
use super::replay::Replay;
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;
use crate::http1::piece::{BodyReader, Coding, Piece};
use crate::http1::response::{self, Framing};
use crate::http1::response_head::{ResponseError, ResponseHead};
use crate::http1::stream::{BodyError, ReadError, Stream};
use crate::http2::upstream::StreamError;
use crate::tls;
use crate::upstream::Upstream;

/// One request on its way to one target and back. Everything is driven by the task of the client's connection: what one
/// side can't take isn't read from the other.
pub(super) struct Relay<'t> {
    pub(super) upstream: Box<Upstream>,
    pub(super) request: RequestSide,
    timeouts: &'t Timeouts,
    deadlines: Deadlines,
    /// The client understands interim responses.
    interim: bool,
    /// The time to answer counts from the end of the request.
    patient: bool,
    /// When something last moved, and how much had by then; 0 before it was looked at.
    moved_at: Instant,
    moved: u64,
}

/// The request's body. It outlives an attempt that failed while all that was taken of it is still here.
pub(super) struct RequestSide {
    pub(super) reader: BodyReader,
    coding: Coding,
    /// The client waits for 100 before it sends its body.
    expects_continue: bool,
    /// Some of the body was taken.
    touched: bool,
    replay: Replay,
    /// For the mirrors that get a copy, until it is whole.
    tee: Option<Box<Tee>>,
    /// All of the body was handed on.
    ended: bool,
    /// The target takes no more. It may have answered nevertheless.
    broken: bool,
    /// The target wants more of the body and the client hasn't sent it.
    starved: bool,
}

impl RequestSide {
    pub(super) const fn new(
        reader: BodyReader,
        coding: Coding,
        expects_continue: bool,
        replay: Replay,
    ) -> Self {
        let ended = reader.is_done();
        Self {
            reader,
            coding,
            expects_continue,
            touched: false,
            replay,
            tee: None,
            ended,
            broken: false,
            starved: false,
        }
    }

    /// For a body of which nothing is left to read.
    pub(super) fn whole(mut body: Replay, coding: Coding) -> Self {
        body.rewind();
        Self { touched: true, ended: false, ..Self::new(BodyReader::Done, coding, false, body) }
    }

    /// Lets mirrors have a copy of the body.
    pub(super) fn tee(&mut self, tee: Option<Box<Tee>>) {
        self.tee = tee;
    }

    /// Lets mirrors have what no target took of the body, as far as it is here.
    pub(super) fn leave<S>(mut self, stream: &mut Stream<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut cx = Context::from_waker(Waker::noop());
        while self.tee.is_some() {
            match stream.poll_body(&mut self.reader, &mut cx) {
                Poll::Ready(Some(Ok(piece))) => self.keep(&piece),
                Poll::Ready(None) => self.send_copies(),
                Poll::Ready(Some(Err(_))) | Poll::Pending => return,
            }
        }
    }

    fn keep(&mut self, piece: &Piece) {
        self.replay.keep(piece);
        if self.tee.as_mut().is_some_and(|tee| !tee.keep(piece)) {
            self.tee = None;
        }
    }

    /// All of the body is here.
    fn send_copies(&mut self) {
        if let Some(tee) = self.tee.take() {
            tee.send();
        }
    }

    /// It can be sent from its beginning.
    pub(super) const fn is_repeatable(&self) -> bool {
        !self.touched || self.replay.is_whole()
    }

    /// For another attempt.
    pub(super) fn again(mut self) -> Self {
        if self.touched {
            self.replay.rewind();
            self.ended = false;
        }
        Self { broken: false, starved: false, ..self }
    }
}

/// Why there was no response.
pub(super) enum NoResponse {
    Failure(Failure),
    Upstream(ReadError<ResponseError>),
}

impl From<Failure> for NoResponse {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The response's body on its way to the client.
pub(super) struct ResponseSide {
    reader: BodyReader,
    coding: Coding,
    ended: bool,
}

impl ResponseSide {
    pub(super) fn new(reader: BodyReader, framing: Framing) -> Self {
        let coding = if framing == Framing::Chunked { Coding::Chunked } else { Coding::Plain };
        let ended = reader.is_done();
        Self { reader, coding, ended }
    }
}

impl<'t> Relay<'t> {
    pub(super) const fn new(
        upstream: Box<Upstream>,
        request: RequestSide,
        timeouts: &'t Timeouts,
        deadlines: Deadlines,
        now: Instant,
        interim: bool,
    ) -> Self {
        let patient = false;
        Self { upstream, request, timeouts, deadlines, interim, patient, moved_at: now, moved: 0 }
    }

    /// The same for a call of gRPC: its client may send for as long as it likes before the target says anything.
    pub(super) fn patient(self, is_grpc: impl FnOnce() -> bool) -> Self {
        Self { patient: !self.request.ended && is_grpc(), ..self }
    }

    /// Sends the request until the head of the response is there.
    pub(super) fn poll_head<S>(
        &mut self,
        connection: &mut Connection<S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(ResponseHead, Bytes), NoResponse>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let moved = self.move_request(connection, cx)?;
            match self.upstream.stream.poll_response_head(cx) {
                Poll::Ready(Ok((head, bytes))) if head.is_interim() => {
                    self.pass_on(connection, &head, &bytes);
                    continue;
                }
                Poll::Ready(answer) => return Poll::Ready(answer.map_err(NoResponse::Upstream)),
                Poll::Pending if moved => {}
                Poll::Pending => break,
            }
        }
        // Interim responses, or a 100 that couldn't be written at once.
        if let Poll::Ready(Err(_)) = connection.stream.poll_flush(cx) {
            return Poll::Ready(Err(Failure::new(Reason::ClientGone, "").into()));
        }
        self.watch(connection, cx)?;
        if self.patient && self.request.ended {
            self.patient = false;
            self.deadlines = Deadlines::new(self.timeouts, Instant::now());
        }
        let deadlines = if self.patient { Deadlines::NONE } else { self.deadlines };
        self.poll_time(connection, deadlines.head(), cx).map(|failure| Err(failure.into()))
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
            moved |= move_response(&mut self.upstream.stream, &mut connection.stream, response, cx)?;
            if moved && !response.ended && connection.stream.output.takes_more() {
                continue;
            }
            let full = !connection.stream.output.takes_more();
            match connection.stream.poll_flush(cx) {
                Poll::Ready(Ok(())) if response.ended => return Poll::Ready(Ok(())),
                // There is room again for what wasn't asked for.
                Poll::Ready(Ok(())) => moved |= full,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::new(Reason::ClientGone, ""))),
                // Blocked by the client: go on only for the request's sake.
                Poll::Pending if response.ended || !moved => break,
                Poll::Pending => {}
            }
            if !moved {
                break;
            }
        }
        self.watch(connection, cx)?;
        let limits = [(self.deadlines.stream, Reason::CallAndStreamTimeout)];
        self.poll_time(connection, limits, cx).map(Err)
    }

    /// Passes an interim response on to a client that understands it. A client that waits for 100 gets our own, and one
    /// that doesn't read loses what is only a hint.
    fn pass_on<S>(&self, connection: &mut Connection<S>, head: &ResponseHead, bytes: &[u8])
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = &mut connection.stream;
        if self.interim && head.status != 100 && stream.output.takes_more() {
            response::interim(stream.output.buffer(&stream.buffers), head, bytes);
        }
    }

    /// Fails once the client has closed while it should only be waiting: nobody wants the answer, and the target can stop.
    fn watch<S>(&self, connection: &mut Connection<S>, cx: &mut Context<'_>) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.request.ended && connection.stream.poll_gone(cx).is_ready() {
            return Err(Failure::new(Reason::ClientGone, ""));
        }
        Ok(())
    }

    /// Something but idleness and its two ends may cut the response.
    pub(super) const fn is_limited(&self) -> bool {
        self.deadlines.stream.is_some()
    }

    /// The response is a stream without an end in sight: only idleness and its two ends cut it.
    pub(super) const fn unlimit(&mut self) {
        self.deadlines.stream = None;
    }

    /// The backend's.
    pub(super) const fn idle_timeout(&self) -> Option<Duration> {
        self.timeouts.idle
    }

    /// Puts the upstream connection into the pool, unless it is still owed a part of the request. `keeps_for`: how long the
    /// target says that it keeps it.
    pub(super) fn keep_upstream<S>(
        self,
        connection: &Connection<S>,
        key: PoolKey,
        keeps_for: Option<Duration>,
    ) -> RequestSide {
        let Self { upstream, request, timeouts, .. } = self;
        if request.ended && !request.broken {
            // A request that is on its way when the target closes would be lost.
            let keeps_for = keeps_for.map(|time| time.saturating_sub(Duration::from_secs(1)));
            let idle = keeps_for.into_iter().chain(timeouts.idle).min();
            connection.thread.pool.give(key, upstream, idle, connection.now);
        }
        request
    }

    /// Whether the rest of a response that nobody wants is already here; it is read then.
    pub(super) fn poll_rest(&mut self, mut reader: BodyReader, cx: &mut Context<'_>) -> bool {
        while !reader.is_done() {
            match self.upstream.stream.poll_body(&mut reader, cx) {
                Poll::Ready(None) => break,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        true
    }

    /// Moves a piece of the request to the target, if it takes one. `true`: another may follow.
    fn move_request<S>(
        &mut self,
        connection: &mut Connection<S>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.request.broken {
            return Ok(false);
        }
        // Before the head is written, so that a small request is one write.
        let moved = !self.request.ended && self.take_piece(connection, cx)?;
        let full = !self.upstream.stream.output.takes_more();
        match self.upstream.stream.poll_flush(cx) {
            // There is room again for what wasn't asked for.
            Poll::Ready(Ok(())) => Ok(moved || full),
            Poll::Ready(Err(_)) => {
                self.request.broken = true;
                self.request.starved = false;
                Ok(false)
            }
            Poll::Pending => Ok(moved),
        }
    }

    fn take_piece<S>(&mut self, connection: &mut Connection<S>, cx: &mut Context<'_>) -> Result<bool, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { upstream, request, .. } = self;
        request.starved = false;
        if !upstream.stream.output.takes_more() {
            return Ok(false);
        }
        if let Some(data) = request.replay.next() {
            let piece = Piece::Data(data);
            request.ended = piece.is_last(&request.reader, request.coding);
            upstream.stream.put(piece, request.coding);
            return Ok(true);
        }
        let stream = &mut connection.stream;
        if std::mem::take(&mut request.expects_continue) && stream.unread().is_empty() {
            stream.output.buffer(&stream.buffers).extend_from_slice(response::CONTINUE);
            if let Poll::Ready(Err(_)) = stream.poll_flush(cx) {
                return Err(Failure::new(Reason::ClientGone, ""));
            }
        }
        match stream.poll_body(&mut request.reader, cx) {
            Poll::Pending => {
                request.starved = true;
                return Ok(false);
            }
            Poll::Ready(None) => {
                upstream.stream.put_end(request.coding);
                request.ended = true;
            }
            Poll::Ready(Some(Ok(piece))) => {
                request.ended = piece.is_last(&request.reader, request.coding);
                request.keep(&piece);
                upstream.stream.put(piece, request.coding);
            }
            Poll::Ready(Some(Err(error))) => return Err(body_failure(&error)),
        }
        request.touched = true;
        if request.ended {
            request.send_copies();
        }
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
        let target = &self.upstream.stream;
        let moved = stream.received + stream.sent + target.received + target.sent;
        if moved != self.moved {
            // The first time is just after the start.
            if self.moved != 0 {
                self.moved_at = Instant::now();
            }
            self.moved = moved;
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
fn move_response<U, S>(
    upstream: &mut Stream<U>,
    stream: &mut Stream<S>,
    response: &mut ResponseSide,
    cx: &mut Context<'_>,
) -> Result<bool, Failure>
where
    U: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    if response.ended || !stream.output.takes_more() {
        return Ok(false);
    }
    match upstream.poll_body(&mut response.reader, cx) {
        Poll::Pending => return Ok(false),
        Poll::Ready(None) => {
            stream.put_end(response.coding);
            response.ended = true;
        }
        Poll::Ready(Some(Ok(piece))) => {
            response.ended = piece.is_last(&response.reader, response.coding);
            stream.put(piece, response.coding);
        }
        Poll::Ready(Some(Err(BodyError::Chunk(error)))) => return Err(malformed(&error)),
        Poll::Ready(Some(Err(BodyError::Closed | BodyError::Io(_)))) => {
            let message = "the target closed in the middle of its response";
            return Err(Failure::new(Reason::UpstreamClosed, message));
        }
    }
    Ok(true)
}

fn body_failure(error: &BodyError) -> Failure {
    match error {
        BodyError::Chunk(error) => Failure::new(error.reason(), error.to_string()),
        BodyError::Closed | BodyError::Io(_) => Failure::new(Reason::ClientGone, ""),
    }
}

pub(super) fn malformed(error: &dyn Display) -> Failure {
    Failure::new(Reason::UpstreamMalformed, format!("the target's response is malformed: {error}"))
}

pub(super) fn upstream_failure(error: &ReadError<ResponseError>) -> Failure {
    if let ReadError::Io(error) = error {
        // Since TLS 1.3 a target may refuse a client certificate only now.
        if let Some(why) = tls::explain(error) {
            return Failure::new(Reason::TlsFailed, format!("TLS with the target broke off: {why}"));
        }
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<StreamError>()) {
            return Failure::new(error.reason(), error.to_string());
        }
    }
    match error {
        ReadError::Head(error) => malformed(error),
        ReadError::Closed | ReadError::Io(_) => {
            Failure::new(Reason::UpstreamClosed, format!("the target gave no whole response: {error}"))
        }
    }
}

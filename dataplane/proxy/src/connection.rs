use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::Reason;
use crate::answer::{self, Failure};
use crate::exchange;
use crate::exchange::forwarded::Forwarded;
use crate::http1::head::{Head, HeadError};
use crate::http1::stream::{ReadError, Stream};
use crate::http2::{self, AsHttp1};
use crate::listening::Listening;
use crate::peer::Peer;
use crate::thread::{Control, Thread};
use crate::timer::Timer;

/// How long a connection without a request stays when it is to end. A client that has just sent one gets an answer with
/// `Connection: close` instead of a reset, and one that was accepted just before gets its first request in (as
/// `keepalive_min_timeout` of nginx; RFC 9112, 9.6 leaves the race to the server).
pub(crate) const LAST_REQUEST_GRACE: Duration = Duration::from_secs(2);
/// Bytes that are read and dropped from a client that goes on sending after its answer.
const LINGER_BYTES: usize = 1024 * 1024;

/// A client's connection: one request after the other.
pub(crate) struct Connection<S> {
    pub(crate) stream: Stream<S>,
    pub(crate) timer: Timer,
    pub(crate) peer: Rc<Peer>,
    pub(crate) thread: Rc<Thread>,
    pub(crate) listening: Rc<Listening>,
    pub(crate) forwarded: Forwarded,
    /// When the last exchange began or, once it is over, ended; the clock is asked no more often than that.
    pub(crate) now: Instant,
    /// It is one stream of a connection of HTTP/2.
    pub(crate) multiplexed: bool,
    control: Rc<Control>,
}

/// What becomes of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    KeepAlive,
    /// All is read and written.
    Close,
    /// The client may still be sending. Closing at once could destroy the answer on its way (RFC 9112 section 9.6).
    Linger,
    /// Nothing more can be said; an answer may be incomplete, which the client sees by the missing end.
    Abort,
}

/// Why there is no head of a request.
enum Unread {
    Failed(Failure),
    /// The client speaks HTTP/2.
    Http2,
}

/// What the waiting for the head of a request goes by.
struct HeadTimes {
    since: Instant,
    /// Its first byte was there.
    begun: Option<Instant>,
    /// It was seen that the connection is to end.
    stopped: Option<Instant>,
}

impl Connection<AsHttp1> {
    /// Serves the one request of a stream of HTTP/2, whose head is `head`. The stream ends by what was written, or is
    /// reset. `true`: the client abandoned it.
    pub(crate) async fn serve_stream(mut self, head: BytesMut) -> bool {
        self.multiplexed = true;
        self.stream.unread_head(head);
        let after = match self.next_head(false).await {
            Ok(Some((head, bytes))) => exchange::run(&mut self, &head, bytes).await,
            Err(Unread::Failed(failure)) => self.refuse(&failure),
            Ok(None) | Err(Unread::Http2) => After::Abort,
        };
        if after != After::Abort {
            let deadline = Instant::now() + self.thread.settings.timeouts.body_progress;
            self.flush(deadline).await;
        }
        self.count_bytes();
        self.stream.io().is_abandoned()
    }
}

impl<S> Connection<S> {
    pub(crate) fn new(
        io: S,
        peer: Rc<Peer>,
        thread: Rc<Thread>,
        listening: Rc<Listening>,
        control: Rc<Control>,
    ) -> Self {
        let stream = Stream::new(io, thread.buffers.clone(), thread.settings.limits);
        Self {
            stream,
            timer: Timer::default(),
            peer,
            thread,
            listening,
            forwarded: Forwarded::default(),
            now: Instant::now(),
            multiplexed: false,
            control,
        }
    }

    /// The same connection, carried by `io` from now on; what carried it, and what of it was read ahead.
    pub(crate) fn with_io<T>(self, io: T) -> (S, Bytes, Connection<T>) {
        let Self { stream, timer, peer, thread, listening, forwarded, now, multiplexed, control } = self;
        let (old, ahead) = stream.into_parts();
        let stream = Stream::new(io, thread.buffers.clone(), thread.settings.limits);
        let connection =
            Connection { stream, timer, peer, thread, listening, forwarded, now, multiplexed, control };
        (old, ahead, connection)
    }

    /// Ready when the connection has taken too long to come to its first request.
    pub(crate) fn poll_beginning(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.control.wait(cx);
        let head = self.thread.settings.timeouts.head;
        let patience = self.grace().map_or(head, |grace| head.min(grace));
        self.timer.poll(self.now + patience, cx)
    }

    /// The next request on this connection is the last one.
    pub(crate) fn is_stopping(&self) -> bool {
        self.grace().is_some()
    }

    /// How long a last request is waited for, if the connection is to end.
    fn grace(&self) -> Option<Duration> {
        self.thread.draining().or_else(|| self.listening.is_closing().then_some(LAST_REQUEST_GRACE))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Serves requests until one side closes.
    pub(crate) async fn serve(mut self) {
        if self.begin().await {
            self.serve_requests().await;
        }
    }

    /// Reads what comes in front of all else, if anything has to. `false`: the connection is to be closed.
    pub(crate) async fn begin(&mut self) -> bool {
        // On the heap, as few connections have it.
        if self.listening.listener.proxy_protocol && !Box::pin(self.read_proxy_header()).await {
            self.thread.counters.reason(Reason::BadProxyHeader);
            return false;
        }
        true
    }

    pub(crate) async fn serve_requests(mut self) {
        let mut first = true;
        loop {
            let after = match self.next_head(first).await {
                Ok(Some((head, bytes))) => exchange::run(&mut self, &head, bytes).await,
                // Inside TLS an end is said, so that it can't be forged.
                Ok(None) if self.listening.listener.tls.is_some() => After::Close,
                Ok(None) => After::Abort,
                // On the heap, as its memory would be part of that of every connection.
                Err(Unread::Http2) => return Box::pin(self.serve_http2()).await,
                Err(Unread::Failed(failure)) => self.refuse(&failure),
            };
            first = false;
            self.count_bytes();
            if after != After::KeepAlive {
                self.close(after).await;
                self.count_bytes();
                return;
            }
        }
    }

    /// Serves a client that speaks HTTP/2.
    pub(crate) async fn serve_http2(self) {
        let Self { stream, peer, thread, listening, control, .. } = self;
        let (io, early) = stream.into_parts();
        http2::serve(io, early, http2::Client { peer, thread, listening, control }).await;
    }

    /// Reads who the client is, in front of all requests. `false`: nobody has said so in time.
    async fn read_proxy_header(&mut self) -> bool {
        let deadline = self.now + self.thread.settings.timeouts.head;
        let header = poll_fn(|cx| match self.stream.poll_proxy_header(cx) {
            Poll::Ready(header) => Poll::Ready(header),
            Poll::Pending => self.timer.poll(deadline, cx).map(|()| None),
        });
        let Some(header) = header.await else { return false };
        if let Some(client) = header.client {
            self.peer = Rc::new(Peer::new(client, &self.thread.settings.trusted_proxies));
        }
        true
    }

    /// Ends a connection without a request, with an answer or without.
    pub(crate) async fn dismiss(mut self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            self.refuse(failure);
        }
        self.close(After::Linger).await;
        self.count_bytes();
    }

    async fn next_head(&mut self, first: bool) -> Result<Option<(Head, Bytes)>, Unread> {
        let since = self.now;
        let mut times = HeadTimes { since, begun: None, stopped: None };
        poll_fn(|cx| self.poll_next_head(first, &mut times, cx)).await
    }

    fn poll_next_head(
        &mut self,
        first: bool,
        times: &mut HeadTimes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(Head, Bytes)>, Unread>> {
        if let Poll::Ready(read) = self.stream.poll_head(cx) {
            return Poll::Ready(match read {
                Ok(head) => Ok(head),
                Err(ReadError::Head(HeadError::Version)) if first && self.is_http2() => Err(Unread::Http2),
                Err(ReadError::Head(error)) => {
                    Err(Unread::Failed(Failure::new(error.reason(), error.to_string())))
                }
                Err(ReadError::Closed) => Err(Unread::Failed(Failure::new(Reason::ClientGone, ""))),
                // A reset between two requests is how some clients close.
                Err(ReadError::Io(_)) => Ok(None),
            });
        }
        let timeouts = &self.thread.settings.timeouts;
        let idle = self.stream.is_idle();
        let mut deadline = if !idle {
            *times.begun.get_or_insert_with(Instant::now) + timeouts.head
        } else if first {
            times.since + timeouts.head
        } else {
            times.since + timeouts.keep_alive
        };
        self.control.wait(cx);
        if let Some(grace) = self.grace().filter(|_| idle) {
            deadline = deadline.min(*times.stopped.get_or_insert_with(Instant::now) + grace);
        }
        if self.timer.poll(deadline, cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(if idle {
            Ok(None)
        } else {
            let message = "the head of the request took too long";
            Err(Unread::Failed(Failure::new(Reason::HeadTimeout, message)))
        })
    }

    /// What is no request of HTTP/1 is the preface of HTTP/2. Inside TLS a client says in the handshake what it speaks.
    fn is_http2(&self) -> bool {
        let listener = &self.listening.listener;
        listener.http2 && listener.tls.is_none() && self.stream.unread().starts_with(http2::PREFACE_HEAD)
    }

    /// Answers what couldn't be read as a request.
    fn refuse(&mut self, failure: &Failure) -> After {
        self.thread.counters.reason(failure.reason);
        if failure.reason == Reason::ClientGone {
            self.thread.counters.response(0);
            return After::Abort;
        }
        let buffer = self.stream.output.buffer(&self.stream.buffers);
        self.thread.counters.response(failure.reason.status().as_u16());
        answer::write(buffer, failure, answer::Place::default(), None, answer::Form::closing());
        After::Linger
    }

    async fn close(&mut self, after: After) {
        if after == After::Abort {
            return;
        }
        let deadline = Instant::now() + self.thread.settings.timeouts.body_progress;
        if !self.flush(deadline).await || poll_fn(|cx| self.stream.poll_shutdown(cx)).await.is_err() {
            return;
        }
        if after == After::Linger {
            self.linger().await;
        }
    }

    /// `false`: what was to be written couldn't be by `deadline`.
    async fn flush(&mut self, deadline: Instant) -> bool {
        poll_fn(|cx| match self.stream.poll_flush(cx) {
            Poll::Ready(written) => Poll::Ready(written.is_ok()),
            Poll::Pending => self.timer.poll(deadline, cx).map(|()| false),
        })
        .await
    }

    async fn linger(&mut self) {
        let deadline = Instant::now() + self.thread.settings.timeouts.linger;
        let mut left = LINGER_BYTES;
        poll_fn(|cx| {
            while left > 0 {
                match self.stream.poll_discard(cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(len)) => left = left.saturating_sub(len),
                    Poll::Pending => return self.timer.poll(deadline, cx),
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    fn count_bytes(&mut self) {
        self.thread.counters.received_bytes.add(std::mem::take(&mut self.stream.received));
        self.thread.counters.sent_bytes.add(std::mem::take(&mut self.stream.sent));
    }
}

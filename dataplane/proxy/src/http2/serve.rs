use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, server};
use http::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::Answer;
use super::receive::Receive;
use super::request::{self, Body};
use super::stream::AsHttp1;
use super::transport::Transport;
use crate::connection::Connection;
use crate::http1::piece::Coding;
use crate::listening::Listening;
use crate::peer::Peer;
use crate::thread::{Control, Thread};
use crate::timer::Timer;
use crate::{Limits, Reason as Why};

/// The part of the connection preface (RFC 9113 section 3.4) that could be a request of HTTP/1.
pub(crate) const PREFACE_HEAD: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";
/// Requests that a client may have open at once on one connection.
const STREAMS: u32 = 128;
/// Bytes of a request's body that may be on their way before any is read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for their turn to be written.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests that h2 has to reset on one connection because they break the protocol. More: the connection ends.
const PROTOCOL_ERRORS: usize = 128;

/// Requests that a client may reset before their answers begin, if they are more than half of all: each made a target work for
/// nothing.
const ABANDONED: u64 = 128;

/// Whose connection it is.
pub(crate) struct Client {
    pub(crate) peer: Rc<Peer>,
    pub(crate) thread: Rc<Thread>,
    pub(crate) listening: Rc<Listening>,
    pub(crate) control: Rc<Control>,
}

/// Serves HTTP/2 on `io` until one side closes. `early` is what was read from it already, the preface included.
pub(crate) async fn serve<S>(io: S, early: Bytes, client: Client)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let written = Rc::new(Cell::new(0));
    let deadline = Instant::now() + client.thread.settings.timeouts.head;
    let handshake =
        settings(&client.thread.settings.limits).handshake(Transport::new(io, early, written.clone()));
    let Ok(Ok(connection)) = tokio::time::timeout_at(deadline, handshake).await else { return };
    client.thread.counters.http2_connections.add(1);
    let now = Instant::now();
    let mut session = Session {
        connection,
        client,
        streams: JoinSet::new(),
        begun: 0,
        abandoned: 0,
        idle: Rc::default(),
        timer: Timer::default(),
        first: true,
        leaving: None,
        moved: (now, 0),
        since: now,
        written,
    };
    poll_fn(|cx| session.poll(cx)).await;
    let Session { connection, mut streams, client, .. } = session;
    // Tells the streams that the client has gone. What doesn't hear it at once, as it connects to a target, is dropped.
    drop(connection);
    let linger = client.thread.settings.timeouts.linger;
    let _ = tokio::time::timeout(linger, async { while streams.join_next().await.is_some() {} }).await;
}

fn settings(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(Some(PROTOCOL_ERRORS))
        .enable_connect_protocol();
    builder
}

struct Session<S> {
    connection: server::Connection<Transport<S>, Bytes>,
    client: Client,
    /// A task for each request, which tells whether it was abandoned. They end with the session.
    streams: JoinSet<bool>,
    begun: u64,
    abandoned: u64,
    /// For requests, which are never waited for.
    idle: Rc<Control>,
    timer: Timer,
    /// There was no request yet.
    first: bool,
    /// Since when the client has been told to open no more streams.
    leaving: Option<Instant>,
    /// When bytes were last seen to be written, and how many had been by then.
    moved: (Instant, u64),
    /// When the last request began or ended.
    since: Instant,
    written: Rc<Cell<u64>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.client.control.wait(cx);
        if self.leaving.is_none() && self.is_stopping() {
            self.leave();
        }
        while let Poll::Ready(Some(ended)) = self.streams.poll_join_next(cx) {
            self.since = Instant::now();
            self.abandoned += u64::from(ended.unwrap_or(false));
        }
        if self.abandoned >= ABANDONED && self.abandoned * 2 > self.begun {
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        // Requests that were reset count here until their tasks have ended, so that opening and resetting many gets no
        // client more than its share.
        while self.streams.len() < STREAMS as usize {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return self.poll_time(cx),
            }
        }
        match self.connection.poll_closed(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.poll_time(cx),
        }
    }

    fn is_stopping(&self) -> bool {
        self.client.thread.draining().is_some() || self.client.listening.is_closing()
    }

    /// Takes what the client has sent by the time it hears of it, and nothing after that.
    fn leave(&mut self) {
        self.connection.graceful_shutdown();
        self.leaving = Some(Instant::now());
    }

    /// Ready when the client has had its time. Requests have timeouts of their own.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.streams.is_empty() {
                return Poll::Pending;
            }
            let deadline = self.deadline();
            if self.timer.poll(deadline, cx).is_pending() {
                return Poll::Pending;
            }
            if self.leaving.is_some() || self.connection.has_streams() {
                return Poll::Ready(());
            }
            self.leave();
            // Has to be written.
            if self.connection.poll_closed(cx).is_ready() {
                return Poll::Ready(());
            }
        }
    }

    /// When a connection without requests has to go.
    fn deadline(&mut self) -> Instant {
        let timeouts = &self.client.thread.settings.timeouts;
        if self.connection.has_streams() {
            // The last bytes of an answer.
            let written = self.written.get();
            if written != self.moved.1 {
                self.moved = (Instant::now(), written);
            }
            return self.moved.0.max(self.since) + timeouts.body_progress;
        }
        if let Some(leaving) = self.leaving {
            return leaving.max(self.since) + timeouts.linger;
        }
        self.since + if self.first { timeouts.head } else { timeouts.keep_alive }
    }

    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        self.first = false;
        self.begun += 1;
        self.since = Instant::now();
        let Client { thread, peer, listening, .. } = &self.client;
        let (parts, stream) = request.into_parts();
        let body = Body::of(&parts, &stream);
        let mut head = thread.buffers.take_input();
        let nonce = || [thread.draw.next(), thread.draw.next()];
        if request::write(&mut head, &parts, body, nonce).is_err() {
            thread.buffers.give_input(head);
            thread.counters.reason(Why::MalformedHead);
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        let receive = match body {
            Body::None => Receive::nothing(stream),
            Body::Length | Body::Tunnel => Receive::new(stream, Coding::Plain),
            Body::Chunked => Receive::new(stream, Coding::Chunked),
        };
        let bodiless = parts.method == Method::HEAD;
        let answer = Answer::new(respond, thread.settings.limits, bodiless, body == Body::Tunnel);
        let io = AsHttp1::new(receive, answer);
        let open = Open::new(thread.clone());
        let connection =
            Connection::new(io, peer.clone(), thread.clone(), listening.clone(), self.idle.clone());
        self.streams.spawn_local(async move {
            let _open = open;
            connection.serve_stream(head).await
        });
    }
}

/// Counts a stream while it is open, also when its task panics.
struct Open(Rc<Thread>);

impl Open {
    fn new(thread: Rc<Thread>) -> Self {
        thread.counters.http2_streams.add(1);
        Self(thread)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.http2_streams.sub(1);
        if std::thread::panicking() {
            self.0.counters.panics.add(1);
        }
    }
}

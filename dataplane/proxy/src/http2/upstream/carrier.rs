use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Request;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::Limits;
use crate::upstream::Address;

/// Streams at once on one connection, also where a target allows more: beyond that a second connection is better than
/// waiting for each other in one.
const STREAMS: usize = 100;
/// What a target may send on a stream before the client has taken it, in bytes: the most that one slow client makes us
/// hold, and enough for 250 MB/s at a round trip of a millisecond.
const STREAM_WINDOW: u32 = 256 * 1024;
/// As much for all streams together, so that slow clients never hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// What is kept of a stream's request until the target has room for it, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that we gave up and that a target may still send on, without that being a mistake.
const GIVEN_UP: usize = 1024;

/// An HTTP/2 connection to a target.
pub(crate) struct Carrier {
    sender: RefCell<SendRequest<Bytes>>,
    pub(super) scheme: Scheme,
    pub(super) limits: Limits,
    streams: Cell<usize>,
    /// When its last stream ended.
    idle_since: Cell<Instant>,
    /// For a target with a name.
    address: Option<Arc<Address>>,
}

impl Carrier {
    /// Begins to speak HTTP/2 on `io`, with prior knowledge or as ALPN chose it. A task of its own moves its frames until
    /// it is let go of and its last stream has ended.
    pub(crate) async fn open<S>(
        io: S,
        scheme: Scheme,
        limits: Limits,
        address: Option<Arc<Address>>,
    ) -> Result<Rc<Self>, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (sender, connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_reset_streams(GIVEN_UP)
            // Counted over the whole life of a connection, and what a target still sends on streams that we gave up long
            // ago counts, too: a limit would end connections that last.
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(io)
            .await?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to a target ended");
            }
        });
        let (streams, idle_since) = (Cell::new(0), Cell::new(Instant::now()));
        Ok(Rc::new(Self { sender: RefCell::new(sender), scheme, limits, streams, idle_since, address }))
    }

    /// Neither closed nor, by GOAWAY, closing, and its target's name still leads there.
    pub(super) fn is_open(&self) -> bool {
        let leads_away = self.address.as_ref().is_some_and(|address| address.is_gone());
        !leads_away && !matches!(self.poll_ready(), Poll::Ready(Err(_)))
    }

    pub(super) fn has_room(&self) -> bool {
        let allowed = self.sender.borrow().current_max_send_streams().min(STREAMS);
        self.streams.get() < allowed && matches!(self.poll_ready(), Poll::Ready(Ok(())))
    }

    /// Nobody waits for the answer.
    fn poll_ready(&self) -> Poll<Result<(), h2::Error>> {
        self.sender.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()))
    }

    /// Since when it has had no streams.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }

    pub(super) fn send(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.borrow_mut().send_request(request, ends)
    }
}

/// A stream's place on a connection.
pub(super) struct Slot(Rc<Carrier>);

impl Slot {
    pub(super) fn new(carrier: Rc<Carrier>) -> Self {
        carrier.streams.set(carrier.streams.get() + 1);
        Self(carrier)
    }

    pub(super) fn carrier(&self) -> &Carrier {
        &self.0
    }

    /// Another place, for what a stream leaves behind.
    pub(super) fn again(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
    }
}

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::Instant;

use crate::buffers::{Buffers, READ_BUFFER};
use crate::timer::Timer;

/// One direction of a tunnel: reads only once all was written, and hands the end of the stream on.
struct Direction {
    buffer: BytesMut,
    ended: bool,
    finished: bool,
}

/// How a tunnel ended.
pub(crate) struct Ended {
    /// Nothing moved for too long; else one side closed.
    pub(crate) idle: bool,
    /// Bytes from the client.
    pub(crate) received: u64,
    /// Bytes to the client.
    pub(crate) sent: u64,
}

/// Copies both ways until both sides have ended, one fails, or nothing moves for `idle`. `early` is what either side had
/// sent before the tunnel stood: the client's, then the target's.
pub(crate) async fn run<C, U>(
    client: &mut C,
    upstream: &mut U,
    early: (Bytes, Bytes),
    idle: Option<Duration>,
    timer: &mut Timer,
    buffers: &Buffers,
) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::new(&early.0);
    let mut down = Direction::new(&early.1);
    let (mut sent, mut received) = (0, 0);
    let mut last = Instant::now();
    let idle = poll_fn(|cx| {
        let before = sent + received;
        let first = up.poll(client, upstream, &mut received, buffers, cx);
        let second = down.poll(upstream, client, &mut sent, buffers, cx);
        match (first, second) {
            (Poll::Ready(Err(_)), _)
            | (_, Poll::Ready(Err(_)))
            | (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                return Poll::Ready(false);
            }
            _ => {}
        }
        if sent + received != before {
            last = Instant::now();
        }
        match idle.and_then(|idle| last.checked_add(idle)) {
            Some(deadline) => timer.poll(deadline, cx).map(|()| true),
            None => Poll::Pending,
        }
    })
    .await;
    Ended { idle, received, sent }
}

impl Direction {
    fn new(early: &[u8]) -> Self {
        Self { buffer: BytesMut::from(early), ended: false, finished: false }
    }

    fn poll<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        moved: &mut u64,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.advance(written);
                *moved += written as u64;
            }
            if self.ended {
                if !self.finished {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.finished = true;
                }
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            self.ended = ready!(self.fill(from, buffers, cx))? == 0;
        }
    }

    /// Reads once into a buffer that goes back while there is nothing to read.
    fn fill<R>(&mut self, from: &mut R, buffers: &Buffers, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + Unpin,
    {
        if !self.buffer.try_reclaim(READ_BUFFER) {
            self.buffer = buffers.take_input();
        }
        let read = {
            let future = std::pin::pin!(from.read_buf(&mut self.buffer));
            future.poll(cx)
        };
        if read.is_pending() {
            buffers.give_input(std::mem::take(&mut self.buffer));
        }
        read
    }
}

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Answer;
use super::receive::Receive;

/// A stream as the byte stream of a connection of HTTP/1.1, behind the head of its request.
pub(crate) struct AsHttp1 {
    pub(super) receive: Receive,
    pub(super) answer: Answer,
    abandoned: bool,
}

impl AsHttp1 {
    pub(super) const fn new(receive: Receive, answer: Answer) -> Self {
        Self { receive, answer, abandoned: false }
    }

    /// The client reset the stream, or was gone, before any of an answer was there.
    pub(crate) const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    fn poll_request(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.receive.poll_read(cx, buffer))?;
        if buffer.filled().len() > before || buffer.remaining() == 0 || self.answer.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        // Behind its request a connection stays open until the client has gone.
        self.answer.poll_gone(cx).map(|()| Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncRead for AsHttp1 {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = ready!(this.poll_request(cx, buffer));
        this.abandoned |= read.is_err() && !this.answer.has_begun();
        Poll::Ready(read)
    }
}

impl AsyncWrite for AsHttp1 {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().answer.poll_write(cx, bytes)
    }

    /// The connection's task writes the frames.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().answer.shutdown())
    }
}

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::chunked::ChunkError;
use super::head::{self, Head, HeadError};
use super::output::Output;
use super::piece::{BodyReader, Piece};
use super::response_head::{self, ResponseError, ResponseHead};
use crate::Limits;
use crate::buffers::{Buffers, READ_BUFFER};
use crate::proxy_header::{self, ProxyHeader};

/// A byte stream as HTTP/1 messages: a client's, with requests in and answers out, or a target's, the other way round.
/// Buffers are held only while bytes are in them.
pub(crate) struct Stream<S> {
    io: S,
    input: BytesMut,
    /// Bytes of an incomplete head that were looked at.
    looked_at: usize,
    pub(crate) output: Output,
    pub(crate) buffers: Rc<Buffers>,
    limits: Limits,
    /// Bytes read and written since the start, to see progress.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// A head with the bytes that it was parsed from, or why there is none.
type Read<H, E> = Poll<Result<H, ReadError<E>>>;

/// Why no head could be read; `E` is what can be wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError<E> {
    #[error("{0}")]
    Head(E),
    #[error("the other side closed before the end of a head")]
    Closed,
    #[error("{0}")]
    Io(io::Error),
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    Chunk(#[from] ChunkError),
    #[error("the other side closed in the middle of a body")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl<S> Stream<S> {
    pub(crate) fn new(io: S, buffers: Rc<Buffers>, limits: Limits) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            looked_at: 0,
            output: Output::default(),
            buffers,
            limits,
            received: 0,
            sent: 0,
        }
    }

    /// The byte stream, and what was read ahead.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.io, self.input.freeze())
    }

    pub(crate) const fn io(&self) -> &S {
        &self.io
    }

    /// Takes `head` for what was read first. Nothing was read so far.
    pub(crate) fn unread_head(&mut self, head: BytesMut) {
        self.input = head;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// No byte of a next request is here yet.
    pub(crate) fn is_idle(&self) -> bool {
        self.input.is_empty()
    }

    /// Bytes that were read and not used: of a body, or of pipelined requests.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input
    }

    /// How far it has come: bytes that were taken, and that are sent or will be. Only differences of two say something, and those of
    /// the first only if they wrap around.
    pub(crate) fn position(&self) -> (u64, u64) {
        let unread = self.input.len() as u64;
        (self.received.wrapping_sub(unread), self.sent + self.output.pending() as u64)
    }

    /// Reads once. 0 is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < READ_BUFFER / 4 {
            if self.input.is_empty() {
                self.release_input();
                self.input = self.buffers.take_input();
            } else {
                self.input.reserve(READ_BUFFER.max(self.input.len()));
            }
        }
        let read = pin!(self.io.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Ready(Ok(len)) => self.received += len as u64,
            _ => self.release_input(),
        }
        read
    }

    /// Gives the buffer back while nothing is in it.
    fn release_input(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.buffers.give_input(std::mem::take(&mut self.input));
        }
    }

    /// The header of the PROXY protocol in front of all else. `None`: there is none, or it never ends.
    pub(crate) fn poll_proxy_header(&mut self, cx: &mut Context<'_>) -> Poll<Option<ProxyHeader>> {
        loop {
            match proxy_header::parse(&self.input) {
                Ok(None) => {}
                Ok(Some(header)) => {
                    drop(self.input.split_to(header.len));
                    return Poll::Ready(Some(header));
                }
                Err(_) => return Poll::Ready(None),
            }
            if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                return Poll::Ready(None);
            }
        }
    }

    /// The first byte that is here, without taking it. `None`: the client closed before.
    pub(crate) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<u8>> {
        if self.input.is_empty() && !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
            return Poll::Ready(None);
        }
        Poll::Ready(self.input.first().copied())
    }

    /// The next request head with its bytes; `None`: the client closed between two requests.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Read<Option<(Head, Bytes)>, HeadError> {
        loop {
            if !self.input.is_empty() {
                let end = head::find_end(&self.input, self.looked_at, &self.limits);
                if let Some(end) = end.map_err(ReadError::Head)? {
                    self.looked_at = 0;
                    let head =
                        head::parse_complete(&self.input, end, &self.limits).map_err(ReadError::Head)?;
                    return Poll::Ready(Ok(Some((head, self.input.split_to(end).freeze()))));
                }
                self.looked_at = self.input.len();
            }
            if ready!(self.poll_fill(cx)).map_err(ReadError::Io)? == 0 {
                // An empty line after a body is no beginning of a request.
                let empty = self.input.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                return Poll::Ready(if empty { Ok(None) } else { Err(ReadError::Closed) });
            }
        }
    }

    /// The next response head with its bytes.
    pub(crate) fn poll_response_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Read<(ResponseHead, Bytes), ResponseError> {
        loop {
            if !self.input.is_empty() {
                let end = response_head::find_end(&self.input, self.looked_at, &self.limits);
                if let Some(end) = end.map_err(ReadError::Head)? {
                    self.looked_at = 0;
                    let head = response_head::parse_complete(&self.input, end, &self.limits)
                        .map_err(ReadError::Head)?;
                    return Poll::Ready(Ok((head, self.input.split_to(end).freeze())));
                }
                self.looked_at = self.input.len();
            }
            if ready!(self.poll_fill(cx)).map_err(ReadError::Io)? == 0 {
                return Poll::Ready(Err(ReadError::Closed));
            }
        }
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) fn poll_body(
        &mut self,
        reader: &mut BodyReader,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            match reader.take(&mut self.input) {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if reader.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if reader.ends_with_the_stream() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(BodyError::Closed))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    pub(crate) fn push(&mut self, piece: Bytes, end: &'static [u8]) {
        self.output.push(piece, end, &self.buffers);
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.output.poll_write(&mut self.io, &mut self.sent, &self.buffers, cx)
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Reads and drops what the client still sends. Answers the number of bytes; 0 at the end.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.clear();
        self.poll_fill(cx)
    }

    /// Ready when the other side has closed. It can't be told while something else waits to be read, and a system call is
    /// made only if the kernel had something to tell.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() {
            return Poll::Pending;
        }
        let mut space = [const { MaybeUninit::uninit() }; 256];
        let mut read = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.io).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                self.received += read.filled().len() as u64;
                self.input.extend_from_slice(read.filled());
                Poll::Pending
            }
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Nothing is left to read or to write as far as is known here.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    pub(crate) const fn io_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// The byte stream alone, before anything was read or written.
    pub(crate) fn into_io(self) -> S {
        self.io
    }

    /// The byte stream, and what was read ahead, for a tunnel.
    pub(crate) fn tunnel(&mut self) -> (&mut S, Bytes) {
        let unread = Bytes::copy_from_slice(&self.input);
        self.input.clear();
        self.release_input();
        (&mut self.io, unread)
    }
}

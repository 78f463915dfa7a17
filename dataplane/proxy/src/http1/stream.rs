use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::chunked::{self, ChunkError, Decoder, Event};
use super::framing::BodyLength;
use super::head::{self, Head, HeadError};
use super::output::Output;
use crate::Limits;
use crate::buffers::{Buffers, READ_BUFFER};

/// A client's byte stream as HTTP/1 messages: request heads and bodies in, answers out. Buffers are held only while
/// bytes are in them.
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

/// Why no request could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Head(#[from] HeadError),
    #[error("the client closed in the middle of a head")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Why a request body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    Chunk(#[from] ChunkError),
    #[error("the client closed in the middle of a body")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The place in a request body.
#[derive(Clone, Debug)]
pub(crate) enum BodyReader {
    Done,
    Length(u64),
    Chunked(Decoder),
}

impl BodyReader {
    pub(crate) fn new(length: BodyLength, limits: &Limits) -> Self {
        match length {
            BodyLength::None | BodyLength::Length(0) => Self::Done,
            BodyLength::Length(left) => Self::Length(left),
            BodyLength::Chunked => Self::Chunked(Decoder::new(limits)),
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
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

    /// No byte of a next request is here yet.
    pub(crate) fn is_idle(&self) -> bool {
        self.input.is_empty()
    }

    /// Bytes that were read and not used: of a body, or of pipelined requests.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input
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

    /// The next request head with its bytes; `None`: the client closed between two requests.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(Head, Bytes)>, ReadError>> {
        loop {
            if !self.input.is_empty() {
                if let Some(end) = head::find_end(&self.input, self.looked_at, &self.limits)? {
                    self.looked_at = 0;
                    let head = head::parse_complete(&self.input, end, &self.limits)?;
                    return Poll::Ready(Ok(Some((head, self.input.split_to(end).freeze()))));
                }
                self.looked_at = self.input.len();
            }
            if ready!(self.poll_fill(cx))? == 0 {
                // An empty line after a body is no beginning of a request.
                let empty = self.input.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                return Poll::Ready(if empty { Ok(None) } else { Err(ReadError::Closed) });
            }
        }
    }

    /// The next piece of the request's body; `None` at its end.
    pub(crate) fn poll_body(
        &mut self,
        reader: &mut BodyReader,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match self.buffered_body(reader) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if reader.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Some(Err(BodyError::Closed))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// What of the body is in the buffer.
    pub(crate) fn buffered_body(
        &mut self,
        reader: &mut BodyReader,
    ) -> Result<Option<Frame<Bytes>>, ChunkError> {
        match reader {
            BodyReader::Done => Ok(None),
            BodyReader::Length(left) => {
                let len = usize::try_from(*left).map_or(self.input.len(), |left| left.min(self.input.len()));
                if len == 0 {
                    return Ok(None);
                }
                *left -= len as u64;
                if *left == 0 {
                    *reader = BodyReader::Done;
                }
                Ok(Some(Frame::data(self.input.split_to(len).freeze())))
            }
            BodyReader::Chunked(decoder) => {
                let (consumed, event) = decoder.decode(&self.input)?;
                drop(self.input.split_to(consumed));
                match event {
                    Event::NeedMore => Ok(None),
                    Event::Data(len) => Ok(Some(Frame::data(self.input.split_to(len).freeze()))),
                    Event::End { trailers } => {
                        *reader = BodyReader::Done;
                        let section = self.input.split_to(trailers).freeze();
                        Ok(trailer_map(&section)?.map(Frame::trailers))
                    }
                }
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

    /// The byte stream, and what was read ahead, for a tunnel.
    pub(crate) fn tunnel(&mut self) -> (&mut S, Bytes) {
        (&mut self.io, self.input.split().freeze())
    }
}

fn trailer_map(section: &Bytes) -> Result<Option<HeaderMap>, ChunkError> {
    if section.is_empty() {
        return Ok(None);
    }
    let fields = chunked::trailers(section)?;
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.of(section));
        let value = HeaderValue::from_maybe_shared(section.slice(field.value.range()));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    Ok(if map.is_empty() { None } else { Some(map) })
}

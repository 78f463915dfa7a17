use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Limits;
use crate::http1::chunked::{self, Decoder, Event};

/// The bytes of a body of HTTP/1 on their way into a stream. No more is taken than the other side lets through, so a
/// slow reader holds up whoever writes here.
pub(crate) struct Send {
    stream: SendStream<Bytes>,
    place: Place,
    /// Why the stream is reset if it is dropped before the end.
    abort: Reason,
}

/// What is to come.
pub(crate) enum Place {
    /// That many bytes.
    Length(u64),
    Chunked(Box<Chunked>),
    /// A tunnel: all until the writer shuts down.
    Open,
    /// Nothing. What is written nevertheless is dropped: the body of an answer to HEAD.
    Ended,
}

pub(crate) struct Chunked {
    decoder: Decoder,
    /// Bytes of data at the front of what is written next.
    data: usize,
    /// The beginning of a trailer section.
    section: Vec<u8>,
}

impl Place {
    pub(crate) fn chunked(limits: &Limits) -> Self {
        Self::Chunked(Box::new(Chunked { decoder: Decoder::new(limits), data: 0, section: Vec::new() }))
    }
}

impl Send {
    pub(crate) const fn new(stream: SendStream<Bytes>, place: Place, abort: Reason) -> Self {
        Self { stream, place, abort }
    }

    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self.place, Place::Ended)
    }

    /// Takes the front of `bytes`. Answers how much that was.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.place {
            Place::Ended => Poll::Ready(Ok(bytes.len())),
            Place::Open => send(&mut self.stream, bytes, false, cx),
            Place::Length(left) => {
                let len = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let last = len as u64 == *left;
                let sent = ready!(send(&mut self.stream, bytes.get(..len).unwrap_or_default(), last, cx))?;
                *left -= sent as u64;
                if *left == 0 {
                    self.place = Place::Ended;
                }
                Poll::Ready(Ok(sent))
            }
            Place::Chunked(chunked) => {
                let (taken, ended) = ready!(chunked.poll_write(&mut self.stream, cx, bytes))?;
                if ended {
                    self.place = Place::Ended;
                }
                Poll::Ready(Ok(taken))
            }
        }
    }

    /// Ends a tunnel. A body that isn't complete stays so.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if matches!(self.place, Place::Open) {
            self.stream.send_data(Bytes::new(), true).map_err(io::Error::other)?;
            self.place = Place::Ended;
        }
        Ok(())
    }

    /// Ready when the other side has reset the stream or the connection is lost.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(drop)
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        if !self.is_ended() {
            self.stream.send_reset(self.abort);
        }
    }
}

impl Chunked {
    /// Answers how much of `bytes` was taken, and whether the body has ended.
    fn poll_write(
        &mut self,
        stream: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<(usize, bool)>> {
        if !self.section.is_empty() {
            return Poll::Ready(self.more_trailers(stream, bytes));
        }
        let mut taken = 0;
        if self.data == 0 {
            let (consumed, event) = self.decoder.decode(bytes).map_err(io::Error::other)?;
            let rest = bytes.get(consumed..).unwrap_or_default();
            match event {
                Event::Data(len) => (taken, self.data) = (consumed, len),
                Event::End { trailers } => {
                    end(stream, rest.get(..trailers).unwrap_or_default())?;
                    return Poll::Ready(Ok((consumed + trailers, true)));
                }
                Event::NeedMore => {
                    self.section.extend_from_slice(rest);
                    return Poll::Ready(Ok((bytes.len(), false)));
                }
            }
        }
        let data = bytes.get(taken..).unwrap_or_default();
        let data = data.get(..self.data).unwrap_or(data);
        match send(stream, data, false, cx) {
            Poll::Ready(Ok(sent)) => {
                self.data -= sent;
                Poll::Ready(Ok((taken + sent, false)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if taken > 0 => Poll::Ready(Ok((taken, false))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Goes on in a trailer section that didn't come at once. The decoder bounds it.
    fn more_trailers(&mut self, stream: &mut SendStream<Bytes>, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let before = self.section.len();
        self.section.extend_from_slice(bytes);
        let (consumed, event) = self.decoder.decode(&self.section).map_err(io::Error::other)?;
        let Event::End { trailers } = event else { return Ok((bytes.len(), false)) };
        end(stream, self.section.get(consumed..consumed + trailers).unwrap_or_default())?;
        Ok(((consumed + trailers).saturating_sub(before), true))
    }
}

/// Sends as much of `data` as the other side takes, and the end of the stream with the last of it if it is `last`.
fn send(
    stream: &mut SendStream<Bytes>,
    data: &[u8],
    last: bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if data.is_empty() {
        return Poll::Ready(Ok(0));
    }
    stream.reserve_capacity(data.len());
    let mut capacity = stream.capacity();
    while capacity == 0 {
        capacity = match ready!(stream.poll_capacity(cx)) {
            Some(Ok(capacity)) => capacity,
            Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
    }
    let part = data.get(..capacity).unwrap_or(data);
    let last = last && part.len() == data.len();
    stream.send_data(Bytes::copy_from_slice(part), last).map_err(io::Error::other)?;
    Poll::Ready(Ok(part.len()))
}

/// Ends the stream, with the fields of a trailer section if there are any.
fn end(stream: &mut SendStream<Bytes>, section: &[u8]) -> io::Result<()> {
    let fields = chunked::trailers(section).map_err(io::Error::other)?;
    if fields.is_empty() {
        return stream.send_data(Bytes::new(), true).map_err(io::Error::other);
    }
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.of(section)).map_err(io::Error::other)?;
        let value = HeaderValue::from_bytes(field.value.of(section)).map_err(io::Error::other)?;
        trailers.append(name, value);
    }
    stream.send_trailers(trailers).map_err(io::Error::other)
}

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::RecvStream;
use http::HeaderMap;
use tokio::io::ReadBuf;

use crate::http1::piece::Coding;
use crate::http1::response;

/// The body that arrives on a stream, as the bytes of a body of HTTP/1. What isn't read here isn't acknowledged to the
/// other side, which therefore stops sending once the window of the stream is full.
pub(crate) struct Receive {
    stream: RecvStream,
    coding: Coding,
    /// Goes before `data`: the size of a chunk, or all that ends a chunked body.
    text: Vec<u8>,
    /// Bytes of `text` that were read.
    at: usize,
    data: Bytes,
    /// Goes behind `data`.
    end: &'static [u8],
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Data,
    Trailers,
    Ended,
}

impl Receive {
    /// For a body whose length was announced, or that is no message, the coding is plain, and trailers are dropped.
    pub(crate) fn new(stream: RecvStream, coding: Coding) -> Self {
        let place = Place::Data;
        Self { stream, coding, text: Vec::new(), at: 0, data: Bytes::new(), end: b"", place }
    }

    /// For a message without a body. What comes nevertheless is dropped with the stream.
    pub(crate) fn nothing(stream: RecvStream) -> Self {
        Self { place: Place::Ended, ..Self::new(stream, Coding::Plain) }
    }

    /// The other side has ended the stream, whether or not that was read.
    pub(crate) fn is_ended(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// Waits for the end of a stream whose body has ended by its length. What else comes is dropped.
    pub(crate) async fn end(mut self) {
        while let Some(Ok(data)) = self.stream.data().await {
            let _ = self.stream.flow_control().release_capacity(data.len());
        }
    }

    /// Reads what there is into `buffer`; nothing at the end. A reset of the stream and a lost connection are errors, with
    /// the [`h2::Error`] in them.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            self.copy(buffer)?;
            if self.has_more() || buffer.remaining() == 0 || self.place == Place::Ended {
                return Poll::Ready(Ok(()));
            }
            match self.poll_next(cx) {
                Poll::Ready(Ok(())) => {}
                // An error is still there at the next call.
                _ if buffer.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn has_more(&self) -> bool {
        self.at < self.text.len() || !self.data.is_empty() || !self.end.is_empty()
    }

    fn copy(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        self.at += put(buffer, self.text.get(self.at..).unwrap_or_default());
        if self.at < self.text.len() {
            return Ok(());
        }
        let len = put(buffer, &self.data);
        if len > 0 {
            self.data.advance(len);
            self.stream.flow_control().release_capacity(len).map_err(io::Error::other)?;
        }
        if self.data.is_empty() {
            // Lets go of the frame's memory.
            self.data = Bytes::new();
            let len = put(buffer, self.end);
            self.end = self.end.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes the next frame.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.text.clear();
        self.at = 0;
        if self.place == Place::Data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => self.frame(data),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None if self.coding == Coding::Plain => self.place = Place::Ended,
                None => self.place = Place::Trailers,
            }
        } else {
            let trailers = ready!(self.stream.poll_trailers(cx)).map_err(io::Error::other)?;
            last_chunk(&mut self.text, trailers.as_ref());
            self.place = Place::Ended;
        }
        Poll::Ready(Ok(()))
    }

    fn frame(&mut self, data: Bytes) {
        // An empty chunk would be the end of the body.
        if self.coding == Coding::Chunked && !data.is_empty() {
            response::chunk_size(&mut self.text, data.len());
            self.end = response::CRLF;
        }
        self.data = data;
    }
}

/// Copies what fits. Answers how much that was.
fn put(buffer: &mut ReadBuf<'_>, bytes: &[u8]) -> usize {
    let len = bytes.len().min(buffer.remaining());
    buffer.put_slice(bytes.get(..len).unwrap_or_default());
    len
}

fn last_chunk(text: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    text.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        response::field(text, name.as_str().as_bytes(), value.as_bytes());
    }
    text.extend_from_slice(response::CRLF);
}

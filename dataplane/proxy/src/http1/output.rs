use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::buffers::Buffers;

/// A piece of a body up to this size is copied behind the head, so that a small message is one write of one slice.
const COPIED: usize = 8 * 1024;

/// What is to be written: copied bytes, then at most one large piece, then its end.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    written: usize,
    piece: Bytes,
    end: &'static [u8],
    /// All was handed on, and what carries the bytes still has some of them.
    flushing: bool,
}

impl Output {
    /// The buffer to append to. Only valid while [`Output::takes_more`].
    pub(crate) fn buffer(&mut self, buffers: &Buffers) -> &mut Vec<u8> {
        if self.buffer.capacity() == 0 {
            self.buffer = buffers.take_output();
        }
        &mut self.buffer
    }

    /// Begins with `head`, from the same buffers. Nothing else is to be written.
    pub(crate) fn begin(&mut self, head: Vec<u8>, buffers: &Buffers) {
        buffers.give_output(std::mem::replace(&mut self.buffer, head));
        self.written = 0;
    }

    /// A large piece, or a full buffer, has to be written before more is appended.
    pub(crate) fn takes_more(&self) -> bool {
        self.piece.is_empty() && self.end.is_empty() && self.buffer.len() < 2 * COPIED
    }

    /// Nothing is left to write, and all was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_handed_on() && !self.flushing
    }

    /// Bytes that aren't handed on yet.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len() - self.written + self.piece.len() + self.end.len()
    }

    fn is_handed_on(&self) -> bool {
        self.written == self.buffer.len() && self.piece.is_empty() && self.end.is_empty()
    }

    pub(crate) fn push(&mut self, piece: Bytes, end: &'static [u8], buffers: &Buffers) {
        if piece.len() <= COPIED {
            let buffer = self.buffer(buffers);
            buffer.extend_from_slice(&piece);
            buffer.extend_from_slice(end);
        } else {
            self.piece = piece;
            self.end = end;
        }
    }

    /// Writes all there is. Answers the number of bytes written by this call when it is done.
    pub(crate) fn poll_write<S>(
        &mut self,
        io: &mut S,
        progress: &mut u64,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.is_handed_on() {
            let rest = self.buffer.get(self.written..).unwrap_or_default();
            let written = if self.piece.is_empty() && self.end.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, rest))?
            } else {
                let slices = [IoSlice::new(rest), IoSlice::new(&self.piece), IoSlice::new(self.end)];
                let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(0);
                let slices = slices.get(first..).unwrap_or_default();
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *progress += written as u64;
            self.advance(written);
        }
        self.written = 0;
        buffers.give_output(std::mem::take(&mut self.buffer));
        let flushed = Pin::new(io).poll_flush(cx);
        self.flushing = flushed.is_pending();
        flushed
    }

    fn advance(&mut self, mut written: usize) {
        let part = written.min(self.buffer.len() - self.written);
        self.written += part;
        written -= part;
        let part = written.min(self.piece.len());
        self.piece.advance(part);
        if self.piece.is_empty() {
            // Lets go of the memory, which the reading side then uses again.
            self.piece = Bytes::new();
        }
        self.end = self.end.get(written - part..).unwrap_or_default();
    }
}

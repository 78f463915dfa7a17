use bytes::{Bytes, BytesMut};

use super::chunked::{self, ChunkError, Decoder, Event};
use super::fields::Field;
use super::framing::BodyLength;
use super::response;
use super::response_head::ResponseLength;
use super::stream::Stream;
use crate::Limits;

/// A part of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Not empty.
    Data(Bytes),
    /// The end of a chunked body that has trailer fields: those that may be passed on, and the bytes they are in.
    Trailers(Vec<Field>, Bytes),
}

/// The place in a body.
#[derive(Clone, Debug)]
pub(crate) enum BodyReader {
    Done,
    Length(u64),
    Chunked(Decoder),
    /// All until the other side closes.
    Close,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Chunked,
}

impl Piece {
    /// Nothing has to be written behind it. `reader` is where it came from.
    pub(crate) const fn is_last(&self, reader: &BodyReader, coding: Coding) -> bool {
        match (self, coding) {
            (Self::Trailers(..), _) => true,
            (Self::Data(_), Coding::Plain) => reader.is_done(),
            // The last chunk follows.
            (Self::Data(_), Coding::Chunked) => false,
        }
    }
}

impl BodyReader {
    /// For a request.
    pub(crate) const fn new(length: BodyLength, limits: &Limits) -> Self {
        match length {
            BodyLength::None | BodyLength::Length(0) => Self::Done,
            BodyLength::Length(left) => Self::Length(left),
            BodyLength::Chunked => Self::Chunked(Decoder::new(limits)),
        }
    }

    /// The same for a body that has at most `limit` bytes. A length that was announced has been compared before.
    pub(crate) fn limited(self, limit: Option<u64>) -> Self {
        match (self, limit) {
            (Self::Chunked(decoder), Some(limit)) => Self::Chunked(decoder.limited(limit)),
            (reader, _) => reader,
        }
    }

    /// For a response.
    pub(crate) const fn of_response(length: ResponseLength, limits: &Limits) -> Self {
        match length {
            ResponseLength::None | ResponseLength::Length(0) => Self::Done,
            ResponseLength::Length(left) => Self::Length(left),
            ResponseLength::Chunked => Self::Chunked(Decoder::new(limits)),
            ResponseLength::Close => Self::Close,
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes the end of the byte stream for the end of the body, if that is how this one ends.
    pub(crate) fn ends_with_the_stream(&mut self) -> bool {
        let ends = matches!(self, Self::Close);
        if ends {
            *self = Self::Done;
        }
        ends
    }

    /// Whether what is in `input` can be the body so far. Nothing is consumed.
    pub(crate) fn check(&self, input: &[u8]) -> Result<(), ChunkError> {
        match self {
            Self::Chunked(decoder) => decoder.check(input),
            _ => Ok(()),
        }
    }

    /// Takes the next piece off `input`; `None`: the body has ended or there is nothing of it yet.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, ChunkError> {
        match self {
            Self::Done => Ok(None),
            Self::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                if len == 0 {
                    return Ok(None);
                }
                *left -= len as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(Some(Piece::Data(input.split_to(len).freeze())))
            }
            Self::Close if input.is_empty() => Ok(None),
            Self::Close => Ok(Some(Piece::Data(input.split().freeze()))),
            Self::Chunked(decoder) => {
                let (consumed, event) = decoder.decode(input)?;
                drop(input.split_to(consumed));
                match event {
                    Event::NeedMore => Ok(None),
                    Event::Data(len) => Ok(Some(Piece::Data(input.split_to(len).freeze()))),
                    Event::End { trailers } => {
                        *self = Self::Done;
                        let section = input.split_to(trailers).freeze();
                        let kept = chunked::trailers(&section)?;
                        Ok((!kept.is_empty()).then_some(Piece::Trailers(kept, section)))
                    }
                }
            }
        }
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Stream<S> {
    /// Appends a piece. Trailers are the end of a chunked body, and nothing otherwise.
    pub(crate) fn put(&mut self, piece: Piece, coding: Coding) {
        match (piece, coding) {
            (Piece::Data(data), Coding::Plain) => self.push(data, b""),
            (Piece::Data(data), Coding::Chunked) => {
                response::chunk_size(self.output.buffer(&self.buffers), data.len());
                self.push(data, response::CRLF);
            }
            (Piece::Trailers(fields, section), Coding::Chunked) => {
                response::trailers(self.output.buffer(&self.buffers), &fields, &section);
            }
            (Piece::Trailers(..), Coding::Plain) => {}
        }
    }

    /// Appends the end of a body without trailers.
    pub(crate) fn put_end(&mut self, coding: Coding) {
        if coding == Coding::Chunked {
            self.output.buffer(&self.buffers).extend_from_slice(response::LAST_CHUNK);
        }
    }
}

use super::fields::{self, Field, FieldError};
use crate::{Limits, Reason};

/// Reads the chunked transfer coding (RFC 9112 section 7.1). Extensions are bounded and dropped; only CRLF ends a line.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    extension_limit: usize,
    trailer_limit: usize,
    /// Bytes of data that may still come.
    data_limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { size: u64, len: usize },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// What is at the front of the input once the consumed bytes are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing usable before more input.
    NeedMore,
    /// That many bytes of the body, at least 1. The decoder counts them as taken.
    Data(usize),
    /// The body has ended. That many bytes of trailer section follow, for [`trailers`]; 0: there is none.
    End { trailers: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("a chunk size isn't 1 to 15 hexadecimal digits followed by CRLF or an extension")]
    Size,
    #[error("a chunk extension is too long or has a control character")]
    Extension,
    #[error("the data of a chunk isn't followed by CRLF")]
    DataEnd,
    #[error("trailer section: {0}")]
    Trailer(FieldError),
    #[error("a line of the trailer section ends with LF alone")]
    BareLf,
    #[error("the trailer section is too large")]
    TrailersTooLarge,
    #[error("the body is larger than the route allows")]
    BodyTooLarge,
}

impl ChunkError {
    pub const fn reason(self) -> Reason {
        match self {
            Self::TrailersTooLarge => Reason::TrailersTooLarge,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            _ => Reason::BadChunk,
        }
    }
}

impl Decoder {
    pub const fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size { digits: 0, size: 0 },
            extension_limit: limits.chunk_extension_bytes,
            trailer_limit: limits.trailer_bytes,
            data_limit: u64::MAX,
        }
    }

    /// The same for a body that has at most `limit` bytes of data.
    pub const fn limited(self, limit: u64) -> Self {
        Self { data_limit: limit, ..self }
    }

    /// Reads on in `input`, which begins where the last call stopped: after its consumed bytes and its data. Answers how
    /// many bytes to drop, and what follows them.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Event), ChunkError> {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            match self.state {
                State::Data { left } if left > 0 => return Ok((consumed, self.data(left, rest.len()))),
                State::Trailers => return self.trailer_section(rest, consumed),
                State::Done => return Ok((consumed, Event::End { trailers: 0 })),
                _ => {}
            }
            let Some(byte) = rest.first() else { return Ok((consumed, Event::NeedMore)) };
            let next = self.advance(*byte)?;
            if let (State::SizeLf { size }, State::Data { .. }) = (self.state, next) {
                // By the size that is announced, before any of it is taken.
                self.data_limit = self.data_limit.checked_sub(size).ok_or(ChunkError::BodyTooLarge)?;
            }
            self.state = next;
            consumed += 1;
        }
    }

    /// Whether all that is in `input` is well formed so far. Nothing is consumed.
    pub fn check(&self, mut input: &[u8]) -> Result<(), ChunkError> {
        let mut decoder = self.clone();
        loop {
            let (consumed, event) = decoder.decode(input)?;
            input = input.get(consumed..).unwrap_or_default();
            match event {
                Event::NeedMore => return Ok(()),
                Event::Data(len) => input = input.get(len..).unwrap_or_default(),
                Event::End { trailers: len } => {
                    return trailers(input.get(..len).unwrap_or_default()).map(drop);
                }
            }
        }
    }

    fn data(&mut self, left: u64, available: usize) -> Event {
        let len = usize::try_from(left).map_or(available, |left| left.min(available));
        if len == 0 {
            return Event::NeedMore;
        }
        let left = left - len as u64;
        self.state = if left == 0 { State::DataCr } else { State::Data { left } };
        Event::Data(len)
    }

    fn advance(&self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                // 15 digits: far above any body, and no overflow anywhere behind us.
                if digits >= 15 {
                    return Err(ChunkError::Size);
                }
                let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Size)?;
                Ok(State::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
            }
            (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { digits: 1.., size }, b';') => Ok(State::Extension { size, len: 0 }),
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { size, len }, b'\t' | b' '..=b'~' | 0x80..=0xff)
                if len < self.extension_limit =>
            {
                Ok(State::Extension { size, len: len + 1 })
            }
            (State::Extension { .. }, _) => Err(ChunkError::Extension),
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::Trailers),
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0, size: 0 }),
            (State::DataCr | State::DataLf, _) => Err(ChunkError::DataEnd),
            _ => Err(ChunkError::Size),
        }
    }

    /// Waits until the whole section is there; it is small.
    fn trailer_section(&mut self, rest: &[u8], consumed: usize) -> Result<(usize, Event), ChunkError> {
        if rest.starts_with(b"\r\n") {
            self.state = State::Done;
            return Ok((consumed + 2, Event::End { trailers: 0 }));
        }
        for newline in memchr::memchr_iter(b'\n', rest) {
            if newline == 0 || rest.get(newline - 1) != Some(&b'\r') {
                return Err(ChunkError::BareLf);
            }
            if newline >= self.trailer_limit {
                return Err(ChunkError::TrailersTooLarge);
            }
            if newline >= 2 && rest.get(newline - 2) == Some(&b'\n') {
                self.state = State::Done;
                return Ok((consumed, Event::End { trailers: newline + 1 }));
            }
        }
        if rest.len() >= self.trailer_limit {
            Err(ChunkError::TrailersTooLarge)
        } else {
            Ok((consumed, Event::NeedMore))
        }
    }
}

/// The fields of a trailer section, the final empty line included, without those that a trailer can't carry.
pub fn trailers(section: &[u8]) -> Result<Vec<Field>, ChunkError> {
    let lines = section.get(..section.len().saturating_sub(2)).unwrap_or_default();
    let mut kept = Vec::new();
    for (at, line) in fields::lines(lines, 0) {
        let field = fields::parse_line(line, at).map_err(ChunkError::Trailer)?;
        if !is_forbidden(field.name.of(section)) {
            kept.push(field);
        }
    }
    Ok(kept)
}

/// RFC 9110 section 6.5.1: fields for framing, routing, authentication, request modifiers and content format mean
/// nothing, or harm, when they come after the body.
pub fn is_forbidden(name: &[u8]) -> bool {
    const FORBIDDEN: [&str; 36] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "www-authenticate",
    ];
    const FORWARDED: &[u8] = b"x-forwarded-";
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
        || name.get(..FORWARDED.len()).is_some_and(|front| front.eq_ignore_ascii_case(FORWARDED))
}

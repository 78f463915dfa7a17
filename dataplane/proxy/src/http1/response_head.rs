//! Response heads of targets (RFC 9112 section 4). As strict as the request side: what could be read in two ways is refused,
//! because the answer to one request must never become the answer to another.

use std::time::Duration;

use smallvec::SmallVec;

use super::fields::{self, Field, FieldError, Span};
use super::framing::{BodyLength, Framing};
use super::head::{HeadError, Version};
use crate::Limits;

/// A response head that is safe to forward. All parts are offsets into the bytes that were parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Bytes of the head, the empty line included.
    pub len: usize,
    pub version: Version,
    /// 100 to 999.
    pub status: u16,
    /// The text behind the status; it may be empty.
    pub phrase: Span,
    /// All fields in order.
    pub fields: SmallVec<[Field; 16]>,
    /// What the framing fields say. Whether there is a body depends on the status and the request, too: see
    /// [`ResponseHead::body`].
    pub framing: BodyLength,
    /// The target keeps the connection open after the response.
    pub keep_alive: bool,
    /// For how long it does when nothing comes, if it says so (`Keep-Alive: timeout=…`, RFC 2068 section 19.7.1.1).
    pub keeps_for: Option<Duration>,
    /// `Connection` names fields other than close, keep-alive and upgrade.
    pub nominates: bool,
}

/// How the end of a response's body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseLength {
    /// There is no body, whatever the fields say: HEAD, 1xx, 204, 304.
    None,
    Length(u64),
    Chunked,
    /// The end of the connection.
    Close,
}

/// Why a response head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("a line ends with LF alone; lines end with CRLF")]
    BareLf,
    #[error("the status line isn't: HTTP/1.1 or HTTP/1.0, space, three digits from 100, space, text")]
    StatusLine,
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error("Content-Length must be one plain number, once")]
    ContentLength,
    #[error("Transfer-Encoding must be exactly chunked, once, and only in HTTP/1.1")]
    TransferEncoding,
    #[error("Content-Length and Transfer-Encoding are both there")]
    BothLengths,
    #[error("the head is too large or has too many headers")]
    TooLarge,
}

/// The rules for framing fields are those of requests.
impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::ContentLength => Self::ContentLength,
            HeadError::BothLengths => Self::BothLengths,
            _ => Self::TransferEncoding,
        }
    }
}

impl ResponseHead {
    /// How the body ends, where the request was HEAD or not.
    pub const fn body(&self, is_head: bool) -> ResponseLength {
        if is_head || matches!(self.status, 100..=199 | 204 | 304) {
            return ResponseLength::None;
        }
        match self.framing {
            BodyLength::None => ResponseLength::Close,
            BodyLength::Length(length) => ResponseLength::Length(length),
            BodyLength::Chunked => ResponseLength::Chunked,
        }
    }

    /// Another response to the same request follows.
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && self.status != 101
    }
}

/// Parses the head at the front of `bytes`. `None`: it isn't complete yet.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<ResponseHead>, ResponseError> {
    match find_end(bytes, 0, limits)? {
        Some(end) => parse_complete(bytes, end, limits).map(Some),
        None => Ok(None),
    }
}

/// Finds the end of the head at the front of `bytes`, whose first `from` bytes were looked at before.
pub fn find_end(bytes: &[u8], from: usize, limits: &Limits) -> Result<Option<usize>, ResponseError> {
    const START: &[u8] = b"HTTP/1.";
    let seen = bytes.len().min(START.len());
    if bytes.get(..seen) != START.get(..seen) {
        return Err(ResponseError::StatusLine);
    }
    for newline in memchr::memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()).map(|index| index + from)
    {
        if newline == 0 || bytes.get(newline - 1) != Some(&b'\r') {
            return Err(ResponseError::BareLf);
        }
        if newline >= limits.head_bytes {
            return Err(ResponseError::TooLarge);
        }
        if newline >= 2 && bytes.get(newline - 2) == Some(&b'\n') {
            return Ok(Some(newline + 1));
        }
    }
    if bytes.len() >= limits.head_bytes { Err(ResponseError::TooLarge) } else { Ok(None) }
}

/// Parses a head that ends at `end`, as found by [`find_end`].
pub fn parse_complete(bytes: &[u8], end: usize, limits: &Limits) -> Result<ResponseHead, ResponseError> {
    let section = bytes.get(..end.saturating_sub(2)).ok_or(ResponseError::StatusLine)?;
    let mut lines = fields::lines(section, 0);
    let (_, line) = lines.next().ok_or(ResponseError::StatusLine)?;
    let (version, status, phrase) = status_line(line)?;
    let mut head = ResponseHead {
        len: end,
        version,
        status,
        phrase,
        fields: SmallVec::new(),
        framing: BodyLength::None,
        keep_alive: version == Version::Http11,
        keeps_for: None,
        nominates: false,
    };
    let (mut framing, mut close) = (Framing::default(), false);
    for (at, line) in lines {
        if head.fields.len() >= limits.headers {
            return Err(ResponseError::TooLarge);
        }
        let field = fields::parse_line(line, at)?;
        let name = field.name.of(bytes);
        let value = field.value.of(bytes);
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => close |= connection(&mut head, value),
            10 if name.eq_ignore_ascii_case(b"keep-alive") => {
                head.keeps_for = timeout(value).or(head.keeps_for)
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => framing.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => framing.transfer_encoding(value)?,
            _ => {}
        }
        head.fields.push(field);
    }
    head.keep_alive &= !close;
    head.framing = framing.decide(version)?;
    Ok(head)
}

/// The status of a head that ends at `end`, as found by [`find_end`]. Its fields have to be fields, but mean nothing: how the
/// body would end plays no part in a successful answer to CONNECT (RFC 9110 section 9.3.6).
pub(crate) fn status_of(bytes: &[u8], end: usize) -> Result<u16, ResponseError> {
    let section = bytes.get(..end.saturating_sub(2)).ok_or(ResponseError::StatusLine)?;
    let mut lines = fields::lines(section, 0);
    let (_, line) = lines.next().ok_or(ResponseError::StatusLine)?;
    let (_, status, _) = status_line(line)?;
    for (at, line) in lines {
        fields::parse_line(line, at)?;
    }
    Ok(status)
}

fn status_line(line: &[u8]) -> Result<(Version, u16, Span), ResponseError> {
    let (version, rest) = line.split_at_checked(9).ok_or(ResponseError::StatusLine)?;
    let version = match version {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return Err(ResponseError::StatusLine),
    };
    let (code, phrase) = rest.split_at_checked(3).ok_or(ResponseError::StatusLine)?;
    if !code.iter().all(u8::is_ascii_digit) || code.first() == Some(&b'0') {
        return Err(ResponseError::StatusLine);
    }
    // The space before an empty phrase is often left out.
    if !matches!(phrase.first(), None | Some(b' ')) || !super::characters::is_field_value(phrase) {
        return Err(ResponseError::StatusLine);
    }
    let status = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let phrase = Span::new(line.len().min(13)..line.len()).ok_or(ResponseError::StatusLine)?;
    Ok((version, status, phrase))
}

/// The parameter of a `Keep-Alive` field.
fn timeout(value: &[u8]) -> Option<Duration> {
    let seconds = fields::list(value).find_map(|parameter| {
        let (name, seconds) = parameter.split_at_checked(8)?;
        name.eq_ignore_ascii_case(b"timeout=").then_some(seconds)
    })?;
    std::str::from_utf8(seconds).ok()?.parse::<u32>().ok().map(u64::from).map(Duration::from_secs)
}

/// Reads a `Connection` field; `true`: it says close.
fn connection(head: &mut ResponseHead, value: &[u8]) -> bool {
    let mut close = false;
    for option in fields::list(value) {
        if option.eq_ignore_ascii_case(b"close") {
            close = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            head.keep_alive = true;
        } else if !option.eq_ignore_ascii_case(b"upgrade") {
            head.nominates = true;
        }
    }
    close
}

#[cfg(test)]
mod tests;

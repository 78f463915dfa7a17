use smallvec::SmallVec;

use super::fields::{self, Field, FieldError, Span};
use super::framing::{BodyLength, Framing};
use super::target::{self, Target};
use super::{characters, host};
use crate::{Limits, Reason};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// A request head that is safe to route and to forward. All parts are offsets into the bytes that were parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the head, the empty line included.
    pub len: usize,
    pub method: Span,
    pub target: Target,
    pub version: Version,
    /// All fields in order, `Host` and the framing fields included.
    pub fields: SmallVec<[Field; 16]>,
    /// Host and optional port; the absolute form's authority goes before `Host`. Empty for HTTP/1.0 without one.
    pub host: Span,
    pub body: BodyLength,
    /// The client keeps the connection open after the answer.
    pub keep_alive: bool,
    /// `Expect: 100-continue`.
    pub expect_continue: bool,
    /// `Connection: upgrade` together with an `Upgrade` field, on HTTP/1.1.
    pub upgrade: bool,
    /// `Connection` names fields other than close, keep-alive, te and upgrade.
    pub nominates: bool,
}

/// Why a head is refused. The connection is closed after the answer, because where the next request begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("a line ends with LF alone; lines end with CRLF")]
    BareLf,
    #[error("the request line isn't: method, space, target, space, HTTP version")]
    RequestLine,
    #[error("the method isn't a token of at most 32 characters")]
    Method,
    #[error("the request target has bad characters or a form that this method doesn't allow")]
    Target,
    #[error("this is a gateway and no forward proxy: CONNECT isn't supported")]
    Connect,
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error("the host is missing, repeated, malformed, or differs between the target and the Host header")]
    Host,
    #[error("Content-Length must be one plain number, once")]
    ContentLength,
    #[error("Transfer-Encoding must be exactly chunked, once, and only in HTTP/1.1")]
    TransferEncoding,
    #[error("of the transfer codings only chunked is supported")]
    TransferCoding,
    #[error("Content-Length and Transfer-Encoding are both there")]
    BothLengths,
    #[error("the only expectation supported is 100-continue")]
    Expect,
    #[error("the request line is too long")]
    LongLine,
    #[error("the head is too large or has too many headers")]
    TooLarge,
}

impl HeadError {
    /// What to answer and count.
    pub const fn reason(self) -> Reason {
        match self {
            Self::BareLf | Self::RequestLine | Self::Method | Self::Target | Self::Field(_) => {
                Reason::MalformedHead
            }
            Self::Expect => Reason::ExpectationFailed,
            Self::Connect => Reason::ConnectRefused,
            Self::Version => Reason::UnsupportedVersion,
            Self::Host => Reason::BadHost,
            Self::ContentLength | Self::TransferEncoding | Self::BothLengths => Reason::BadFraming,
            Self::TransferCoding => Reason::UnsupportedTransferCoding,
            Self::LongLine => Reason::TargetTooLong,
            Self::TooLarge => Reason::HeadTooLarge,
        }
    }
}

/// Parses the head at the front of `bytes`. `None`: it isn't complete yet.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, HeadError> {
    match find_end(bytes, 0, limits)? {
        Some(end) => parse_complete(bytes, end, limits).map(Some),
        None => Ok(None),
    }
}

/// Finds the end of the head at the front of `bytes`, whose first `from` bytes were looked at before. Each byte is
/// looked at once, however small the pieces are that a client sends.
pub fn find_end(bytes: &[u8], from: usize, limits: &Limits) -> Result<Option<usize>, HeadError> {
    if bytes.first().is_some_and(|byte| *byte != b'\r' && !characters::is_token(&[*byte])) {
        return Err(if bytes.first() == Some(&b'\n') { HeadError::BareLf } else { HeadError::RequestLine });
    }
    let front = leading_empty_line(bytes);
    let start = from.max(front);
    for newline in
        memchr::memchr_iter(b'\n', bytes.get(start..).unwrap_or_default()).map(|index| index + start)
    {
        if newline == front || bytes.get(newline - 1) != Some(&b'\r') {
            return Err(HeadError::BareLf);
        }
        if newline >= limits.head_bytes {
            return Err(HeadError::TooLarge);
        }
        if newline == front + 1 {
            return Err(HeadError::RequestLine);
        }
        if bytes.get(newline - 2) == Some(&b'\n') {
            return Ok(Some(newline + 1));
        }
    }
    if bytes.len() >= limits.head_bytes {
        Err(too_large(bytes, limits))
    } else {
        first_line(bytes, from, limits)
    }
}

/// Refuses a request line that grows beyond its limit before it is complete.
fn first_line(bytes: &[u8], from: usize, limits: &Limits) -> Result<Option<usize>, HeadError> {
    if bytes.len() > limits.request_line_bytes && from <= limits.request_line_bytes {
        return match memchr::memchr(b'\n', bytes) {
            Some(newline) if newline <= limits.request_line_bytes + 1 => Ok(None),
            _ => Err(HeadError::LongLine),
        };
    }
    Ok(None)
}

fn too_large(bytes: &[u8], limits: &Limits) -> HeadError {
    match memchr::memchr(b'\n', bytes) {
        Some(newline) if newline <= limits.request_line_bytes + 1 => HeadError::TooLarge,
        _ => HeadError::LongLine,
    }
}

/// RFC 9112 section 2.2: one empty line before the request line is ignored, for clients that send one after a body.
fn leading_empty_line(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Parses a head that ends at `end`, as found by [`find_end`].
pub fn parse_complete(bytes: &[u8], end: usize, limits: &Limits) -> Result<Head, HeadError> {
    let front = leading_empty_line(bytes);
    let section = bytes.get(front..end.saturating_sub(2)).ok_or(HeadError::RequestLine)?;
    let mut lines = fields::lines(section, front);
    let (at, line) = lines.next().ok_or(HeadError::RequestLine)?;
    if line.len() > limits.request_line_bytes {
        return Err(HeadError::LongLine);
    }
    let (method, target, version) = request_line(line, at)?;
    let mut head = Head {
        len: end,
        method,
        target,
        version,
        fields: SmallVec::new(),
        host: Span::default(),
        body: BodyLength::None,
        keep_alive: version == Version::Http11,
        expect_continue: false,
        upgrade: false,
        nominates: false,
    };
    let mut seen = Seen::default();
    for (at, line) in lines {
        if head.fields.len() >= limits.headers {
            return Err(HeadError::TooLarge);
        }
        let field = fields::parse_line(line, at)?;
        seen.field(&mut head, field, bytes)?;
        head.fields.push(field);
    }
    seen.finish(&mut head, bytes)?;
    Ok(head)
}

fn request_line(line: &[u8], at: usize) -> Result<(Span, Target, Version), HeadError> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    if !characters::is_token(method) || method.len() > 32 {
        return Err(HeadError::Method);
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(HeadError::Version);
        }
        _ => return Err(HeadError::RequestLine),
    };
    let span = Span::new(at..at + method.len()).ok_or(HeadError::Method)?;
    Ok((span, target::parse(method, target, at + method.len() + 1)?, version))
}

/// What the fields of one head said so far.
#[derive(Default)]
struct Seen {
    host: Option<Span>,
    framing: Framing,
    close: bool,
    connection_upgrade: bool,
    upgrade: bool,
}

impl Seen {
    fn field(&mut self, head: &mut Head, field: Field, bytes: &[u8]) -> Result<(), HeadError> {
        let name = field.name.of(bytes);
        let value = field.value.of(bytes);
        // By length first: most fields are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") && self.host.replace(field.value).is_some() => {
                return Err(HeadError::Host);
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::Expect);
                }
                head.expect_continue = head.version == Version::Http11;
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(head, value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.framing.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.framing.transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, head: &mut Head, value: &[u8]) {
        for option in fields::list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                head.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.connection_upgrade = true;
            } else if !option.eq_ignore_ascii_case(b"te") {
                head.nominates = true;
            }
        }
    }

    fn finish(self, head: &mut Head, bytes: &[u8]) -> Result<(), HeadError> {
        head.keep_alive &= !self.close;
        head.body = self.framing.decide(head.version)?;
        head.upgrade = self.upgrade && self.connection_upgrade && head.version == Version::Http11;
        let named = match self.host {
            Some(span) => Some(host::parse(span.of(bytes)).ok_or(HeadError::Host)?),
            None if head.version == Version::Http11 => return Err(HeadError::Host),
            None => None,
        };
        head.host = match (head.target.authority, named) {
            (Some(authority), Some(named)) => {
                let target = host::parse(authority.of(bytes)).ok_or(HeadError::Host)?;
                if !target.agrees(&named, 80) {
                    return Err(HeadError::Host);
                }
                authority
            }
            (Some(authority), None) => authority,
            (None, _) => self.host.unwrap_or_default(),
        };
        Ok(())
    }
}

//! Writes response heads and chunks. Nothing here allocates but the buffer.

use dataplane_core::filter::{Cors, HeaderEdits};
use dataplane_core::limit::LimitState;
use http::StatusCode;

use super::fields::{self, Field};
use super::head::Version;
use super::response_head::ResponseHead;

/// How the client finds the end of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none, whatever the fields say: HEAD, 204, 304.
    None,
    Length(u64),
    Chunked,
    /// The end of the connection, for HTTP/1.0.
    Close,
}

/// What the connection does after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    KeepAlive,
    Close,
}

pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
pub(crate) const CRLF: &[u8] = b"\r\n";

/// Appends the status line.
pub(crate) fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(CRLF);
}

pub(crate) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// How a target's response goes on and ends for the client.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) framing: Framing,
    pub(crate) persistence: Persistence,
    /// The client's.
    pub(crate) version: Version,
    pub(crate) edits: Option<ResponseEdits<'a>>,
}

/// What the filters of a route change in the fields of responses.
#[derive(Clone, Copy)]
pub(crate) struct ResponseEdits<'a> {
    pub(crate) headers: Option<&'a HeaderEdits>,
    pub(crate) cors: Option<&'a Cors>,
    /// The request's.
    pub(crate) origin: Option<&'a [u8]>,
    pub(crate) limit: Option<LimitState>,
}

impl ResponseEdits<'_> {
    /// For an answer that says what went wrong: a script may read it, and nothing else is changed.
    pub(crate) const fn of_failure(self) -> Self {
        Self { headers: None, ..self }
    }

    fn drops(&self, name: &[u8]) -> bool {
        // A target may have limits of its own; the closer one isn't known.
        self.limit.is_some() && LIMIT_FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
            || self.headers.is_some_and(|edits| edits.drops(name))
            || self.cors.is_some_and(|cors| cors.drops(name))
    }

    /// Appends the new fields. `has` says whether a field is there without them.
    pub(crate) fn write(&self, out: &mut Vec<u8>, has: impl FnMut(&str) -> bool) {
        if let Some(edits) = self.headers {
            edits.write(out, has);
        }
        if let Some(cors) = self.cors {
            cors.write(self.origin, out);
        }
        if let Some(LimitState { limit, remaining, reset }) = self.limit {
            for (name, value) in LIMIT_FIELDS.into_iter().zip([limit, remaining, reset]) {
                number(out, name, value);
            }
        }
    }
}

/// How a client is told of a limit (draft-ietf-httpapi-ratelimit-headers-03).
const LIMIT_FIELDS: [&[u8]; 3] = [b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset"];

/// Appends a field whose value is a number.
pub(crate) fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    decimal(out, value);
    out.extend_from_slice(CRLF);
}

/// Appends a whole head: the target's end-to-end fields, what `own` adds, and our own framing and connection fields. `bytes`
/// is what `head` was parsed from.
pub(crate) fn head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    bytes: &[u8],
    own: impl FnOnce(&mut Vec<u8>),
    ending: Ending<'_>,
) {
    let Ending { framing, persistence, version, edits } = ending;
    target_line(out, head, bytes);
    for kept in &head.fields {
        let name = kept.name.of(bytes);
        let dropped = match name.len() {
            7 => framing != Framing::Chunked && name.eq_ignore_ascii_case(b"trailer"),
            14 => {
                (framing != Framing::None || head.status == 204)
                    && name.eq_ignore_ascii_case(b"content-length")
            }
            _ => false,
        };
        let nominated = head.nominates && fields::is_nominated(&head.fields, bytes, name);
        let edited = edits.is_some_and(|edits| edits.drops(name));
        if !(dropped || nominated || edited || is_hop_by_hop(name)) {
            field(out, name, kept.value.of(bytes));
        }
    }
    if let Some(edits) = edits {
        edits.write(out, |name| fields::values(&head.fields, bytes, name).next().is_some());
    }
    own(out);
    end_of_head(out, framing, persistence, version);
}

fn target_line(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(head.status));
    out.push(b' ');
    out.extend_from_slice(head.phrase.of(bytes));
    out.extend_from_slice(CRLF);
}

/// Appends the status line and the end-to-end fields of a response without a body.
fn bodiless(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
    target_line(out, head, bytes);
    for kept in &head.fields {
        let name = kept.name.of(bytes);
        let nominated = head.nominates && fields::is_nominated(&head.fields, bytes, name);
        if !(nominated || is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"content-length")) {
            field(out, name, kept.value.of(bytes));
        }
    }
}

/// Appends the head of an interim response, which another one follows (RFC 9110 section 15.2).
pub(crate) fn interim(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
    bodiless(out, head, bytes);
    out.extend_from_slice(CRLF);
}

/// Appends the head of a 101 with the target's fields, and what `own` adds.
pub(crate) fn switching(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    bytes: &[u8],
    own: impl FnOnce(&mut Vec<u8>),
) {
    bodiless(out, head, bytes);
    own(out);
    field(out, b"connection", b"upgrade");
    if let Some(protocol) = fields::values(&head.fields, bytes, "upgrade").next() {
        field(out, b"upgrade", protocol);
    }
    out.extend_from_slice(CRLF);
}

/// Appends framing and connection fields and the empty line.
pub(crate) fn end_of_head(out: &mut Vec<u8>, framing: Framing, persistence: Persistence, version: Version) {
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            decimal(out, length);
            out.extend_from_slice(CRLF);
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None | Framing::Close => {}
    }
    match (persistence, version) {
        (Persistence::Close, _) => out.extend_from_slice(b"connection: close\r\n"),
        (Persistence::KeepAlive, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (Persistence::KeepAlive, Version::Http11) => {}
    }
    out.extend_from_slice(CRLF);
}

/// Appends the size line of a chunk.
pub(crate) fn chunk_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut started = false;
    for shift in (0..usize::BITS / 4).rev() {
        let digit = size >> (shift * 4) & 15;
        started |= digit != 0;
        if started || shift == 0 {
            out.push(DIGITS.get(digit).copied().unwrap_or(b'0'));
        }
    }
    out.extend_from_slice(CRLF);
}

/// Appends the last chunk and the trailer section. `trailers` are those of [`super::chunked::trailers`] for `section`.
pub(crate) fn trailers(out: &mut Vec<u8>, trailers: &[Field], section: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    for trailer in trailers {
        field(out, trailer.name.of(section), trailer.value.of(section));
    }
    out.extend_from_slice(CRLF);
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first = index;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// RFC 9110 section 7.6.1, and what came to be used the same way.
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    let known: &[&[u8]] = match name.len() {
        2 => &[b"te"],
        7 => &[b"upgrade"],
        10 => &[b"connection", b"keep-alive"],
        16 => &[b"proxy-connection"],
        17 => &[b"transfer-encoding"],
        _ => return false,
    };
    known.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::super::response_head;
    use super::*;

    #[test]
    fn numbers() {
        for (number, hex) in
            [(0, "0"), (1, "1"), (16, "10"), (255, "ff"), (65_536, "10000"), (1_000_000, "f4240")]
        {
            let mut out = Vec::new();
            chunk_size(&mut out, number);
            assert_eq!(out, format!("{hex}\r\n").into_bytes());
            let mut out = Vec::new();
            decimal(&mut out, number as u64);
            assert_eq!(out, number.to_string().into_bytes());
        }
        let mut out = Vec::new();
        decimal(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().into_bytes());
    }

    fn rewritten(text: &str, framing: Framing) -> String {
        let parsed = response_head::parse(text.as_bytes(), &crate::Limits::default()).unwrap().unwrap();
        let ending =
            Ending { framing, persistence: Persistence::KeepAlive, version: Version::Http11, edits: None };
        let mut out = Vec::new();
        head(&mut out, &parsed, text.as_bytes(), |_| {}, ending);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hop_by_hop_and_nominated_fields_stay_here() {
        let text = concat!(
            "HTTP/1.0 200 Fine\r\nConnection: x-secret, close\r\nKeep-Alive: timeout=5\r\nX-Secret: 1\r\n",
            "Content-Length: 7\r\nTrailer: x\r\nUpgrade: h2c\r\nETag:x\r\n\r\n"
        );
        let expected = "HTTP/1.1 200 Fine\r\nTrailer: x\r\nETag: x\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(rewritten(text, Framing::Chunked), expected);
        let expected = "HTTP/1.1 200 Fine\r\nETag: x\r\ncontent-length: 7\r\n\r\n";
        assert_eq!(rewritten(text, Framing::Length(7)), expected);
    }

    #[test]
    fn a_head_without_body_keeps_the_length_but_for_204() {
        let text = "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(rewritten(text, Framing::None), text);
        let text = "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(rewritten(text, Framing::None), "HTTP/1.1 204 No Content\r\n\r\n");
    }
}

//! Writes response heads and chunks. Nothing here allocates but the buffer.

use http::header::{HeaderMap, HeaderName};
use http::{StatusCode, header};

use super::fields;
use super::head::Version;

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
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// Appends a whole head: the target's end-to-end fields, and our own framing and connection fields.
pub(crate) fn head(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    framing: Framing,
    persistence: Persistence,
    version: Version,
) {
    status_line(out, status);
    let nominating = headers.contains_key(header::CONNECTION);
    for (name, value) in headers {
        let dropped = is_hop_by_hop(name)
            || (name == header::CONTENT_LENGTH
                && (framing != Framing::None || status == StatusCode::NO_CONTENT))
            || (name == header::TRAILER && framing != Framing::Chunked)
            || (nominating && is_nominated(headers, name));
        if !dropped {
            field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    end_of_head(out, framing, persistence, version);
}

/// Appends the head of a 101 with the target's fields.
pub(crate) fn switching(out: &mut Vec<u8>, headers: &HeaderMap) {
    status_line(out, StatusCode::SWITCHING_PROTOCOLS);
    let protocol = headers.get(header::UPGRADE);
    for (name, value) in headers {
        if !is_hop_by_hop(name) && *name != header::CONTENT_LENGTH {
            field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    field(out, b"connection", b"upgrade");
    if let Some(protocol) = protocol {
        field(out, b"upgrade", protocol.as_bytes());
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

/// Appends the last chunk and the trailer section.
pub(crate) fn trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        if !super::chunked::is_forbidden(name.as_str().as_bytes()) {
            field(out, name.as_str().as_bytes(), value.as_bytes());
        }
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
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::TE
        || *name == header::UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn is_nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| fields::list(value.as_bytes()))
        .any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn hop_by_hop_and_nominated_fields_stay_here() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", "x-secret, close".parse().unwrap());
        headers.insert("keep-alive", "timeout=5".parse().unwrap());
        headers.insert("x-secret", "1".parse().unwrap());
        headers.insert("content-length", "7".parse().unwrap());
        headers.insert("etag", "x".parse().unwrap());
        let mut out = Vec::new();
        head(&mut out, StatusCode::OK, &headers, Framing::Chunked, Persistence::KeepAlive, Version::Http11);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 200 OK\r\netag: x\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }
}

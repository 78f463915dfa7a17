use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use h2::RecvStream;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderValue, Method};

use crate::http1::response::CRLF;

/// What follows the head of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// As long as its Content-Length says, which h2 holds it to.
    Length,
    Chunked,
    /// An extended CONNECT for a WebSocket (RFC 8441): the bytes of its frames.
    Tunnel,
}

/// The request breaks a rule of RFC 9113 section 8 that h2 doesn't know. Its stream is reset.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Body {
    pub(super) fn of(parts: &Parts, body: &RecvStream) -> Self {
        if parts.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket") {
            Self::Tunnel
        } else if body.is_end_stream() {
            Self::None
        } else if parts.headers.contains_key(CONTENT_LENGTH) {
            Self::Length
        } else {
            Self::Chunked
        }
    }
}

/// Appends the head of the request as HTTP/1.1. What is wrong in both protocols is written as it is, so that the parser of
/// HTTP/1.1 refuses it. `nonce` is random, for the handshake of a WebSocket.
pub(super) fn write(
    out: &mut BytesMut,
    parts: &Parts,
    body: Body,
    nonce: impl FnOnce() -> [u64; 2],
) -> Result<(), Malformed> {
    line(out, parts, body)?;
    host(out, parts);
    for (name, value) in &parts.headers {
        // Blanks around a value would be lost on the way (RFC 9113 section 8.2.1).
        if value.as_bytes().first().is_some_and(is_blank) || value.as_bytes().last().is_some_and(is_blank) {
            return Err(Malformed);
        }
        if *name != HOST && *name != COOKIE && !(body == Body::Tunnel && *name == SEC_WEBSOCKET_KEY) {
            field(out, name, value.as_bytes());
        }
    }
    cookies(out, parts);
    match body {
        Body::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Body::Tunnel => handshake(out, nonce()),
        Body::None | Body::Length => {}
    }
    out.extend_from_slice(CRLF);
    Ok(())
}

fn line(out: &mut BytesMut, parts: &Parts, body: Body) -> Result<(), Malformed> {
    let connect = parts.method == Method::CONNECT && body != Body::Tunnel;
    let method = if body == Body::Tunnel { "GET" } else { parts.method.as_str() };
    let uri = &parts.uri;
    let target = match uri.path_and_query() {
        _ if connect => uri.authority().map_or("", |authority| authority.as_str()),
        Some(target) => target.as_str(),
        None => return Err(Malformed),
    };
    let asterisk = target == "*" && parts.method == Method::OPTIONS;
    let schemed = uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if !connect && !(schemed && (asterisk || target.starts_with('/'))) {
        return Err(Malformed);
    }
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// The authority is the host (RFC 9113 section 8.3.1). One that is there besides and differs is a second host, which is
/// refused as in HTTP/1.1.
fn host(out: &mut BytesMut, parts: &Parts) {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = authority {
        field(out, &HOST, authority);
    }
    let differs = |value: &&HeaderValue| {
        authority.is_none_or(|authority| !value.as_bytes().eq_ignore_ascii_case(authority))
    };
    for value in parts.headers.get_all(HOST).iter().filter(differs) {
        field(out, &HOST, value.as_bytes());
    }
}

/// RFC 9113 section 8.2.3: a client may cut cookies apart, and HTTP/1.1 has them in one field.
fn cookies(out: &mut BytesMut, parts: &Parts) {
    let mut separator: &[u8] = b"cookie: ";
    for value in parts.headers.get_all(COOKIE) {
        out.extend_from_slice(separator);
        out.extend_from_slice(value.as_bytes());
        separator = b"; ";
    }
    if separator == b"; " {
        out.extend_from_slice(CRLF);
    }
}

/// What the handshake of HTTP/1.1 has and that of HTTP/2 hasn't (RFC 8441 section 5).
fn handshake(out: &mut BytesMut, [high, low]: [u64; 2]) {
    let nonce = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let mut key = [0; 24];
    let len = STANDARD.encode_slice(nonce, &mut key).unwrap_or_default();
    out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    field(out, &SEC_WEBSOCKET_KEY, key.get(..len).unwrap_or_default());
}

fn field(out: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, CRLF] {
        out.extend_from_slice(part);
    }
}

const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

//! The head of the request to the target.

use dataplane_core::filter::HeaderEdits;
use dataplane_snapshot::wire::Protocol;

use super::forwarded::Forwarded;
use super::request::Request;
use crate::http1::fields;
use crate::http1::framing::BodyLength;
use crate::http1::response::{CRLF, field, is_hop_by_hop};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PREFIX: &[u8] = b"x-forwarded-";

/// What the fields depend on besides the request.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// The client is a proxy whose forwarding fields are believed.
    pub(crate) trusted: bool,
    /// The client's address.
    pub(crate) peer: &'a str,
    /// The port that clients see.
    pub(crate) port: &'a str,
    /// How the client came: `http` or `https`.
    pub(crate) scheme: &'a str,
    /// The fields about the client's certificate; `None`: it wasn't asked for one.
    pub(crate) certificate: Option<&'a [u8]>,
    pub(crate) forwarded: &'a Forwarded,
    /// Instead of the client's `Host`.
    pub(crate) host: Option<&'a str>,
    /// The protocol to upgrade to; see [`upgrade`].
    pub(crate) upgrade: Option<&'a [u8]>,
    /// What the route changes.
    pub(crate) edits: Option<&'a HeaderEdits>,
}

impl Sources<'_> {
    /// What a request says about a client's certificate is believed: of a proxy that took one, where none is taken here
    /// (RFC 9440 section 2.4).
    const fn may_certify(&self) -> bool {
        self.trusted && self.certificate.is_none()
    }
}

/// Appends the HTTP version of the target's protocol, the client's end-to-end fields, what the proxy adds, and the empty
/// line.
pub(crate) fn write(out: &mut Vec<u8>, request: &Request<'_>, protocol: Protocol, sources: Sources<'_>) {
    let head = request.head;
    out.extend_from_slice(if protocol == Protocol::Http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    match sources.host {
        Some(host) => field(out, b"host", host.as_bytes()),
        None if head.host.is_empty() => {}
        None => field(out, b"host", head.host.of(request.bytes)),
    }
    for kept in &head.fields {
        let name = kept.name.of(request.bytes);
        let dropped = is_dropped(name, head.body, sources);
        let edited = sources.edits.is_some_and(|edits| edits.drops(name));
        if dropped || edited || (head.nominates && is_nominated(request, name)) {
            continue;
        }
        field(out, name, kept.value.of(request.bytes));
    }
    if let Some(edits) = sources.edits {
        edits.write(out, |name| is_kept(request, name) && request.values(name).next().is_some());
    }
    if head.body == BodyLength::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    connection(out, request, sources.upgrade);
    out.extend_from_slice(sources.certificate.unwrap_or_default());
    if sources.trusted {
        extend_forwarded(out, request, sources);
    } else {
        out.extend_from_slice(sources.forwarded.block());
    }
    out.extend_from_slice(CRLF);
}

/// For this hop only, written anew, or forged.
fn is_dropped(name: &[u8], body: BodyLength, sources: Sources<'_>) -> bool {
    if is_hop_by_hop(name) {
        return true;
    }
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"host"),
        6 => name.eq_ignore_ascii_case(b"expect"),
        7 => body != BodyLength::Chunked && name.eq_ignore_ascii_case(b"trailer"),
        9 => name.eq_ignore_ascii_case(b"forwarded"),
        14 => name.eq_ignore_ascii_case(b"http2-settings"),
        15 if name.eq_ignore_ascii_case(FORWARDED_FOR.as_bytes()) => true,
        11 => !sources.may_certify() && name.eq_ignore_ascii_case(b"client-cert"),
        17 if !sources.may_certify() && name.eq_ignore_ascii_case(b"client-cert-chain") => true,
        12.. => !sources.trusted && starts_with_forwarded(name),
        _ => false,
    }
}

fn starts_with_forwarded(name: &[u8]) -> bool {
    name.get(..FORWARDED_PREFIX.len()).is_some_and(|front| front.eq_ignore_ascii_case(FORWARDED_PREFIX))
}

/// Named in the client's `Connection`. The length of the body is never taken away, whoever names it.
fn is_nominated(request: &Request<'_>, name: &[u8]) -> bool {
    !name.eq_ignore_ascii_case(b"content-length")
        && fields::is_nominated(&request.head.fields, request.bytes, name)
}

/// The protocol that the request asks to go on in, if it may be passed on. HTTP/2 over clear text may not: its frames
/// would be requests that nobody here looks at. Nor with a body, which the tunnel would have to wait for.
pub(crate) fn upgrade<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    if !request.head.upgrade || !request.head.body.is_empty() {
        return None;
    }
    let mut named = request.values("upgrade");
    let value = named.next().filter(|_| named.next().is_none())?;
    let mut protocols = fields::list(value);
    let protocol = protocols.next().filter(|_| protocols.next().is_none())?;
    if protocol.eq_ignore_ascii_case(b"h2c")
        || protocol.get(..4).is_some_and(|front| front.eq_ignore_ascii_case(b"http"))
    {
        return None;
    }
    Some(value)
}

/// What this hop says to the next one.
fn connection(out: &mut Vec<u8>, request: &Request<'_>, upgrade: Option<&[u8]>) {
    if let Some(protocol) = upgrade {
        out.extend_from_slice(b"connection: upgrade\r\n");
        field(out, b"upgrade", protocol);
    }
    if request.values("te").flat_map(fields::list).any(|coding| coding.eq_ignore_ascii_case(b"trailers")) {
        out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
    }
}

/// Of a trusted proxy what it said is kept, and lists grow by this hop.
fn extend_forwarded(out: &mut Vec<u8>, request: &Request<'_>, sources: Sources<'_>) {
    extend(out, request, FORWARDED_FOR, sources.peer.as_bytes());
    extend(out, request, "forwarded", sources.forwarded.element());
    let host = request.head.host.of(request.bytes);
    for (name, value) in [
        ("x-forwarded-proto", sources.scheme.as_bytes()),
        ("x-forwarded-port", sources.port.as_bytes()),
        ("x-forwarded-host", host),
    ] {
        let said = is_kept(request, name) && request.values(name).next().is_some();
        if !said && !value.is_empty() {
            field(out, name.as_bytes(), value);
        }
    }
}

fn is_kept(request: &Request<'_>, name: &str) -> bool {
    !request.head.nominates || !is_nominated(request, name.as_bytes())
}

/// Joins the values of `name` and `last` to one list.
fn extend(out: &mut Vec<u8>, request: &Request<'_>, name: &str, last: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    if is_kept(request, name) {
        for value in request.values(name) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(last);
    out.extend_from_slice(CRLF);
}

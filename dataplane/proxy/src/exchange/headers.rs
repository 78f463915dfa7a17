//! The head of the request to the target.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::request::{self, Request};
use crate::http1::framing::BodyLength;
use crate::http1::{fields, response};
use crate::peer::Peer;

use super::forwarded::Forwarded;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PREFIX: &str = "x-forwarded-";

/// What the fields depend on besides the request.
pub(crate) struct Sources<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) forwarded: &'a mut Forwarded,
    /// The port that clients see.
    pub(crate) port: &'a HeaderValue,
    /// Instead of the client's `Host`.
    pub(crate) host: Option<&'a str>,
    /// The protocol to upgrade to; see [`upgrade`].
    pub(crate) upgrade: Option<HeaderValue>,
}

/// The client's end-to-end fields and what the proxy adds. Values are slices of the client's head.
pub(crate) fn build(request: &Request<'_>, sources: Sources<'_>) -> HeaderMap {
    let head = request.head;
    let mut map = HeaderMap::with_capacity(head.fields.len() + 6);
    let authority = HeaderValue::from_maybe_shared(request.bytes.slice(head.host.range())).ok();
    let authority = authority.filter(|value| !value.is_empty());
    if let Some(host) =
        sources.host.and_then(|host| HeaderValue::from_str(host).ok()).or_else(|| authority.clone())
    {
        map.insert(header::HOST, host);
    }
    for field in &head.fields {
        let raw = field.name.of(request.bytes);
        let Ok(name) = HeaderName::from_bytes(raw) else { continue };
        if is_dropped(&name, head.body, sources.peer.trusted)
            || (head.nominates && is_nominated(request, &name))
        {
            continue;
        }
        if let Ok(value) = HeaderValue::from_maybe_shared(request.bytes.slice(field.value.range())) {
            map.append(name, value);
        }
    }
    if head.body == BodyLength::Chunked {
        map.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    connection(&mut map, request, sources.upgrade);
    forwarded(&mut map, request, sources.peer, sources.forwarded, sources.port, authority);
    map
}

fn is_dropped(name: &HeaderName, body: BodyLength, trusted: bool) -> bool {
    response::is_hop_by_hop(name)
        || *name == header::HOST
        || *name == header::EXPECT
        || (*name == header::TRAILER && body != BodyLength::Chunked)
        || name.as_str() == "http2-settings"
        || (!trusted && (*name == header::FORWARDED || name.as_str().starts_with(FORWARDED_PREFIX)))
}

/// Named in the client's `Connection`. The length of the body is never taken away, whoever names it.
fn is_nominated(request: &Request<'_>, name: &HeaderName) -> bool {
    *name != header::CONTENT_LENGTH
        && request
            .values("connection")
            .flat_map(fields::list)
            .any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// The protocol that the request asks to go on in, if it may be passed on. HTTP/2 over clear text may not: its frames
/// would be requests that nobody here looks at. Nor with a body, which the tunnel would have to wait for.
pub(crate) fn upgrade(request: &Request<'_>) -> Option<HeaderValue> {
    if !request.head.upgrade || !request.head.body.is_empty() {
        return None;
    }
    let mut named = request::fields(request.head, request.bytes, "upgrade");
    let field = named.next().filter(|_| named.next().is_none())?;
    let value = field.value.of(request.bytes);
    let mut protocols = fields::list(value);
    let protocol = protocols.next().filter(|_| protocols.next().is_none())?;
    if protocol.eq_ignore_ascii_case(b"h2c")
        || protocol.get(..4).is_some_and(|front| front.eq_ignore_ascii_case(b"http"))
    {
        return None;
    }
    HeaderValue::from_maybe_shared(request.bytes.slice(field.value.range())).ok()
}

/// What this hop says to the next one.
fn connection(map: &mut HeaderMap, request: &Request<'_>, upgrade: Option<HeaderValue>) {
    if let Some(protocol) = upgrade {
        map.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        map.insert(header::UPGRADE, protocol);
    }
    if request.values("te").flat_map(fields::list).any(|coding| coding.eq_ignore_ascii_case(b"trailers")) {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
        map.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Where the request came from. Of a trusted proxy what it said is kept, and lists grow by it; of others nothing is left
/// here.
fn forwarded(
    map: &mut HeaderMap,
    request: &Request<'_>,
    peer: &Peer,
    own: &mut Forwarded,
    port: &HeaderValue,
    authority: Option<HeaderValue>,
) {
    let own = own.value(peer.text.to_str().unwrap_or_default(), request.head.host.of(request.bytes));
    if !peer.trusted {
        map.insert(FORWARDED_FOR, peer.text.clone());
        map.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        map.insert(FORWARDED_PORT, port.clone());
        authority.map(|host| map.insert(FORWARDED_HOST, host));
        own.map(|value| map.insert(header::FORWARDED, value));
        return;
    }
    extend(map, FORWARDED_FOR, &peer.text);
    if let Some(own) = own {
        extend(map, header::FORWARDED, &own);
    }
    map.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    map.entry(FORWARDED_PORT).or_insert_with(|| port.clone());
    if let Some(host) = authority {
        map.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// Joins the values of `name` and `last` to one list.
fn extend(map: &mut HeaderMap, name: HeaderName, last: &HeaderValue) {
    let mut list = Vec::new();
    for value in map.get_all(&name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(last.as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(list)) {
        map.insert(name, value);
    }
}

/// Path and query of the upstream request as a URI. `written` is what the backend's root made of them; where that is
/// what the client sent, the client's own bytes are used.
pub(crate) fn uri(request: &Request<'_>, written: Cow<'_, [u8]>) -> Result<http::Uri, http::uri::InvalidUri> {
    let target = request.head.target;
    let own = target
        .path
        .map(|path| path.range().start..target.query.map_or(path.range(), |query| query.range()).end);
    let bytes = match own {
        Some(range) if request.bytes.get(range.clone()) == Some(&*written) => request.bytes.slice(range),
        _ => Bytes::from(written.into_owned()),
    };
    http::uri::PathAndQuery::from_maybe_shared(bytes).map(http::Uri::from)
}

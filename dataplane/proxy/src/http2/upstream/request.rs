use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};

use crate::Limits;
use crate::http1::fields;
use crate::http1::framing::BodyLength;
use crate::http1::head::{self, Head, HeadError};
use crate::http1::response::is_hop_by_hop;

/// A request as HTTP/2 says it.
pub(super) struct Said {
    pub(super) request: Request<()>,
    pub(super) body: BodyLength,
    /// Its response has no body, whatever its fields say.
    pub(super) is_head: bool,
    /// The protocol to go on in.
    pub(super) upgrade: bool,
}

/// Why a request has no form in HTTP/2.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0}")]
    Head(#[from] HeadError),
    #[error("its method, target, host or a header has no form in HTTP/2: {0}")]
    Part(String),
}

impl From<http::Error> for RequestError {
    fn from(error: http::Error) -> Self {
        Self::Part(error.to_string())
    }
}

/// Translates a head that this proxy has written (RFC 9113 section 8.3.1). `bytes` are that head and nothing else.
pub(super) fn request(bytes: &Bytes, scheme: Scheme) -> Result<Said, RequestError> {
    let head = head::parse_complete(bytes, bytes.len(), &generous(bytes.len()))?;
    let method = Method::from_bytes(head.method.of(bytes)).map_err(http::Error::from)?;
    let is_head = method == Method::HEAD;
    let mut request = Request::new(());
    *request.uri_mut() = uri(&head, bytes, scheme)?;
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers(&head, bytes)?;
    Ok(Said { request, body: head.body, is_head, upgrade: head.upgrade })
}

/// What the client sent had its limits; what filters and this proxy added is bounded by the configuration.
fn generous(len: usize) -> Limits {
    Limits { head_bytes: len + 1, request_line_bytes: len, headers: len, ..Limits::default() }
}

fn uri(head: &Head, bytes: &Bytes, scheme: Scheme) -> Result<Uri, RequestError> {
    let target = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    let authority = Authority::from_maybe_shared(bytes.slice(head.host.range()));
    parts.authority = Some(authority.map_err(http::Error::from)?);
    let path = PathAndQuery::from_maybe_shared(bytes.slice_ref(target));
    parts.path_and_query = Some(path.map_err(http::Error::from)?);
    Uri::from_parts(parts).map_err(|error| http::Error::from(error).into())
}

/// All fields but those that are only about a connection of HTTP/1 (section 8.2.2). Of `TE` only trailers is said.
fn headers(head: &Head, bytes: &Bytes) -> Result<HeaderMap, RequestError> {
    let mut headers = HeaderMap::with_capacity(head.fields.len());
    for field in &head.fields {
        let name = field.name.of(bytes);
        if is_left_out(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(http::Error::from)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(field.value.range()));
        headers.append(name, value.map_err(http::Error::from)?);
    }
    let te = fields::values(&head.fields, bytes, "te");
    if te.flat_map(fields::list).any(|coding| coding.eq_ignore_ascii_case(b"trailers")) {
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(headers)
}

fn is_left_out(name: &[u8]) -> bool {
    is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"host")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &'static str) -> Said {
        request(&Bytes::from_static(text.as_bytes()), Scheme::HTTP).unwrap()
    }

    #[test]
    fn fields_of_the_connection_are_left_out_and_the_host_is_the_authority() {
        let said = said(
            "POST /a?b=%20c HTTP/1.1\r\nhost: users.internal:8080\r\nX-One: 1\r\nx-one: 2\r\nkeep-alive: x\r\n\
             proxy-connection: x\r\ntransfer-encoding: chunked\r\nte: trailers\r\nconnection: te\r\n\r\n",
        );
        assert_eq!(said.request.uri(), "http://users.internal:8080/a?b=%20c");
        assert_eq!(said.body, BodyLength::Chunked);
        let fields: Vec<_> = said
            .request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(fields, [("x-one", "1"), ("x-one", "2"), ("te", "trailers")]);
        assert!(!said.is_head && !said.upgrade);
    }

    #[test]
    fn the_asterisk_and_an_ipv6_host_are_said() {
        let said = said("OPTIONS * HTTP/1.1\r\nhost: [::1]:81\r\n\r\n");
        assert_eq!(said.request.uri().path_and_query().unwrap().as_str(), "*");
        assert_eq!(said.request.uri().authority().unwrap().as_str(), "[::1]:81");
    }

    #[test]
    fn a_head_an_upgrade_and_what_has_no_form_are_told() {
        assert!(said("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").is_head);
        let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        assert!(said(upgrade).upgrade);
        let without_host = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
        assert!(matches!(request(&without_host, Scheme::HTTP), Err(RequestError::Head(HeadError::Host))));
    }
}

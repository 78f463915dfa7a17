use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;

use bytes::Bytes;
use dataplane_core::{BadPath, RequestHead, path};

use crate::http1::fields;
use crate::http1::head::{Head, Version};
use crate::listening::ListenerName;

/// A request as the router reads it.
pub(crate) struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) bytes: &'a Bytes,
    host: Cow<'a, str>,
    path: Cow<'a, str>,
    pub(crate) client_ip: IpAddr,
    pub(crate) listener: &'a str,
    /// The client came over TLS.
    pub(crate) secured: bool,
    /// It came over HTTP/2.
    pub(crate) multiplexed: bool,
    /// Unique in this process.
    pub(crate) id: RequestId,
}

#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    pub(crate) process: u64,
    pub(crate) number: u64,
}

impl Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.process, self.number)
    }
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        head: &'a Head,
        bytes: &'a Bytes,
        listener: &'a ListenerName,
        client_ip: IpAddr,
        multiplexed: bool,
        id: RequestId,
    ) -> Result<Self, BadPath> {
        let path = match head.target.path {
            Some(span) => path::normalize(span.text(bytes))?,
            None => Cow::Borrowed("/"),
        };
        let (host, secured) = (host(head.host.text(bytes)), listener.tls.is_some());
        Ok(Self { head, bytes, host, path, client_ip, listener: &listener.name, secured, multiplexed, id })
    }

    /// Doing it twice is the same as doing it once (RFC 9110 section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        // The parser let a token through, and that is all a method needs.
        let method = self.head.method.of(self.bytes);
        http::Method::from_bytes(method).is_ok_and(|method| method.is_idempotent())
    }

    /// The values of the fields `name`, lower-case or not.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        fields::values(&self.head.fields, self.bytes, name)
    }
}

/// Without the port and the dot of a fully qualified name, in lower case.
fn host(authority: &str) -> Cow<'_, str> {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let name = authority.get(..end).unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

impl RequestHead for Request<'_> {
    fn method(&self) -> &str {
        self.head.method.text(self.bytes)
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn authority(&self) -> &str {
        self.head.host.text(self.bytes)
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.head.target.query.map(|span| span.text(self.bytes))
    }

    fn header<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        fields::values(&self.head.fields, self.bytes, name)
    }

    fn version(&self) -> &str {
        match self.head.version {
            _ if self.multiplexed => "HTTP/2",
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }

    fn secured(&self) -> bool {
        self.secured
    }

    fn client_ip(&self) -> IpAddr {
        self.client_ip
    }

    fn listener(&self) -> &str {
        self.listener
    }

    fn id(&self) -> impl Display {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_port_dot_and_case() {
        for (authority, expected) in
            [("a.test", "a.test"), ("A.Test.:80", "a.test"), ("[2001:DB8::1]:80", "[2001:db8::1]"), ("", "")]
        {
            assert_eq!(host(authority), expected);
        }
    }
}

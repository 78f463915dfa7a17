use std::collections::BTreeMap;

use dataplane_snapshot::Key;

use super::reference::Reference;
use super::{Alternative, Expression, Part, Template};
use crate::path::{encoded, is_unreserved};
use crate::{PathPattern, RequestHead, cookie, query};

/// What a template can name, beside the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'r> {
    pub(crate) key: &'r Key,
    pub(crate) name: &'r str,
    pub(crate) domains: &'r [Box<str>],
    pub(crate) metadata: &'r BTreeMap<String, String>,
    pub(crate) pattern: &'r PathPattern,
}

/// What writes a template's expansion to the end of a buffer.
pub(crate) struct Expansion<'a, H> {
    head: &'a H,
    scope: Scope<'a>,
    out: &'a mut Vec<u8>,
    /// A `?` has been written: what follows is a query, in which `&`, `=` and `+` have a meaning.
    in_query: bool,
    /// The request's own query has been written.
    has_request_query: bool,
}

impl<'a, H: RequestHead> Expansion<'a, H> {
    pub(crate) const fn new(head: &'a H, scope: Scope<'a>, out: &'a mut Vec<u8>) -> Self {
        Self { head, scope, out, in_query: false, has_request_query: false }
    }

    /// Writes the expansion, and no further part once `out` is longer than `limit`. Tells whether it has a query and
    /// whether that holds the request's own.
    pub(crate) fn write(mut self, template: &Template, limit: usize) -> Written {
        for part in &template.parts {
            if self.out.len() > limit {
                break;
            }
            match part {
                Part::Literal(text) => self.literal(text),
                Part::Expression(expression) => self.expression(expression),
            }
        }
        Written { query: self.in_query, request_query: self.has_request_query }
    }

    fn literal(&mut self, text: &str) {
        self.in_query |= text.contains('?');
        self.out.extend_from_slice(text.as_bytes());
    }

    fn expression(&mut self, expression: &Expression) {
        for Alternative { reference, default } in &expression.alternatives {
            if self.reference(reference) {
                return;
            }
            if let Some(default) = default {
                return self.literal(default);
            }
        }
        if let Some(default) = &expression.default {
            return self.literal(default);
        }
        let missing = expression.alternatives.last().and_then(|last| last.reference.missing());
        if let Some((kind, name)) = missing {
            self.out.extend_from_slice(kind.as_bytes());
            self.foreign(name.bytes());
        }
    }

    /// Writes the value; false if the request has none.
    fn reference(&mut self, reference: &Reference) -> bool {
        let head = self.head;
        match reference {
            Reference::FullUrl => self.full_url(),
            Reference::Listener => self.foreign(head.listener().bytes()),
            Reference::Id => self.foreign(head.id().to_string().into_bytes()),
            Reference::Path => self.path(),
            Reference::Uri => self.uri(),
            Reference::Host => self.foreign(head.authority().bytes()),
            Reference::Domain => self.foreign(head.host().bytes()),
            Reference::Method => self.foreign(head.method().bytes()),
            Reference::Protocol => self.foreign(scheme(head).bytes()),
            Reference::ClientIp => self.foreign(head.client_ip().to_string().into_bytes()),
            Reference::Secured => self.foreign(head.secured().to_string().into_bytes()),
            Reference::Version => self.foreign(head.version().bytes()),
            Reference::RouteId => self.configured(self.scope.key.name()),
            Reference::RouteName => self.configured(self.scope.name),
            _ => return self.keyed(reference),
        }
        true
    }

    fn keyed(&mut self, reference: &Reference) -> bool {
        let (head, scope) = (self.head, self.scope);
        match reference {
            Reference::Header(name) => {
                head.header(name).next().map(|value| self.foreign(value.iter().copied()))
            }
            Reference::Query(name) => {
                let mut values = query::values(head.query().unwrap_or_default(), name);
                values.next().map(|value| self.foreign(query::decode(value)))
            }
            Reference::Cookie(name) => {
                let mut values =
                    head.header("cookie").flat_map(|field| cookie::values(field, name.as_bytes()));
                values.next().map(|value| self.foreign(value.iter().copied()))
            }
            Reference::PathParameter(name) => {
                scope.pattern.parameter(head.path(), name).map(|value| self.segment(value))
            }
            Reference::RouteMetadata(key) => scope.metadata.get(&**key).map(|value| self.configured(value)),
            Reference::RouteDomain(index) => scope.domains.get(*index).map(|value| self.configured(value)),
            _ => None,
        }
        .is_some()
    }

    /// A value that a client chose freely: it stays one piece wherever it stands, so only unreserved characters are
    /// written as they are.
    fn foreign(&mut self, value: impl IntoIterator<Item = u8>) {
        for byte in value {
            if is_unreserved(byte) {
                self.out.push(byte);
            } else {
                self.out.extend_from_slice(&encoded(byte));
            }
        }
    }

    /// A value that the configuration gives; it may have slashes.
    fn configured(&mut self, value: &str) {
        for byte in value.bytes() {
            if is_unreserved(byte) || byte == b'/' {
                self.out.push(byte);
            } else {
                self.out.extend_from_slice(&encoded(byte));
            }
        }
    }

    /// A segment of the request's path: in a path as it is.
    fn segment(&mut self, value: &str) {
        for byte in value.bytes() {
            if self.in_query && matches!(byte, b'&' | b'=' | b'+') {
                self.out.extend_from_slice(&encoded(byte));
            } else {
                self.out.push(byte);
            }
        }
    }

    fn path(&mut self) {
        let path = self.head.path();
        if self.in_query {
            return self.foreign(path.bytes());
        }
        if self.out.last() == Some(&b'/') {
            self.out.pop();
        }
        self.out.extend_from_slice(path.as_bytes());
    }

    /// Path and query; in a path they are the rest of the target's path and its query.
    fn uri(&mut self) {
        let query = self.head.query();
        let in_query = self.in_query;
        self.path();
        let Some(query) = query else { return };
        if in_query {
            self.foreign(*b"?");
            return self.foreign(query.bytes());
        }
        self.out.push(b'?');
        push_query(self.out, query);
        self.in_query = true;
        self.has_request_query = true;
    }

    fn full_url(&mut self) {
        let head = self.head;
        let origin = [scheme(head), "://", head.authority(), head.path()];
        origin.into_iter().for_each(|part| self.foreign(part.bytes()));
        if let Some(query) = head.query() {
            self.foreign(*b"?");
            self.foreign(query.bytes());
        }
    }
}

/// What an expansion has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) query: bool,
    pub(crate) request_query: bool,
}

fn scheme<H: RequestHead>(head: &H) -> &'static str {
    if head.secured() { "https" } else { "http" }
}

/// A query as sent, except for what would end it or the request line.
pub(crate) fn push_query(out: &mut Vec<u8>, query: &str) {
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if query.bytes().all(sound) {
        return out.extend_from_slice(query.as_bytes());
    }
    for byte in query.bytes() {
        if sound(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&encoded(byte));
        }
    }
}

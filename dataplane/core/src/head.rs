use std::fmt::Display;
use std::net::IpAddr;

/// What the router reads of a request. The codec that parsed the head implements it; nothing here is copied.
pub trait RequestHead {
    /// As sent: methods are case-sensitive (RFC 9110, 9.1).
    fn method(&self) -> &str;

    /// The host that the request is for: lower-case, without the port. Empty if there is none (HTTP/1.0).
    fn host(&self) -> &str;

    /// Host and port as the client sent them.
    fn authority(&self) -> &str;

    /// The path as [`path::normalize`](crate::path::normalize) gave it, without the query.
    fn path(&self) -> &str;

    /// What follows the first `?` of the target, as sent. `None` if there is no `?`.
    fn query(&self) -> Option<&str>;

    /// The values of all fields with this name, in order. `name` is lower-case.
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// `HTTP/1.1`, `HTTP/1.0`, …
    fn version(&self) -> &str;

    /// Whether the client came over TLS.
    fn secured(&self) -> bool;

    /// The client, as far as trusted proxies tell; else the peer of the connection.
    fn client_ip(&self) -> IpAddr;

    /// The name of the listener that accepted the connection.
    fn listener(&self) -> &str;

    /// The request's id, as in its logs. Only asked for when a template names `req.id`.
    fn id(&self) -> impl Display;
}

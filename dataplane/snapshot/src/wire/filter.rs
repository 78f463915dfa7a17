//! Filters of a rule. Each is a kind with the settings of that kind: a receiver that doesn't know the kind rejects the object,
//! and never passes a filter over.

#[derive(Clone, PartialEq, prost::Message)]
pub struct Filter {
    #[prost(enumeration = "FilterKind", tag = "1")]
    pub kind: i32,
    /// Absent for the kinds that have none.
    #[prost(oneof = "FilterSettings", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub settings: Option<FilterSettings>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum FilterKind {
    Unspecified = 0,
    /// Remove the matched part of the path before the backend's root is put in front.
    StripPath = 1,
    /// Send the target's host name as `Host` instead of the client's.
    OverrideHost = 2,
    /// Edit the fields of requests: [`HeaderEdits`].
    RequestHeaders = 3,
    /// Edit the fields of responses: [`HeaderEdits`].
    ResponseHeaders = 4,
    /// Send this as `Host` instead of the client's.
    Host = 5,
    /// Answer with a [`Redirect`]; the rule has no destinations.
    Redirect = 6,
    /// Answer with a [`DirectAnswer`]; the rule has no destinations.
    Answer = 7,
    /// Serve these clients only: [`AddressAccess`].
    Access = 8,
    /// Let scripts of other sites read: [`Cors`].
    Cors = 9,
    /// Refuse requests that are larger: [`RequestLimits`].
    Limits = 10,
    /// Send a share of the requests to another backend, too: [`RequestMirror`]. The only kind that a rule can have more than
    /// once.
    Mirror = 11,
    /// Refuse requests beyond so many in a time: [`RateLimits`].
    RateLimits = 12,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum FilterSettings {
    #[prost(message, tag = "2")]
    Headers(HeaderEdits),
    #[prost(string, tag = "3")]
    Host(String),
    #[prost(message, tag = "4")]
    Redirect(Redirect),
    #[prost(message, tag = "5")]
    Answer(DirectAnswer),
    #[prost(message, tag = "6")]
    Access(AddressAccess),
    #[prost(message, tag = "7")]
    Cors(Cors),
    #[prost(message, tag = "8")]
    Limits(RequestLimits),
    #[prost(message, tag = "9")]
    Mirror(RequestMirror),
    #[prost(message, tag = "10")]
    RateLimits(RateLimits),
}

impl FilterSettings {
    pub fn of(self, kind: FilterKind) -> Filter {
        Filter { kind: kind.into(), settings: Some(self) }
    }
}

impl From<FilterKind> for Filter {
    /// Without settings.
    fn from(kind: FilterKind) -> Self {
        Self { kind: kind.into(), settings: None }
    }
}

/// Changes of a head's fields. A name is in one list only, whatever its case.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderEdits {
    #[prost(string, repeated, tag = "1")]
    pub remove: Vec<String>,
    /// Instead of all fields of the name.
    #[prost(message, repeated, tag = "2")]
    pub set: Vec<HeaderField>,
    #[prost(message, repeated, tag = "3")]
    pub add: Vec<HeaderField>,
    /// If there is no field of the name.
    #[prost(message, repeated, tag = "4")]
    pub set_if_missing: Vec<HeaderField>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderField {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A whole URL, or what is different from the URL of the request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Redirect {
    #[prost(string, tag = "1")]
    pub location: String,
    /// `http` or `https`; empty: as the request.
    #[prost(string, tag = "2")]
    pub scheme: String,
    /// Empty: as the request.
    #[prost(string, tag = "3")]
    pub hostname: String,
    /// 0: as the request, or the usual one of `scheme` if that is given.
    #[prost(uint32, tag = "4")]
    pub port: u32,
    #[prost(string, optional, tag = "5")]
    pub full_path: Option<String>,
    /// Instead of the matched part of the path.
    #[prost(string, optional, tag = "6")]
    pub prefix: Option<String>,
    #[prost(uint32, tag = "7")]
    pub status: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DirectAnswer {
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// Empty: plain text.
    #[prost(string, tag = "2")]
    pub content_type: String,
    #[prost(string, tag = "3")]
    pub body: String,
}

/// Addresses and networks in CIDR notation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AddressAccess {
    /// Empty: all.
    #[prost(string, repeated, tag = "1")]
    pub allow: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub deny: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Cors {
    /// `*` alone: all. The first label of a host can be a `*`.
    #[prost(string, repeated, tag = "1")]
    pub allow_origins: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub allow_methods: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub allow_headers: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub expose_headers: Vec<String>,
    /// In seconds.
    #[prost(uint64, optional, tag = "5")]
    pub max_age: Option<u64>,
    #[prost(bool, tag = "6")]
    pub allow_credentials: bool,
}

/// In bytes, and a number of fields. Absent: no limit but the worker's own.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct RequestLimits {
    #[prost(uint64, optional, tag = "1")]
    pub body: Option<u64>,
    #[prost(uint32, optional, tag = "2")]
    pub head: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub fields: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestMirror {
    /// A key of kind backend, which may not be there.
    #[prost(string, tag = "1")]
    pub backend: String,
    /// Absent: all.
    #[prost(message, optional, tag = "2")]
    pub share: Option<Fraction>,
}

/// At most 1.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Fraction {
    #[prost(uint32, tag = "1")]
    pub numerator: u32,
    #[prost(uint32, tag = "2")]
    pub denominator: u32,
}

/// How many requests there may be, of all workers together. Of one key and period there is one limit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RateLimits {
    #[prost(message, repeated, tag = "1")]
    pub limits: Vec<RateLimit>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RateLimit {
    /// In each period, from 1 on.
    #[prost(uint32, tag = "1")]
    pub requests: u32,
    #[prost(enumeration = "RateLimitPeriod", tag = "2")]
    pub period: i32,
    /// How many may come at once after a pause. 0: as many as fit into a second, or into ten of a minute. For days and months
    /// it means nothing.
    #[prost(uint32, tag = "3")]
    pub burst: u32,
    #[prost(enumeration = "RateLimitKey", tag = "4")]
    pub key: i32,
    /// Of the header, in lower case, or the cookie.
    #[prost(string, tag = "5")]
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum RateLimitPeriod {
    Unspecified = 0,
    Second = 1,
    Minute = 2,
    /// A day of UTC.
    Day = 3,
    /// A month of UTC.
    Month = 4,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum RateLimitKey {
    /// All of the route's.
    Route = 0,
    /// Those of one IPv4 address, or of one /64 network of IPv6, as one client has all of it.
    ClientAddress = 1,
    /// Those with the same value of a header; without it: together.
    Header = 2,
    /// Those with the same value of a cookie; without it: together.
    Cookie = 3,
}

//! What is left of a spec once it has been validated: no option that isn't meant, no text that doesn't parse.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crds::{PathType, Predicate};
use dataplane_snapshot::Key;
use dataplane_snapshot::wire::{self, ConditionKind};

pub(super) struct ValidBackend<'a> {
    pub(super) name: &'a str,
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) root: &'a str,
    pub(super) rewrite: bool,
    pub(super) timeouts: Timeouts,
    /// By path pattern; the first that matches counts.
    pub(super) custom_timeouts: Vec<(&'a str, Timeouts)>,
    pub(super) retries: wire::Retries,
    pub(super) breaker: wire::Breaker,
    /// `None`: the defaults.
    pub(super) connections: Option<wire::ConnectionSettings>,
    /// `None`: targets are connected to directly.
    pub(super) proxy: Option<ValidProxy<'a>>,
    pub(super) load_balancing: Balancing<'a>,
    /// Workers prefer pods of their own zone.
    pub(super) prefer_own_zone: bool,
    /// In percent.
    pub(super) panic_threshold: Option<u32>,
    /// `None`: targets aren't checked.
    pub(super) health_check: Option<ValidHealthCheck<'a>>,
    pub(super) targets: Vec<ValidTarget<'a>>,
}

pub(super) struct ValidProxy<'a> {
    pub(super) host: &'a str,
    pub(super) port: NonZeroU16,
    pub(super) protocol: wire::ProxyProtocol,
    /// Empty: there is none.
    pub(super) principal: &'a str,
    pub(super) password: Option<Password<'a>>,
    pub(super) non_proxy_hosts: &'a [String],
}

/// Where a password is.
#[derive(Clone, Copy)]
pub(super) enum Password<'a> {
    Inline(&'a str),
    /// In the secret of this name, in the namespace of who names it.
    Entry {
        name: &'a str,
        key: &'a str,
    },
}

pub(super) struct ValidHealthCheck<'a> {
    pub(super) question: Question<'a>,
    /// In milliseconds.
    pub(super) interval: u64,
    /// In milliseconds.
    pub(super) timeout: u64,
    /// In percent of the interval.
    pub(super) jitter: u32,
    pub(super) healthy_threshold: u32,
    pub(super) unhealthy_threshold: u32,
}

pub(super) enum Question<'a> {
    Tcp,
    /// The service; empty: the server's own health.
    Grpc(&'a str),
    Http {
        url: &'a str,
        healthy_statuses: &'a [u16],
        unhealthy_statuses: &'a [u16],
        healthy_patterns: &'a [String],
        unhealthy_patterns: &'a [String],
        block_on_red: bool,
        logic: bool,
    },
}

/// How a target is chosen, with the parameters that the type has.
#[derive(Clone, Copy)]
pub(super) enum Balancing<'a> {
    RoundRobin,
    Random,
    /// The name, if it isn't the worker's own, and the time to live in seconds; 0: until the browser ends.
    Sticky(Option<&'a str>, u64),
    IpAddressHash,
    BestResponseTime,
    /// The ratio, 0 to 0.99.
    WeightedBestResponseTime(f64),
    LeastConnections,
    PowerOfTwoRandomChoices,
    NaiveFailover,
    HeaderHash(&'a str),
    CookieHash(&'a str),
    QueryHash(&'a str),
}

/// In milliseconds; 0: no limit.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) connection: u64,
    pub(super) idle: u64,
    pub(super) call: u64,
    pub(super) call_and_stream: u64,
    pub(super) global: u64,
}

pub(super) struct ValidTarget<'a> {
    /// Unique within the backend.
    pub(super) id: Cow<'a, str>,
    pub(super) server: Server<'a>,
    pub(super) weight: u32,
    pub(super) protocol: TargetProtocol,
    pub(super) backup: bool,
    pub(super) predicate: ValidPredicate<'a>,
    /// `None`: clear text.
    pub(super) tls: Option<ValidTargetTls<'a>>,
}

/// Where a target is.
pub(super) enum Server<'a> {
    /// With an address, the name isn't looked up.
    Host { hostname: &'a str, port: NonZeroU16, ip_address: Option<IpAddr> },
    /// Where the port of a Service leads to.
    Service { service: Key, port: PortOfService<'a> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PortOfService<'a> {
    Number(NonZeroU16),
    Name(&'a str),
}

/// Certificates by their names, in the namespace of the backend.
#[derive(Default)]
pub(super) struct ValidTargetTls<'a> {
    pub(super) certs: &'a [String],
    /// Empty: what the worker's system trusts.
    pub(super) trusted_certs: &'a [String],
    pub(super) trust_all: bool,
}

impl ValidTargetTls<'_> {
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.certs.iter().chain(self.trusted_certs)
    }
}

pub(super) enum ValidPredicate<'a> {
    Always,
    NetworkLocation(&'a Predicate),
    Request(ValidRequestMatch<'a>),
}

pub(super) struct ValidRequestMatch<'a> {
    /// Upper-case. Empty: any.
    pub(super) methods: Vec<&'a str>,
    pub(super) headers: Vec<ValidCondition<'a>>,
    pub(super) query: Vec<ValidCondition<'a>>,
    pub(super) cookies: Vec<ValidCondition<'a>>,
    /// Empty: any.
    pub(super) client_cidrs: &'a [String],
}

#[derive(Clone, Copy)]
pub(super) enum TargetProtocol {
    Http10,
    Http11,
    Http2,
}

pub(super) struct ValidRoute<'a> {
    pub(super) name: &'a str,
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) listeners: &'a [String],
    /// Only the good parts, if something was found.
    pub(super) matches: Vec<ValidMatch<'a>>,
    /// As workers take them: their parsers have looked at each.
    pub(super) filters: Vec<wire::Filter>,
    pub(super) mirrors: Vec<ValidMirror>,
    /// Only the good ones, if something was found.
    pub(super) destinations: Vec<ValidDestination<'a>>,
}

pub(super) struct ValidMirror {
    /// Its place in the spec.
    pub(super) index: usize,
    pub(super) backend: Key,
    /// `None`: all.
    pub(super) share: Option<wire::Fraction>,
}

pub(super) struct ValidDestination<'a> {
    /// Its place in the spec.
    pub(super) index: usize,
    pub(super) weight: u32,
    pub(super) backend: Destination<'a>,
}

pub(super) enum Destination<'a> {
    Reference(Key),
    Inline(Box<ValidBackend<'a>>),
    /// A Backend that the route may not name: what is its share is answered with 503.
    Withheld,
}

impl ValidDestination<'_> {
    /// The Backend that it names.
    pub(super) const fn reference(&self) -> Option<&Key> {
        match &self.backend {
            Destination::Reference(backend) => Some(backend),
            Destination::Inline(_) | Destination::Withheld => None,
        }
    }
}

pub(super) struct ValidMatch<'a> {
    /// Its place in the spec.
    pub(super) index: usize,
    /// Lower-case. Empty: any.
    pub(super) hostnames: Vec<String>,
    /// Empty: any.
    pub(super) paths: Vec<(PathType, &'a str)>,
    /// Upper-case. Empty: any.
    pub(super) methods: Vec<&'a str>,
    pub(super) headers: Vec<ValidCondition<'a>>,
    pub(super) query: Vec<ValidCondition<'a>>,
    pub(super) cookies: Vec<ValidCondition<'a>>,
}

pub(super) struct ValidCondition<'a> {
    /// Lower-case for headers.
    pub(super) name: Cow<'a, str>,
    pub(super) kind: ConditionKind,
    /// Empty for `Present` and `Absent`.
    pub(super) value: &'a str,
}

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use dataplane_core::names::{Answer, Said, candidates};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};

use super::system::System;
use crate::NameSettings;

/// How long one kind of addresses is waited for when the other is there: some servers never answer for AAAA.
const OTHER_KIND: Duration = Duration::from_secs(1);
/// Questions that one TCP connection to a server carries at a time.
const QUESTIONS: usize = 256;

/// Who knows the addresses of names: a file, and DNS servers.
pub(super) struct Servers {
    resolver: Result<TokioResolver, String>,
    hosts: Hosts,
    search: Vec<String>,
    ndots: usize,
}

impl Servers {
    pub(super) fn new(settings: &NameSettings, system: &System) -> Self {
        let (mut config, options) = parse(&system.resolv_conf);
        // The host's domain is searched if there is no other list, as the C library does it.
        let search = if config.search.is_empty() { config.domain.as_slice() } else { &config.search };
        let search = search.iter().map(ToString::to_string).collect();
        if !settings.servers.is_empty() {
            config.name_servers = settings.servers.iter().map(server).collect();
        }
        let ndots = options.ndots;
        let mut hosts = Hosts::default();
        if let Err(error) = hosts.read_hosts_conf(&*system.hosts) {
            tracing::warn!(%error, "the file of hosts can't be read to its end");
        }
        Self { resolver: resolver(config, options).map_err(|error| error.to_string()), hosts, search, ndots }
    }

    /// Asks for the addresses of `host`. Takes as long as it takes.
    pub(super) async fn look_up(&self, host: &str) -> Answer {
        if let Some(answer) = self.in_file(host) {
            return answer;
        }
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(reason) => return Answer::failed(reason),
        };
        let mut last = Answer::failed("it isn't a host name");
        let mut doubtful = false;
        for name in candidates(host, &self.search, self.ndots) {
            let Ok(name) = Name::from_str_relaxed(name) else { continue };
            let (answer, silence) = ask(resolver, name).await;
            if answer.is_found() {
                return Answer { doubtful, ..answer };
            }
            if silence {
                return answer;
            }
            // As with the C library, a server that fails for one name may know the next.
            if !answer.is_denied() || !doubtful {
                doubtful |= !answer.is_denied();
                last = answer;
            }
        }
        last
    }

    /// What the file says is all there is to say.
    fn in_file(&self, host: &str) -> Option<Answer> {
        let name = Name::from_str_relaxed(host).ok()?;
        let said = |kind| {
            let lookup = self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
            lookup.map_or(Said::Denied { ttl: None }, |lookup| addresses(&lookup))
        };
        let answer = Answer { v4: said(RecordType::A), v6: said(RecordType::AAAA), doubtful: false };
        answer.is_found().then_some(answer)
    }
}

/// Without a server in it: the one of this machine, as with the C library.
fn parse(resolv_conf: &[u8]) -> (ResolverConfig, ResolverOpts) {
    let with_server = || parse_resolv_conf([resolv_conf, b"\nnameserver 127.0.0.1\n"].concat());
    parse_resolv_conf(resolv_conf).or_else(|_| with_server()).unwrap_or_default()
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn resolver(config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, NetError> {
    // What is known is kept here, and for as long as is decided here.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    options.max_active_requests = QUESTIONS;
    // Of all tries there, of further tries here.
    options.attempts = options.attempts.saturating_sub(1);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

/// Asks for both kinds of addresses at once. The second value: nobody answered for one of them.
async fn ask(resolver: &TokioResolver, name: Name) -> (Answer, bool) {
    let (v4, v6) = (told(resolver, name.clone(), RecordType::A), told(resolver, name, RecordType::AAAA));
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    let (v4, v6) = tokio::select! {
        said = &mut v4 => {
            let other = other(&said.0, v6).await;
            (said, other)
        }
        said = &mut v6 => (other(&said.0, v4).await, said),
    };
    (Answer { v4: v4.0, v6: v6.0, doubtful: false }, v4.1 || v6.1)
}

async fn other(first: &Said, other: impl Future<Output = (Said, bool)>) -> (Said, bool) {
    if !matches!(first, Said::Addresses { .. }) {
        return other.await;
    }
    let late = |_| (Said::Failed("one kind of addresses wasn't answered for in time".to_owned()), true);
    tokio::time::timeout(OTHER_KIND, other).await.unwrap_or_else(late)
}

/// What is told about one kind of addresses. The second value: nobody answered.
async fn told(resolver: &TokioResolver, name: Name, kind: RecordType) -> (Said, bool) {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => (addresses(&lookup), false),
        // Without an authority, a referral: this server doesn't look names up for others.
        Err(NetError::Dns(DnsError::NoRecordsFound(no))) if no.soa.is_some() || no.ns.is_none() => {
            (Said::Denied { ttl: no.negative_ttl.map(|secs| Duration::from_secs(secs.into())) }, false)
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => {
            (Said::Failed("the DNS server only names other servers".to_owned()), false)
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => {
            (Said::Failed(format!("the DNS server says {code}")), false)
        }
        Err(NetError::Timeout) => (Said::Failed("no DNS server answered in time".to_owned()), true),
        Err(error) => (Said::Failed(error.to_string()), true),
    }
}

fn addresses(lookup: &Lookup) -> Said {
    let ips: Vec<_> = lookup.answers().iter().filter_map(|record: &Record| record.data.ip_addr()).collect();
    let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    let ttl = Duration::from_secs(ttl.into());
    if ips.is_empty() { Said::Denied { ttl: Some(ttl) } } else { Said::Addresses { ips, ttl } }
}

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use dataplane_snapshot::wire::{self, LoadBalancingPolicy};
use dataplane_snapshot::{Key, Kind};

use super::route::conditions;
use crate::plan::certificates::Certificates;
use crate::plan::model::{
    Balancing, Question, Server, TargetProtocol, Timeouts, ValidBackend, ValidHealthCheck, ValidPredicate,
    ValidProxy, ValidTarget, ValidTargetTls,
};
use crate::plan::pods::Place;
use crate::plan::resolve::Nameable;
use crate::plan::services::Members;

/// `key` is the backend's own.
pub(in crate::plan) fn backend(backend: &ValidBackend<'_>, key: &Key) -> wire::Backend {
    let custom = backend.custom_timeouts.iter().map(|(path, timeouts)| wire::CustomTimeouts {
        path: (*path).to_owned(),
        timeouts: Some(client(*timeouts)),
    });
    wire::Backend {
        name: backend.name.to_owned(),
        metadata: backend.metadata.clone(),
        root: backend.root.to_owned(),
        rewrite: backend.rewrite,
        load_balancing: Some(load_balancing(backend.load_balancing)),
        client: Some(wire::ClientSettings {
            custom_timeouts: custom.collect(),
            retries: Some(backend.retries.clone()),
            breaker: Some(backend.breaker.clone()),
            connections: backend.connections,
            proxy: backend.proxy.as_ref().map(|proxy| Box::new(forward_proxy(proxy, key))),
            ..client(backend.timeouts)
        }),
        health_check: backend.health_check.as_ref().map(health_check).map(Box::new),
        panic_threshold: backend.panic_threshold,
    }
}

fn forward_proxy(proxy: &ValidProxy<'_>, backend: &Key) -> wire::ForwardProxy {
    let password = proxy.password.map(|_| backend.proxy_password().to_string());
    wire::ForwardProxy {
        host: proxy.host.to_owned(),
        port: u32::from(proxy.port.get()),
        protocol: proxy.protocol.into(),
        principal: proxy.principal.to_owned(),
        password: password.unwrap_or_default(),
        non_proxy_hosts: proxy.non_proxy_hosts.to_vec(),
    }
}

fn health_check(check: &ValidHealthCheck<'_>) -> wire::HealthCheck {
    let how_often = wire::HealthCheck {
        interval: check.interval,
        timeout: check.timeout,
        jitter: check.jitter,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        ..Default::default()
    };
    let statuses = |statuses: &[u16]| statuses.iter().copied().map(u32::from).collect();
    match &check.question {
        Question::Tcp => wire::HealthCheck { kind: wire::HealthCheckKind::Tcp.into(), ..how_often },
        Question::Grpc(service) => wire::HealthCheck {
            kind: wire::HealthCheckKind::Grpc.into(),
            service: (*service).to_owned(),
            ..how_often
        },
        Question::Http {
            url,
            healthy_statuses,
            unhealthy_statuses,
            healthy_patterns,
            unhealthy_patterns,
            block_on_red,
            logic,
        } => wire::HealthCheck {
            kind: wire::HealthCheckKind::Http.into(),
            url: (*url).to_owned(),
            healthy_statuses: statuses(healthy_statuses),
            unhealthy_statuses: statuses(unhealthy_statuses),
            healthy_patterns: healthy_patterns.to_vec(),
            unhealthy_patterns: unhealthy_patterns.to_vec(),
            block_on_red: *block_on_red,
            logic_check: *logic,
            ..how_often
        },
    }
}

/// `user` is the object that has the backend.
pub(in crate::plan) fn endpoints(
    backend: &ValidBackend<'_>,
    user: &Key,
    nameable: Nameable<'_>,
) -> wire::Endpoints {
    let mut targets: Vec<_> = backend.targets.iter().flat_map(|one| servers(one, user, nameable)).collect();
    if !backend.prefer_own_zone {
        targets.iter_mut().for_each(|target| target.zone.clear());
    }
    // Whoever gives a target the id of a pod has that pod once: workers refuse targets with one id.
    let mut ids = HashSet::new();
    targets.retain(|target| ids.insert(target.id.clone()));
    wire::Endpoints { targets }
}

/// What a target stands for: itself, or the pods of its Service, of which each is a target.
fn servers(target: &ValidTarget<'_>, user: &Key, nameable: Nameable<'_>) -> Vec<wire::Target> {
    let at = |hostname: String, port: NonZeroU16| wire::Target {
        hostname,
        port: u32::from(port.get()),
        ..self::target(target, user.namespace(), nameable.certificates)
    };
    let (service, port) = match &target.server {
        Server::Host { hostname, port, ip_address } => {
            let ip_address = ip_address.map(|address| address.to_string()).unwrap_or_default();
            return vec![wire::Target { ip_address, ..at((*hostname).to_owned(), *port) }];
        }
        Server::Service { service, port } => (service, *port),
    };
    match nameable.services.members(service, port, user) {
        Err(_) => Vec::new(),
        Ok(Members::Name(name, port)) => vec![at(name.to_owned(), port)],
        Ok(Members::Pods(pods)) => {
            // By this name it is called within the cluster, so certificates are made for it.
            let hostname = format!("{}.{}.svc", service.name(), service.namespace());
            let pod = |((address, port), zone): (Place, Option<&str>)| wire::Target {
                id: format!("{}/{}", target.id, SocketAddr::new(address, port.get())),
                ip_address: address.to_string(),
                zone: zone.unwrap_or_default().to_owned(),
                ..at(hostname.clone(), port)
            };
            pods.taking().map(pod).collect()
        }
    }
}

const fn client(timeouts: Timeouts) -> wire::ClientSettings {
    wire::ClientSettings {
        connection_timeout: timeouts.connection,
        idle_timeout: timeouts.idle,
        call_timeout: timeouts.call,
        call_and_stream_timeout: timeouts.call_and_stream,
        global_timeout: timeouts.global,
        custom_timeouts: Vec::new(),
        retries: None,
        breaker: None,
        connections: None,
        proxy: None,
    }
}

/// All but where it is.
fn target(target: &ValidTarget<'_>, namespace: &str, certificates: Certificates<'_>) -> wire::Target {
    let protocol = match target.protocol {
        TargetProtocol::Http10 => wire::Protocol::Http10,
        TargetProtocol::Http11 => wire::Protocol::Http11,
        TargetProtocol::Http2 => wire::Protocol::Http2,
    };
    wire::Target {
        id: target.id.clone().into_owned(),
        weight: target.weight,
        protocol: protocol.into(),
        backup: target.backup,
        predicate: predicate(&target.predicate),
        tls: target.tls.as_ref().map(|tls| target_tls(tls, namespace, certificates)),
        ..Default::default()
    }
}

fn target_tls(tls: &ValidTargetTls<'_>, namespace: &str, certificates: Certificates<'_>) -> wire::TargetTls {
    let key = |name: &String| Key::new(Kind::Certificate, namespace, &**name);
    wire::TargetTls {
        client_certificates: tls.certs.iter().map(|name| key(name).to_string()).collect(),
        trusted: tls.trusted_certs.iter().map(|name| certificates.trusted(key(name)).to_string()).collect(),
        trust_all: tls.trust_all,
    }
}

fn load_balancing(balancing: Balancing<'_>) -> wire::LoadBalancing {
    let (policy, ratio, name, ttl) = match balancing {
        Balancing::RoundRobin => (LoadBalancingPolicy::RoundRobin, 0.0, "", 0),
        Balancing::Random => (LoadBalancingPolicy::Random, 0.0, "", 0),
        Balancing::Sticky(name, ttl) => (LoadBalancingPolicy::Sticky, 0.0, name.unwrap_or_default(), ttl),
        Balancing::IpAddressHash => (LoadBalancingPolicy::IpAddressHash, 0.0, "", 0),
        Balancing::BestResponseTime => (LoadBalancingPolicy::BestResponseTime, 0.0, "", 0),
        Balancing::WeightedBestResponseTime(ratio) => {
            (LoadBalancingPolicy::WeightedBestResponseTime, ratio, "", 0)
        }
        Balancing::LeastConnections => (LoadBalancingPolicy::LeastConnections, 0.0, "", 0),
        Balancing::PowerOfTwoRandomChoices => (LoadBalancingPolicy::PowerOfTwoRandomChoices, 0.0, "", 0),
        Balancing::NaiveFailover => (LoadBalancingPolicy::NaiveFailover, 0.0, "", 0),
        Balancing::HeaderHash(name) => (LoadBalancingPolicy::HeaderHash, 0.0, name, 0),
        Balancing::CookieHash(name) => (LoadBalancingPolicy::CookieHash, 0.0, name, 0),
        Balancing::QueryHash(name) => (LoadBalancingPolicy::QueryHash, 0.0, name, 0),
    };
    wire::LoadBalancing { policy: policy.into(), ratio, name: name.to_owned(), ttl }
}

fn predicate(predicate: &ValidPredicate<'_>) -> Option<wire::Predicate> {
    let kind = match predicate {
        ValidPredicate::Always => return None,
        ValidPredicate::NetworkLocation(wanted) => {
            let pattern = |place: &Option<String>| place.clone().unwrap_or_default();
            wire::PredicateKind::NetworkLocation(wire::NetworkLocation {
                provider: pattern(&wanted.provider),
                region: pattern(&wanted.region),
                zone: pattern(&wanted.zone),
                data_center: pattern(&wanted.data_center),
                rack: pattern(&wanted.rack),
            })
        }
        ValidPredicate::Request(wanted) => wire::PredicateKind::Request(wire::RequestMatch {
            methods: wanted.methods.iter().map(|method| (*method).to_owned()).collect(),
            headers: conditions(&wanted.headers),
            query: conditions(&wanted.query),
            cookies: conditions(&wanted.cookies),
            client_cidrs: wanted.client_cidrs.to_vec(),
        }),
    };
    Some(wire::Predicate { kind: Some(kind) })
}

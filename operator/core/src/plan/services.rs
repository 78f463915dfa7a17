//! Services, and what their ports lead to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};

use super::findings::{Field, Findings, problem};
use super::grants::{self, Grants};
use super::model::{PortOfService, Server, ValidBackend};
use super::pods::Pods;
use crate::{
    Endpoint, Problem, ServicePort, ServiceSpec, SlicePort, SliceSpec, Spec, UnresolvedReason, World,
    service_of, slice_key,
};

/// All Services, for those who name them.
#[derive(Clone, Copy)]
pub(super) struct Services<'a>(pub(super) &'a World);

/// What a port of a Service leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Members<'a> {
    Pods(Pods<'a>),
    /// A name of elsewhere (type ExternalName), which workers look up.
    Name(&'a str, NonZeroU16),
}

/// What a port doesn't lead anywhere for: the reason, the field of `service` that it is about, and a sentence.
type Failure = (UnresolvedReason, Option<&'static str>, String);

impl<'a> Services<'a> {
    /// Those that came, went, or lead elsewhere: who names them is planned anew.
    pub(super) fn changed(self, earlier: &World) -> BTreeSet<Key> {
        let slices =
            earlier.slices.differences(&self.0.slices, Arc::ptr_eq).map(|(key, _, _)| service_of(key));
        let services = earlier.services.differences(&self.0.services, Arc::ptr_eq);
        services.map(|(key, _, _)| key.clone()).chain(slices).collect()
    }

    /// Refuses targets that are Services where there can't be any.
    pub(super) fn check(self, backend: &ValidBackend<'_>, at: &Field<'_>, findings: &mut Findings) {
        if self.0.has_cluster {
            return;
        }
        let at = at.name("targets");
        for (index, _) in named(backend) {
            let message = "there is no API server whose Services could be followed: write hostname and port, or start \
                           the leader with --kubernetes";
            findings.invalid(&at.index(index).name("service"), message);
        }
    }

    /// What is wrong with the Services that a backend's targets name. `user` is the object that has the backend.
    pub(super) fn resolve(
        self,
        backend: &ValidBackend<'_>,
        user: &Key,
        at: &Field<'_>,
    ) -> Vec<(UnresolvedReason, Problem)> {
        let at = at.name("targets");
        let wrong = named(backend).filter_map(|(index, (service, port))| {
            let (reason, field, message) = self.members(service, port, user).err()?;
            let at = at.index(index);
            let at = at.name("service");
            let problem =
                field.map_or_else(|| problem(&at, &*message), |field| problem(&at.name(field), &*message));
            Some((reason, problem))
        });
        wrong.collect()
    }

    pub(super) fn members(
        self,
        key: &Key,
        port: PortOfService<'_>,
        user: &Key,
    ) -> Result<Members<'a>, Failure> {
        let (namespace, name) = (key.namespace(), key.name());
        if !Grants(&self.0.grants).permit(user, key) {
            let message = format!(
                "{}s of namespace {} may not use Service {name} of namespace {namespace}: a ReferenceGrant there has to \
                 allow it",
                grants::kind(user),
                user.namespace()
            );
            return Err((UnresolvedReason::RefNotPermitted, Some("namespace"), message));
        }
        let Some(Spec::Service(service)) = self.0.services.get(key).map(|observed| &observed.spec) else {
            let message =
                format!("there is no Service {name} in namespace {namespace}, as far as the leader watches");
            return Err((UnresolvedReason::ServiceNotFound, None, message));
        };
        let found = match external_name(service) {
            Some(external) => external_port(service, port).map(|port| Members::Name(external, port)),
            None => port_of(service, port).map(|port| Members::Pods(self.pods(key, port))),
        };
        found.ok_or_else(|| (UnresolvedReason::PortNotFound, Some("port"), without_port(name, service, port)))
    }

    /// What is to be said of targets that have pods which get requests though they are called unready. `user` is the object that
    /// has the backend.
    pub(super) fn doubted(self, backend: &ValidBackend<'_>, user: &Key, at: &Field<'_>) -> Vec<Problem> {
        let at = at.name("targets");
        let doubted = named(backend).filter_map(|(index, (service, port))| {
            let has_doubted = |slice: &SliceSpec| slice.endpoints.iter().any(|endpoint| endpoint.doubted);
            if !self.slices(service).any(has_doubted) {
                return None;
            }
            let Members::Pods(pods) = self.members(service, port, user).ok()? else { return None };
            let message = format!(
                "{} of its pods are called unready since the API server was away for long: they get requests until they are \
                 called ready, end, or 5 minutes have passed",
                pods.doubted()
            );
            (pods.doubted() > 0).then(|| problem(&at.index(index).name("service"), message))
        });
        doubted.collect()
    }

    fn pods(self, service: &Key, port: &ServicePort) -> Pods<'a> {
        let mut pods = Pods::default();
        for slice in self.slices(service) {
            let numbers = slice.ports.iter().filter(|of_slice| is_port(of_slice, port)).filter_map(number);
            for number in numbers {
                for endpoint in &slice.endpoints {
                    if let Some(address) = address(endpoint) {
                        pods.see((address, number), endpoint);
                    }
                }
            }
        }
        pods
    }

    fn slices<'k>(self, service: &'k Key) -> impl Iterator<Item = &'a SliceSpec> + use<'a, 'k> {
        let first = slice_key(service.namespace(), service.name(), "");
        let slices = self.0.slices.range_from(&first);
        let its = slices.take_while(move |(key, _)| key.kind() == Kind::Slice && service_of(key) == *service);
        its.filter_map(|(_, observed)| match &observed.spec {
            Spec::Slice(slice) => Some(&**slice),
            _ => None,
        })
    }
}

/// The targets that are Services, with their places.
fn named<'b>(backend: &'b ValidBackend<'_>) -> impl Iterator<Item = (usize, (&'b Key, PortOfService<'b>))> {
    backend.targets.iter().enumerate().filter_map(|(index, target)| match &target.server {
        Server::Host { .. } => None,
        Server::Service { service, port } => Some((index, (service, *port))),
    })
}

/// What a backend depends on for its Services: they themselves, and for those of other namespaces the grants there.
pub(super) fn references(backend: &ValidBackend<'_>, user: &Key) -> Vec<Key> {
    let needs = |(_, (service, _)): (usize, (&Key, PortOfService<'_>))| {
        let is_other = service.namespace() != user.namespace();
        let grants = is_other.then(|| grants::of_namespace(service.namespace()));
        std::iter::once(service.clone()).chain(grants)
    };
    named(backend).flat_map(needs).collect()
}

fn external_name(service: &ServiceSpec) -> Option<&str> {
    let name =
        service.external_name.as_deref().filter(|_| service.type_.as_deref() == Some("ExternalName"))?;
    // A name of DNS may end with a dot, a target's doesn't.
    Some(name.strip_suffix('.').unwrap_or(name))
}

/// A Service that only stands for a name need not list its ports.
fn external_port(service: &ServiceSpec, port: PortOfService<'_>) -> Option<NonZeroU16> {
    match port {
        PortOfService::Number(number) => Some(number),
        PortOfService::Name(_) => NonZeroU16::new(port_of(service, port)?.port),
    }
}

fn port_of<'s>(service: &'s ServiceSpec, port: PortOfService<'_>) -> Option<&'s ServicePort> {
    let is_it = |one: &&ServicePort| match port {
        PortOfService::Number(number) => one.port == number.get(),
        PortOfService::Name(name) => one.name.as_deref() == Some(name),
    };
    service.ports.iter().filter(|one| is_tcp(one.protocol.as_deref())).find(is_it)
}

fn without_port(name: &str, service: &ServiceSpec, port: PortOfService<'_>) -> String {
    let ports = service.ports.iter().filter(|one| is_tcp(one.protocol.as_deref()));
    let shown = ports.map(|one| match one.name.as_deref().unwrap_or_default() {
        "" => one.port.to_string(),
        name => format!("{} ({name})", one.port),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let port = match port {
        PortOfService::Number(number) => number.to_string(),
        PortOfService::Name(name) => name.to_owned(),
    };
    let known = if shown.is_empty() { "none".to_owned() } else { shown };
    format!("Service {name} has no TCP port {port}: it has {known}")
}

fn is_port(of_slice: &&SlicePort, of_service: &ServicePort) -> bool {
    is_tcp(of_slice.protocol.as_deref())
        && of_slice.name.as_deref().unwrap_or_default() == of_service.name.as_deref().unwrap_or_default()
}

fn is_tcp(protocol: Option<&str>) -> bool {
    matches!(protocol, None | Some("" | "TCP"))
}

fn number(port: &SlicePort) -> Option<NonZeroU16> {
    NonZeroU16::new(port.port?)
}

fn address(endpoint: &Endpoint) -> Option<IpAddr> {
    endpoint.addresses.first()?.parse().ok()
}

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crds::bounds::{MAX_HOSTNAME, MAX_LABEL};
use crds::{Protocol, ServiceReference, Target, TlsConfig};
use dataplane_snapshot::{Key, Kind};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{bounds, certificate, predicate};
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{PortOfService, Server, TargetProtocol, ValidTarget, ValidTargetTls};

pub(super) fn target<'a>(
    spec: &'a Target,
    namespace: &str,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidTarget<'a>> {
    let tls = tls(spec, at, findings);
    let protocol = protocol(spec.protocol, &at.name("protocol"), findings);
    let predicate = predicate::predicate(&spec.predicate, &at.name("predicate"), findings);
    let server = match &spec.service {
        Some(service) => {
            if spec.hostname.is_some() || spec.port.is_some() || spec.ip_address.is_some() {
                let message = "hostname, port and ipAddress don't go with service: write only one of both";
                findings.invalid(at, message);
            }
            self::service(service, namespace, &at.name("service"), findings)
        }
        None => host_and_port(spec, at, findings),
    };
    let id = match spec.id.as_deref() {
        Some("") => {
            findings.invalid(&at.name("id"), "write at least one character, or leave it out");
            return None;
        }
        Some(id) => Cow::Borrowed(id),
        None => Cow::Owned(spec.default_id()),
    };
    Some(ValidTarget {
        id,
        server: server?,
        weight: spec.weight,
        protocol: protocol?,
        backup: spec.backup,
        predicate: predicate?,
        tls,
    })
}

fn host_and_port<'a>(spec: &'a Target, at: &Field<'_>, findings: &mut Findings) -> Option<Server<'a>> {
    let ip_address = ip_address(spec.ip_address.as_deref(), &at.name("ipAddress"), findings);
    let hostname = hostname(spec.hostname.as_deref(), &at.name("hostname"), findings);
    let port = port(spec.port, &at.name("port"), findings);
    Some(Server::Host { hostname: hostname?, port: port?, ip_address: ip_address? })
}

/// `namespace` is that of who names it.
fn service<'a>(
    spec: &'a ServiceReference,
    namespace: &str,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Server<'a>> {
    let name = label(&spec.name, &at.name("name"), findings);
    let namespace = match &spec.namespace {
        Some(other) => label(other, &at.name("namespace"), findings),
        None => Some(namespace),
    };
    let port = match &spec.port {
        IntOrString::Int(number) => {
            let number = u16::try_from(*number).ok().and_then(NonZeroU16::new);
            number.map(PortOfService::Number)
        }
        IntOrString::String(name) => {
            (!name.is_empty() && bounds::fits(name.len(), MAX_LABEL)).then_some(PortOfService::Name(name))
        }
    };
    if port.is_none() {
        findings.invalid(&at.name("port"), "write the number of the Service's port, 1 to 65535, or its name");
    }
    Some(Server::Service { service: Key::new(Kind::Service, namespace?, name?), port: port? })
}

/// A name of Kubernetes without dots (RFC 1123 label).
pub(super) fn label<'a>(text: &'a str, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = !text.is_empty() && bounds::fits(text.len(), MAX_LABEL) && text.bytes().all(is_good);
    if is_label && !text.starts_with('-') && !text.ends_with('-') {
        return Some(text);
    }
    findings
        .invalid(at, format!("{text:?} is no name of Kubernetes: write lower-case letters, digits and '-'"));
    None
}

/// `None`: clear text. What isn't enabled counts for nothing, but it must be well written all the same.
fn tls<'a>(spec: &'a Target, at: &Field<'_>, findings: &mut Findings) -> Option<ValidTargetTls<'a>> {
    let TlsConfig { enabled, loose, trust_all, certs, trusted_certs } = &spec.tls_config;
    let at = at.name("tlsConfig");
    certificate::names(certs, &at.name("certs"), findings);
    certificate::names(trusted_certs, &at.name("trustedCerts"), findings);
    spec.tls.then(|| {
        if *enabled {
            // As on Otoroshi's page: loose blocks what isn't trusted, also with trustAll.
            ValidTargetTls { certs, trusted_certs, trust_all: *trust_all && !loose }
        } else {
            ValidTargetTls::default()
        }
    })
}

fn protocol(protocol: Protocol, at: &Field<'_>, findings: &mut Findings) -> Option<TargetProtocol> {
    match protocol {
        Protocol::Http10 => Some(TargetProtocol::Http10),
        Protocol::Http11 => Some(TargetProtocol::Http11),
        Protocol::Http2 => Some(TargetProtocol::Http2),
        Protocol::Http3 => {
            findings.unsupported(at, "write HTTP/1.1 or HTTP/2.0");
            None
        }
    }
}

/// `None` if something was found.
#[expect(clippy::option_option, reason = "found something; good and absent; good and there")]
fn ip_address(text: Option<&str>, at: &Field<'_>, findings: &mut Findings) -> Option<Option<IpAddr>> {
    let Some(text) = text else { return Some(None) };
    match text.parse() {
        Ok(address) => Some(Some(address)),
        Err(_) => {
            findings
                .invalid(at, format!("{text:?} is no IP address: write for instance 10.0.0.7 or fd00::7"));
            None
        }
    }
}

fn port(port: Option<u16>, at: &Field<'_>, findings: &mut Findings) -> Option<NonZeroU16> {
    let port = port.and_then(NonZeroU16::new);
    if port.is_none() {
        findings.invalid(at, "write the target's port, 1 to 65535");
    }
    port
}

fn hostname<'a>(hostname: Option<&'a str>, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    let Some(hostname) = hostname else {
        findings.invalid(at, "write the target's host name or IP address");
        return None;
    };
    host(hostname, at, findings)
}

/// A host name or an IP address; `None` if something was found.
pub(super) fn host<'a>(hostname: &'a str, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    if hostname.parse::<IpAddr>().is_ok() || is_dns_name(hostname) {
        return Some(hostname);
    }
    let hint = if hostname.contains("://") || hostname.contains('/') {
        "write it without scheme and path"
    } else if hostname.contains(['[', ']']) {
        "write an IPv6 address without brackets"
    } else if hostname.contains(':') {
        "write it without a port"
    } else {
        "write for instance users.example.com or 10.0.0.7"
    };
    findings.invalid(at, format!("{hostname:?} is no host name: {hint}"));
    None
}

/// RFC 1123 labels; underscores too, since resolvers and container networks know such names.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && bounds::fits(label.len(), MAX_LABEL)
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    bounds::fits(text.len(), MAX_HOSTNAME) && text.split('.').all(is_label)
}

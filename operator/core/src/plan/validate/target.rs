use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crds::bounds::{MAX_HOSTNAME, MAX_LABEL};
use crds::{Protocol, Target, TlsConfig};

use super::{bounds, certificate, predicate};
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{TargetProtocol, ValidTarget, ValidTargetTls};

pub(super) fn target<'a>(
    spec: &'a Target,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidTarget<'a>> {
    let tls = tls(spec, at, findings);
    let protocol = protocol(spec.protocol, &at.name("protocol"), findings);
    let ip_address = ip_address(spec.ip_address.as_deref(), &at.name("ipAddress"), findings);
    let predicate = predicate::predicate(&spec.predicate, &at.name("predicate"), findings);
    if spec.service.is_some() {
        findings.unsupported(&at.name("service"), "write hostname and port");
        if spec.hostname.is_some() || spec.port.is_some() || spec.ip_address.is_some() {
            findings
                .invalid(at, "hostname, port and ipAddress don't go with service: write only one of both");
        }
        return None;
    }
    let hostname = hostname(spec.hostname.as_deref(), &at.name("hostname"), findings);
    let port = port(spec.port, &at.name("port"), findings);
    let (hostname, port) = (hostname?, port?);
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
        hostname,
        port,
        weight: spec.weight,
        ip_address: ip_address?,
        protocol: protocol?,
        backup: spec.backup,
        predicate: predicate?,
        tls,
    })
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

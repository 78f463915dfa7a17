use std::num::NonZeroU16;

use crds::bounds::MAX_HOSTNAME;
use crds::{ProxyProtocol, SecretEntry, UpstreamProxy};
use dataplane_core::CredentialsError;
use dataplane_snapshot::wire;

use super::bounds::{count, length};
use super::{syntax, target};
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{Password, ValidProxy};

/// As in the custom resource.
const MAX_HOSTS: u32 = 64;

/// As in the custom resource, in characters.
const MAX_CREDENTIAL: u32 = 256;

/// `None` only if something was found.
pub(super) fn proxy<'a>(
    spec: &'a UpstreamProxy,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidProxy<'a>> {
    let host = target::host(&spec.host, &at.name("host"), findings);
    let port = NonZeroU16::new(spec.port);
    if port.is_none() {
        findings.invalid(&at.name("port"), "write the proxy's port, 1 to 65535");
    }
    let protocol = match spec.protocol.unwrap_or_default() {
        ProxyProtocol::Http => wire::ProxyProtocol::Http,
        ProxyProtocol::Https => wire::ProxyProtocol::Https,
        ProxyProtocol::Socks5 => wire::ProxyProtocol::Socks5,
    };
    let password = credentials(spec, protocol, at, findings);
    let at_hosts = at.name("nonProxyHosts");
    count(spec.non_proxy_hosts.len(), MAX_HOSTS, &at_hosts, findings);
    for (index, pattern) in spec.non_proxy_hosts.iter().enumerate() {
        if pattern.is_empty() {
            findings.invalid(&at_hosts.index(index), "write a pattern, for instance *.internal");
        }
        length(pattern, MAX_HOSTNAME, &at_hosts.index(index), findings);
    }
    Some(ValidProxy {
        host: host?,
        port: port?,
        protocol,
        principal: spec.principal.as_deref().unwrap_or_default(),
        password,
        non_proxy_hosts: &spec.non_proxy_hosts,
    })
}

fn credentials<'a>(
    spec: &'a UpstreamProxy,
    protocol: wire::ProxyProtocol,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Password<'a>> {
    let (at_principal, at_password) = (at.name("principal"), at.name("password"));
    let password = match (&spec.password, &spec.password_secret) {
        (Some(_), Some(_)) => {
            findings.invalid(&at_password, "write password or passwordSecret, not both");
            return None;
        }
        (None, Some(entry)) => Some(secret_entry(entry, &at.name("passwordSecret"), findings)),
        (Some(password), None) => Some(Password::Inline(password)),
        (None, None) => None,
    };
    let Some(principal) = spec.principal.as_deref() else {
        if password.is_some() {
            findings.invalid(&at_principal, "write the name that the password belongs to");
        }
        return password;
    };
    if principal.is_empty() {
        findings.invalid(&at_principal, "write at least one character, or leave it out");
    }
    length(principal, MAX_CREDENTIAL, &at_principal, findings);
    // What a secret has is looked at where it is looked up.
    let shown = match password {
        Some(Password::Inline(password)) => password,
        Some(Password::Entry { .. }) => "later",
        None => "",
    };
    length(shown, MAX_CREDENTIAL, &at_password, findings);
    if let Err(error) = syntax::credentials(protocol, principal, shown) {
        let at = match error {
            CredentialsError::PrincipalCharacters
            | CredentialsError::PrincipalColon
            | CredentialsError::PrincipalLength(_) => &at_principal,
            CredentialsError::PasswordCharacters
            | CredentialsError::PasswordLength(_)
            | CredentialsError::PasswordMissing => &at_password,
        };
        findings.invalid(at, error.to_string());
    }
    password
}

fn secret_entry<'a>(spec: &'a SecretEntry, at: &Field<'_>, findings: &mut Findings) -> Password<'a> {
    let SecretEntry { name, key } = spec;
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(is_name) {
        let message =
            format!("{name:?} is no name of a secret: write lower-case letters, digits, '-' and '.'");
        findings.invalid(&at.name("name"), message);
    }
    if key.is_empty() || !key.bytes().all(is_key) {
        let message = format!("{key:?} is no name of an entry: write letters, digits, '-', '_' and '.'");
        findings.invalid(&at.name("key"), message);
    }
    length(name, MAX_HOSTNAME, &at.name("name"), findings);
    length(key, MAX_HOSTNAME, &at.name("key"), findings);
    Password::Entry { name, key }
}

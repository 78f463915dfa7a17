//! A forward proxy between the worker and the targets of a backend.

use std::fmt;
use std::sync::Arc;

use dataplane_snapshot::wire;

use crate::passwords::Passwords;
use crate::target::host_text;
use crate::{Glob, TargetTls};

/// How a backend's targets are reached: each connection to one begins at the proxy, which is told where it should lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardProxy {
    pub protocol: wire::ProxyProtocol,
    /// To resolve, unless it is an address.
    pub host: Box<str>,
    pub port: u16,
    /// `None`: it is spoken to in clear text.
    pub tls: Option<Arc<TargetTls>>,
    pub credentials: Option<Credentials>,
    /// Lower-case.
    exceptions: Box<[Glob]>,
}

/// What a forward proxy is shown. Never shown otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub principal: Box<str>,
    pub password: Box<str>,
}

/// Why credentials can't be shown to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error("the principal has a control character")]
    PrincipalCharacters,
    #[error("the principal has a ':', which ends names in HTTP's Basic authentication")]
    PrincipalColon,
    #[error("the principal has more than {0} bytes")]
    PrincipalLength(usize),
    #[error("the password has a control character")]
    PasswordCharacters,
    #[error("the password has more than {0} bytes")]
    PasswordLength(usize),
    #[error("SOCKS5 takes no principal without a password")]
    PasswordMissing,
}

impl Credentials {
    /// SOCKS5 has room for 1 to 255 bytes of each (RFC 1929 section 2). HTTP's Basic authentication ends the principal at a
    /// `:`, and neither may have control characters (RFC 7617 section 2); so long ones fit into any proxy's head.
    pub fn new(
        protocol: wire::ProxyProtocol,
        principal: &str,
        password: &str,
    ) -> Result<Self, CredentialsError> {
        let is_socks = protocol == wire::ProxyProtocol::Socks5;
        let most = if is_socks { 255 } else { 1024 };
        if principal.chars().any(char::is_control) {
            return Err(CredentialsError::PrincipalCharacters);
        }
        if !is_socks && principal.contains(':') {
            return Err(CredentialsError::PrincipalColon);
        }
        if principal.len() > most {
            return Err(CredentialsError::PrincipalLength(most));
        }
        if password.chars().any(char::is_control) {
            return Err(CredentialsError::PasswordCharacters);
        }
        if password.len() > most {
            return Err(CredentialsError::PasswordLength(most));
        }
        if is_socks && password.is_empty() {
            return Err(CredentialsError::PasswordMissing);
        }
        Ok(Self { principal: principal.into(), password: password.into() })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl ForwardProxy {
    pub(crate) fn compile(proxy: &wire::ForwardProxy, passwords: &mut Passwords<'_>) -> Result<Self, String> {
        let protocol = wire::ProxyProtocol::try_from(proxy.protocol)
            .map_err(|_| format!("{} is no protocol that this version knows", proxy.protocol))?;
        host_text(&proxy.host)?;
        let port = u16::try_from(proxy.port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{} is not a port: write 1 to 65535", proxy.port))?;
        let exceptions = proxy.non_proxy_hosts.iter().map(|host| Glob::new(host.to_ascii_lowercase()));
        let is_secured = protocol == wire::ProxyProtocol::Https;
        Ok(Self {
            protocol,
            host: proxy.host.as_str().into(),
            port,
            tls: is_secured.then(|| Arc::new(TargetTls::of_the_system())),
            credentials: credentials(proxy, protocol, passwords)?,
            exceptions: exceptions.collect(),
        })
    }

    /// Whether connections to `hostname` go through the proxy.
    pub fn is_for(&self, hostname: &str) -> bool {
        let hostname = hostname.to_ascii_lowercase();
        !self.exceptions.iter().any(|exception| exception.matches(hostname.as_bytes()))
    }

    /// All that two proxies differ in, for a digest: connections through one can't stand in for those through the other.
    pub(crate) fn parts(&self) -> Vec<&str> {
        let shown = self.credentials.as_ref().map(|shown| [&*shown.principal, &*shown.password]);
        let has = if shown.is_some() { "credentials" } else { "" };
        let protocol = match self.protocol {
            wire::ProxyProtocol::Http => "http",
            wire::ProxyProtocol::Https => "https",
            wire::ProxyProtocol::Socks5 => "socks5",
        };
        let mut parts = vec![protocol, &self.host, has];
        parts.extend(shown.unwrap_or_default());
        parts.extend(self.exceptions.iter().map(Glob::source));
        parts
    }
}

fn credentials(
    proxy: &wire::ForwardProxy,
    protocol: wire::ProxyProtocol,
    passwords: &mut Passwords<'_>,
) -> Result<Option<Credentials>, String> {
    let password = match proxy.password.as_str() {
        "" => Box::default(),
        key => passwords.find(key)?,
    };
    if proxy.principal.is_empty() {
        return Ok(None);
    }
    let credentials = Credentials::new(protocol, &proxy.principal, &password);
    credentials.map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> wire::ForwardProxy {
        wire::ForwardProxy { host: "proxy.test".into(), port: 3128, ..Default::default() }
    }

    fn compile(proxy: &wire::ForwardProxy) -> Result<ForwardProxy, String> {
        ForwardProxy::compile(proxy, &mut Passwords::default())
    }

    #[test]
    fn hosts_can_be_excepted() {
        let non_proxy_hosts = vec!["*.Internal".to_owned(), "10.0.*".to_owned()];
        let compiled = compile(&wire::ForwardProxy { non_proxy_hosts, ..proxy() }).unwrap();
        let is_for = ["a.INTERNAL", "10.0.0.1", "internal", "10.1.0.0"].map(|host| compiled.is_for(host));
        assert_eq!(is_for, [false, false, true, true]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let named = |principal: &str| wire::ForwardProxy { principal: principal.into(), ..proxy() };
        for (bad, part) in [
            (wire::ForwardProxy { host: "a b".into(), ..proxy() }, "host name"),
            (wire::ForwardProxy { port: 0, ..proxy() }, "not a port"),
            (wire::ForwardProxy { protocol: 9, ..proxy() }, "protocol"),
            (named("a:b"), "':'"),
            (wire::ForwardProxy { password: "secret/default/a~proxy".into(), ..named("a") }, "password"),
            (wire::ForwardProxy { password: "route/default/a".into(), ..named("a") }, "not the key"),
        ] {
            let reason = compile(&bad).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn credentials_fit_what_the_proxy_speaks() {
        use wire::ProxyProtocol::{Http, Socks5};
        let (long, longer) = ("a".repeat(255), "é".repeat(128));
        for (protocol, principal, password, expected) in [
            (Http, "a", "", None),
            (Http, &*longer, &*longer, None),
            (Http, "a", "b:c", None),
            (Socks5, "a:b", "c", None),
            (Socks5, &*long, &*long, None),
            (Socks5, &*longer, "c", Some(CredentialsError::PrincipalLength(255))),
            (Socks5, "a", &*longer, Some(CredentialsError::PasswordLength(255))),
            (Socks5, "a", "", Some(CredentialsError::PasswordMissing)),
            (Http, "a:b", "c", Some(CredentialsError::PrincipalColon)),
            (Http, "a\r\nb", "c", Some(CredentialsError::PrincipalCharacters)),
            (Socks5, "a", "c\0", Some(CredentialsError::PasswordCharacters)),
        ] {
            let error = Credentials::new(protocol, principal, password).err();
            assert_eq!(error, expected, "{protocol:?} {principal} {password}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let credentials = Credentials { principal: "anna".into(), password: "hunter2".into() };
        assert_eq!(format!("{credentials:?}"), "Credentials(…)");
    }
}

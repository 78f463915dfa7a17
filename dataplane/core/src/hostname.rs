use std::fmt;

use smol_str::SmolStr;

/// Which hosts a route is for. The derived order is that of specificity only between kinds: exact, wildcard, any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host, lower-case.
    Exact(SmolStr),
    /// `*.suffix`: one or more labels before `.suffix`. Holds the suffix without its dot.
    Wildcard(SmolStr),
    Any,
}

/// Why a host name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("a host name is empty; leave the list empty for any host")]
    Empty,
    #[error("{0:?} is too long: a host name has at most 253 characters and each label at most 63")]
    TooLong(String),
    #[error("{0:?} has a `*` in the wrong place: it may only be the whole first label, as in *.example.com")]
    Wildcard(String),
    #[error("{0:?} names a port; write the host name alone and choose the port with a listener")]
    Port(String),
    #[error(
        "{0:?} is not a host name: write letters, digits, `-` and `_` in labels joined by dots, and other scripts in \
         their xn-- form"
    )]
    Characters(String),
}

impl HostPattern {
    /// `example.com`, `*.example.com`, an IP address (IPv6 in brackets), or `*` for any host. Upper case is lowered.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let name = text.to_ascii_lowercase();
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name == "*" {
            return Ok(Self::Any);
        }
        if is_bracketed_ipv6(&name) {
            return Ok(Self::Exact(name.into()));
        }
        let (wildcard, rest) = name.strip_prefix("*.").map_or((false, name.as_str()), |rest| (true, rest));
        check_labels(text, rest)?;
        Ok(if wildcard { Self::Wildcard(rest.into()) } else { Self::Exact(rest.into()) })
    }

    /// Whether `host` (lower-case, without port) is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(suffix) => host
                .strip_suffix(suffix.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
            Self::Any => true,
        }
    }
}

fn is_bracketed_ipv6(name: &str) -> bool {
    name.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn check_labels(text: &str, name: &str) -> Result<(), HostError> {
    let text = || text.to_owned();
    if name.contains('*') {
        return Err(HostError::Wildcard(text()));
    }
    if let Some((_, port)) = name.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(HostError::Port(text()));
    }
    if name.len() > 253 || name.split('.').any(|label| label.len() > 63) {
        return Err(HostError::TooLong(text()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.split('.').any(|label| label.is_empty() || !label.bytes().all(allowed)) {
        return Err(HostError::Characters(text()));
    }
    Ok(())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_matches() {
        let wildcard = HostPattern::parse("*.Example.com").unwrap();
        assert_eq!(wildcard.to_string(), "*.example.com");
        assert!(wildcard.matches("a.example.com") && wildcard.matches("a.b.example.com"));
        for host in ["example.com", ".example.com", "aexample.com", "a.example.com.x"] {
            assert!(!wildcard.matches(host), "{host}");
        }
        assert!(HostPattern::parse("[::1]").unwrap().matches("[::1]"));
        assert!(HostPattern::parse("*").unwrap().matches("anything"));
    }

    #[test]
    fn refuses_with_the_fitting_sentence() {
        let error = |text: &str| HostPattern::parse(text).unwrap_err();
        assert_eq!(error(""), HostError::Empty);
        for text in ["a.*.com", "*a.com", "**", "*.*"] {
            assert!(matches!(error(text), HostError::Wildcard(_)), "{text}");
        }
        assert!(matches!(error("example.com:80"), HostError::Port(_)));
        assert!(matches!(error(&"a".repeat(64)), HostError::TooLong(_)));
        for text in ["a..b", ".a", "a.", "caf\u{e9}.fr", "a b", "http://a", "a/b", "*."] {
            assert!(matches!(error(text), HostError::Characters(_)), "{text}");
        }
    }
}

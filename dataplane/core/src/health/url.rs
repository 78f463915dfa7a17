use std::net::IpAddr;

use crate::CompiledTarget;
use crate::target::host_text;

/// Where a check asks: a path, of every target, or one server's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckUrl {
    Path(Box<str>),
    Absolute {
        /// An IPv6 address is without brackets.
        host: Box<str>,
        port: u16,
        /// With the query, never empty.
        path: Box<str>,
        /// The scheme is https.
        secured: bool,
    },
}

/// Why a text is no [`CheckUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckUrlError {
    #[error("{0:?} is neither a path such as /health nor a URL such as http://users.example.com:8080/health")]
    Neither(Box<str>),
    #[error("it has {0} bytes: write at most {max}", max = CheckUrl::MAX_BYTES)]
    TooLong(usize),
    #[error(
        "write it without spaces, control characters and '#', and everything else than ASCII as %-escapes"
    )]
    Characters,
    #[error("{0:?} is no host with a port: write for instance users.example.com:8080")]
    Authority(Box<str>),
}

impl CheckUrl {
    /// The longest text, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// A URL is one of RFC 3986 with the scheme http or https, without user information and fragment. Without a port it is
    /// 80 or 443.
    pub fn parse(text: &str) -> Result<Self, CheckUrlError> {
        if text.len() > Self::MAX_BYTES {
            return Err(CheckUrlError::TooLong(text.len()));
        }
        // It becomes part of a request's first line.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(CheckUrlError::Characters);
        }
        if text.starts_with('/') {
            return Ok(Self::Path(text.into()));
        }
        match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Self::absolute(rest, false),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Self::absolute(rest, true),
            _ => Err(CheckUrlError::Neither(text.into())),
        }
    }

    fn absolute(rest: &str, secured: bool) -> Result<Self, CheckUrlError> {
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let error = || CheckUrlError::Authority(authority.into());
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| error())?),
            _ => (authority, if secured { 443 } else { 80 }),
        };
        let host = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').filter(|it| it.contains(':')).ok_or_else(error)?,
            None => Some(host).filter(|host| !host.contains(':')).ok_or_else(error)?,
        };
        host_text(host).map_err(|_| error())?;
        if port == 0 {
            return Err(error());
        }
        let path = if tail.starts_with('/') { tail.into() } else { format!("/{tail}").into() };
        Ok(Self::Absolute { host: host.into(), port, path, secured })
    }

    pub fn path(&self) -> &str {
        match self {
            Self::Path(path) | Self::Absolute { path, .. } => path,
        }
    }

    /// Whether its host and port are those of `target`, which then says itself whether it speaks TLS. A host is compared as
    /// it is written, without looking it up.
    pub(super) fn is_of(&self, target: &CompiledTarget) -> bool {
        match self {
            Self::Path(_) => true,
            Self::Absolute { host, port, .. } => {
                let address = |text: &str| text.parse::<IpAddr>().ok();
                let same = host.eq_ignore_ascii_case(&target.hostname)
                    || address(host).is_some_and(|it| Some(it) == address(&target.hostname));
                same && *port == target.port
            }
        }
    }
}

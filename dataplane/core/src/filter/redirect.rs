use dataplane_snapshot::wire;

use super::FilterError;
use crate::expression::push_query;
use crate::{PathPattern, RequestHead};

/// Where clients are redirected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    to: To,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Location(Box<str>),
    /// The URL of the request but for these.
    Edited {
        scheme: Option<&'static str>,
        host: Option<Box<str>>,
        port: Option<u16>,
        path: Path,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    Kept,
    Full(Box<str>),
    Prefix(Box<str>),
}

/// The request names no host, and the redirect doesn't either (HTTP/1.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the redirect keeps the host of the request, which names none")]
pub struct NoLocation;

impl Redirect {
    pub fn parse(redirect: &wire::Redirect) -> Result<Self, FilterError> {
        let status = u16::try_from(redirect.status).ok().filter(|it| matches!(it, 301..=303 | 307 | 308));
        let status = status.ok_or(FilterError::RedirectStatus(redirect.status))?;
        if !redirect.location.is_empty() {
            return Ok(Self { status, to: To::Location(location(&redirect.location)?.into()) });
        }
        let scheme = match &*redirect.scheme {
            "" => None,
            "http" => Some("http"),
            "https" => Some("https"),
            other => return Err(FilterError::Location(other.to_owned())),
        };
        let host = match &*redirect.hostname {
            "" => None,
            name if name.contains(':') && !name.starts_with('[') => {
                return Err(FilterError::Host(name.to_owned()));
            }
            name => Some(authority(name)?.into()),
        };
        let port = u16::try_from(redirect.port).map_err(|_| FilterError::Host(redirect.port.to_string()))?;
        let path = match (&redirect.full_path, &redirect.prefix) {
            (Some(full), _) => Path::Full(path(full)?.into()),
            (None, Some(prefix)) => Path::Prefix(path(prefix)?.into()),
            (None, None) => Path::Kept,
        };
        Ok(Self { status, to: To::Edited { scheme, host, port: (port != 0).then_some(port), path } })
    }

    /// Appends the value of `Location`. `pattern` is the one that the request met.
    pub fn write<H: RequestHead>(
        &self,
        head: &H,
        pattern: &PathPattern,
        out: &mut Vec<u8>,
    ) -> Result<(), NoLocation> {
        let (scheme, host, port, path) = match &self.to {
            To::Location(location) => {
                out.extend_from_slice(location.as_bytes());
                return Ok(());
            }
            To::Edited { scheme, host, port, path } => (scheme, host, port, path),
        };
        let (own_host, own_port) = split(head.authority());
        let host = host.as_deref().unwrap_or(own_host);
        if host.is_empty() {
            return Err(NoLocation);
        }
        let own_scheme = if head.secured() { "https" } else { "http" };
        let to_scheme = scheme.unwrap_or(own_scheme);
        for part in [to_scheme, "://", host] {
            out.extend_from_slice(part.as_bytes());
        }
        match (port, scheme) {
            (Some(port), _) if is_usual(to_scheme, *port) => {}
            (Some(port), _) => out.extend_from_slice(format!(":{port}").as_bytes()),
            // Another scheme is at another port.
            (None, Some(_)) => {}
            (None, None) => out.extend_from_slice(own_port.as_bytes()),
        }
        write_path(path, head.path(), pattern, out);
        if let Some(query) = head.query() {
            out.push(b'?');
            push_query(out, query);
        }
        Ok(())
    }
}

fn write_path(path: &Path, own: &str, pattern: &PathPattern, out: &mut Vec<u8>) {
    match path {
        Path::Kept => out.extend_from_slice(own.as_bytes()),
        Path::Full(full) => out.extend_from_slice(full.as_bytes()),
        Path::Prefix(prefix) => {
            let rest = pattern.rest(own).trim_start_matches('/');
            let prefix = if rest.is_empty() { prefix } else { prefix.trim_end_matches('/') };
            out.extend_from_slice(prefix.as_bytes());
            if !rest.is_empty() {
                out.push(b'/');
                out.extend_from_slice(rest.as_bytes());
            }
        }
    }
}

const fn is_usual(scheme: &str, port: u16) -> bool {
    matches!((scheme.len(), port), (4, 80) | (5, 443))
}

/// Host and port of an authority; the port with its colon.
fn split(authority: &str) -> (&str, &str) {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.split_at_checked(end).unwrap_or((authority, ""))
}

/// A host name or address, with or without a port.
pub fn authority(text: &str) -> Result<&str, FilterError> {
    let error = || FilterError::Host(text.to_owned());
    let (host, port) = split(text);
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    if !(is_address || !host.is_empty() && host.len() <= 253 && host.bytes().all(is_named)) {
        return Err(error());
    }
    match port.strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(text),
        None if port.is_empty() => Ok(text),
        _ => Err(error()),
    }
}

fn is_url_character(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~')
        && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`' | b'^' | b'{' | b'|' | b'}')
}

fn location(text: &str) -> Result<&str, FilterError> {
    let error = || FilterError::Location(text.to_owned());
    if !text.bytes().all(is_url_character) {
        return Err(error());
    }
    let after = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match after {
        Some(after) => {
            let end = after.find(['/', '?', '#']).unwrap_or(after.len());
            authority(after.get(..end).unwrap_or_default()).map_err(|_| error())?;
        }
        // Two slashes would lead to another host.
        None if text.starts_with('/') && !text.starts_with("//") => {}
        None => return Err(error()),
    }
    Ok(text)
}

fn path(text: &str) -> Result<&str, FilterError> {
    let good = text.starts_with('/')
        && text.bytes().all(|byte| is_url_character(byte) && !matches!(byte, b'?' | b'#'));
    if good { Ok(text) } else { Err(FilterError::Path(text.to_owned())) }
}

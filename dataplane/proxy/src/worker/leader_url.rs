use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// Where a leader listens: `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderUrl {
    https: bool,
    /// A name or an address; an IPv6 address without brackets.
    host: String,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaderUrlError {
    #[error("{0:?} is no URL of a leader: write http://host:port or https://host:port")]
    Malformed(String),
    #[error("{0:?}: credentials don't belong into the URL; set the client id and secret instead")]
    Credentials(String),
    #[error("{0:?}: a path is not supported; write http://host:port or https://host:port")]
    Path(String),
}

impl LeaderUrl {
    pub fn host(&self) -> &str {
        &self.host
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// What is sent there doesn't leave the machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Host and port as in the `Host` header.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Whether a name or an address is this machine for itself.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl FromStr for LeaderUrl {
    type Err = LeaderUrlError;

    fn from_str(text: &str) -> Result<Self, LeaderUrlError> {
        let malformed = || LeaderUrlError::Malformed(text.to_owned());
        let url: Uri = text.parse().map_err(|_| malformed())?;
        let authority = url.authority().ok_or_else(malformed)?;
        let https = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(malformed()),
        };
        if authority.as_str().contains('@') {
            return Err(LeaderUrlError::Credentials(text.to_owned()));
        }
        if url.path_and_query().is_some_and(|path| path != "/") {
            return Err(LeaderUrlError::Path(text.to_owned()));
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // A port that is no number isn't told apart from none by the parser.
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            None if authority.as_str() == authority.host() => {
                if https {
                    443
                } else {
                    80
                }
            }
            _ => return Err(malformed()),
        };
        if host.is_empty() {
            return Err(malformed());
        }
        Ok(Self { https, host: host.to_owned(), port })
    }
}

impl fmt::Display for LeaderUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_host_and_port() {
        for (text, host, port) in [
            ("http://127.0.0.1:9000", "127.0.0.1", 9000),
            ("http://leader.example:9000/", "leader.example", 9000),
            ("http://leader", "leader", 80),
            ("http://[::1]:9000", "::1", 9000),
            ("https://leader", "leader", 443),
            ("https://leader:9000", "leader", 9000),
        ] {
            let url: LeaderUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.is_https(), text.starts_with("https"), "{text}");
        }
        for text in ["http://[::1]:9000", "https://leader:9000"] {
            assert_eq!(text.parse::<LeaderUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_would_be_right() {
        for (text, part) in [
            ("leader:9000", "write http://host:port"),
            ("", "write http://host:port"),
            ("http://leader:0", "write http://host:port"),
            ("http://leader:99999", "write http://host:port"),
            ("ftp://leader", "write http://host:port"),
            ("http://id:secret@leader", "client id and secret"),
            ("http://leader/komainu", "a path is not supported"),
        ] {
            let error = text.parse::<LeaderUrl>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

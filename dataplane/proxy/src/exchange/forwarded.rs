use std::fmt::Write as _;

use http::HeaderValue;

/// The `Forwarded` field (RFC 7239) for a connection. It depends on the host only, which rarely changes between the
/// requests of one connection, so the last one is kept.
#[derive(Default)]
pub(crate) struct Forwarded {
    host: Vec<u8>,
    value: Option<HeaderValue>,
}

impl Forwarded {
    /// `peer` as [`crate::peer::Peer`] writes it; `host` may be empty.
    pub(crate) fn value(&mut self, peer: &str, host: &[u8]) -> Option<HeaderValue> {
        if self.value.is_none() || self.host != host {
            self.value = HeaderValue::try_from(element(peer, host)).ok();
            self.host.clear();
            self.host.extend_from_slice(host);
        }
        self.value.clone()
    }
}

fn element(peer: &str, host: &[u8]) -> String {
    let mut text = String::with_capacity(32 + peer.len() + host.len());
    // An IPv6 address has brackets and therefore quotes, and so has a host with a port (RFC 7239 section 6).
    let written =
        if peer.contains(':') { write!(text, "for=\"[{peer}]\"") } else { write!(text, "for={peer}") };
    debug_assert!(written.is_ok(), "writing to a string can't fail");
    if let (Ok(host), false) = (std::str::from_utf8(host), host.is_empty()) {
        let quote = if host.contains([':', '[']) { "\"" } else { "" };
        text.extend([";host=", quote, host, quote]);
    }
    text.push_str(";proto=http");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_is_no_token() {
        assert_eq!(element("1.2.3.4", b"a.test"), "for=1.2.3.4;host=a.test;proto=http");
        assert_eq!(element("::1", b"a.test:80"), "for=\"[::1]\";host=\"a.test:80\";proto=http");
        assert_eq!(element("1.2.3.4", b""), "for=1.2.3.4;proto=http");
    }

    #[test]
    fn follows_the_host() {
        let mut forwarded = Forwarded::default();
        assert_eq!(forwarded.value("1.2.3.4", b"a").unwrap(), "for=1.2.3.4;host=a;proto=http");
        assert_eq!(forwarded.value("1.2.3.4", b"b").unwrap(), "for=1.2.3.4;host=b;proto=http");
        assert_eq!(forwarded.value("1.2.3.4", b"b").unwrap(), "for=1.2.3.4;host=b;proto=http");
    }
}

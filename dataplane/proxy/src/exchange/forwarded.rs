use crate::http1::response::field;

/// What the proxy says about where a request came from: `X-Forwarded-*` and `Forwarded` (RFC 7239). For one connection it
/// depends on the host only, which rarely changes between its requests, so the text is made once per host.
#[derive(Default)]
pub(crate) struct Forwarded {
    host: Vec<u8>,
    /// The element of this hop in `Forwarded`.
    element: Vec<u8>,
    /// All five fields, for a client that isn't trusted.
    block: Vec<u8>,
}

impl Forwarded {
    /// Makes the text for a request. All but `host` are the connection's and never change.
    pub(crate) fn follow(&mut self, peer: &str, port: &str, scheme: &str, host: &[u8]) {
        if !self.block.is_empty() && self.host == host {
            return;
        }
        self.host.clear();
        self.host.extend_from_slice(host);
        self.element.clear();
        element(&mut self.element, peer, scheme, host);
        self.block.clear();
        field(&mut self.block, b"x-forwarded-for", peer.as_bytes());
        field(&mut self.block, b"x-forwarded-proto", scheme.as_bytes());
        field(&mut self.block, b"x-forwarded-port", port.as_bytes());
        if !host.is_empty() {
            field(&mut self.block, b"x-forwarded-host", host);
        }
        field(&mut self.block, b"forwarded", &self.element);
    }

    pub(crate) fn element(&self) -> &[u8] {
        &self.element
    }

    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }
}

/// Appends the element for `peer`, as [`crate::peer::Peer`] writes it; `host` may be empty.
fn element(out: &mut Vec<u8>, peer: &str, scheme: &str, host: &[u8]) {
    // An IPv6 address has brackets and therefore quotes, and so has a host with a port (RFC 7239 section 6).
    let (before, after): (&[u8], &[u8]) =
        if peer.contains(':') { (b"for=\"[", b"]\"") } else { (b"for=", b"") };
    for part in [before, peer.as_bytes(), after] {
        out.extend_from_slice(part);
    }
    if !host.is_empty() {
        let quote: &[u8] = if host.iter().any(|byte| matches!(byte, b':' | b'[')) { b"\"" } else { b"" };
        for part in [b";host=", quote, host, quote] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(peer: &str, host: &[u8]) -> String {
        let mut forwarded = Forwarded::default();
        forwarded.follow(peer, "80", "http", host);
        String::from_utf8(forwarded.element().to_vec()).unwrap()
    }

    #[test]
    fn quotes_what_is_no_token() {
        assert_eq!(text("1.2.3.4", b"a.test"), "for=1.2.3.4;host=a.test;proto=http");
        assert_eq!(text("::1", b"a.test:80"), "for=\"[::1]\";host=\"a.test:80\";proto=http");
        assert_eq!(text("1.2.3.4", b""), "for=1.2.3.4;proto=http");
    }

    #[test]
    fn follows_the_host() {
        let mut forwarded = Forwarded::default();
        for host in ["a", "b", "b", ""] {
            forwarded.follow("1.2.3.4", "80", "http", host.as_bytes());
            let host_fields = if host.is_empty() {
                "forwarded: for=1.2.3.4;proto=http\r\n".to_owned()
            } else {
                format!("x-forwarded-host: {host}\r\nforwarded: for=1.2.3.4;host={host};proto=http\r\n")
            };
            let front = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: http\r\nx-forwarded-port: 80\r\n";
            assert_eq!(forwarded.block(), format!("{front}{host_fields}").as_bytes());
        }
    }
}

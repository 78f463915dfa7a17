use super::characters;

/// The parts of a `Host` field or an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Without the port; an IPv6 address keeps its brackets. Never empty.
    pub host: &'a str,
    pub port: Option<u16>,
}

/// Reads `uri-host [":" port]` (RFC 9110 section 7.2). The host is a name of letters, digits, `-`, `.` and `_`, an IPv4
/// address, or an IPv6 address in brackets. `None`: anything else, also an empty host and user information.
pub fn parse(text: &[u8]) -> Option<Authority<'_>> {
    let (host, rest) = if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text)?;
        let (literal, rest) = text.split_at_checked(end + 1)?;
        let inside = literal.get(1..end)?;
        let _: std::net::Ipv6Addr = std::str::from_utf8(inside).ok()?.parse().ok()?;
        (literal, rest)
    } else {
        let end = memchr::memchr(b':', text).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        if !characters::is_host_name(name) || name.first() == Some(&b'.') {
            return None;
        }
        (name, rest)
    };
    let port = match rest.split_first() {
        None => None,
        Some((b':', digits)) => Some(port(digits)?),
        Some(_) => return None,
    };
    Some(Authority { host: std::str::from_utf8(host).ok()?, port })
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Authority<'_> {
    /// The same host and port, where `default_port` may be left out.
    pub fn agrees(&self, other: &Self, default_port: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_addresses_and_ports() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("a_b.Example.com.:8080", "a_b.Example.com.", Some(8080)),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("[::1]:443", "[::1]", Some(443)),
            ("[2001:db8::1]", "[2001:db8::1]", None),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(Authority { host, port }), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for text in [
            "",
            ":80",
            "a:",
            "a:x",
            "a:65536",
            "a:+1",
            "a:000080",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "a%20b",
            "[::1",
            "[]",
            "[::1]x",
            "[v1.x]",
            "a\\b",
            "é.fr",
            ".a",
            "a?b",
            "a#b",
            "[::1%eth0]",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}

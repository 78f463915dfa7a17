//! The PROXY protocol, versions 1 and 2: who the client is, said by a load balancer in front of the bytes of a connection
//! (haproxy.org, proxy-protocol.txt, revision of 2020). As strict as possible: what is no header isn't taken for a request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A header at the front of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// In bytes; what follows is the client's.
    pub len: usize,
    /// `None`: the connection is the load balancer's own, or it doesn't know.
    pub client: Option<SocketAddr>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("the connection doesn't begin with a header of the PROXY protocol")]
    None,
    #[error("the header of the PROXY protocol is malformed")]
    Malformed,
    #[error("the header of the PROXY protocol has more than {MAX_LEN} bytes")]
    TooLong,
}

/// The longest header of version 2 in bytes, whose extensions aren't read.
const MAX_LEN: usize = 2048;
/// The longest header of version 1, its line end included.
const MAX_LINE: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// Reads the header at the front of `bytes`. `None`: it isn't complete yet.
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let begins = |start: &[u8]| {
        let seen = bytes.len().min(start.len());
        bytes.get(..seen) == start.get(..seen)
    };
    if begins(SIGNATURE) {
        binary(bytes)
    } else if begins(LINE_START) {
        line(bytes)
    } else {
        Err(ProxyHeaderError::None)
    }
}

/// Version 1.
fn line(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let front = bytes.get(..bytes.len().min(MAX_LINE)).unwrap_or_default();
    let Some(newline) = memchr::memchr(b'\n', front) else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err(ProxyHeaderError::TooLong) };
    };
    let text = front.get(LINE_START.len()..newline).and_then(|text| text.strip_suffix(b"\r"));
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).ok_or(ProxyHeaderError::Malformed)?;
    let client = match text.split_once(' ').map_or((text, None), |(family, rest)| (family, Some(rest))) {
        // Whatever follows is to be ignored.
        ("UNKNOWN", _) => None,
        ("TCP4", Some(rest)) => Some(client::<Ipv4Addr>(rest).ok_or(ProxyHeaderError::Malformed)?),
        ("TCP6", Some(rest)) => Some(client::<Ipv6Addr>(rest).ok_or(ProxyHeaderError::Malformed)?),
        _ => return Err(ProxyHeaderError::Malformed),
    };
    Ok(Some(ProxyHeader { len: newline + 1, client }))
}

/// Both addresses and both ports, of which the client's are wanted.
fn client<A: std::str::FromStr + Into<IpAddr>>(text: &str) -> Option<SocketAddr> {
    let mut parts = text.split(' ');
    let (source, destination) = (parts.next()?.parse::<A>().ok()?, parts.next()?.parse::<A>().ok());
    let (source_port, destination_port) = (port(parts.next()?)?, port(parts.next()?));
    let complete = destination.is_some() && destination_port.is_some() && parts.next().is_none();
    complete.then(|| SocketAddr::new(source.into(), source_port))
}

/// A plain number without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let Some(fixed) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    let &[command, family, high, low] = fixed else { return Err(ProxyHeaderError::Malformed) };
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) {
        return Err(ProxyHeaderError::Malformed);
    }
    if len > MAX_LEN {
        return Err(ProxyHeaderError::TooLong);
    }
    let Some(rest) = bytes.get(FIXED..len) else { return Ok(None) };
    let client = match (command, family) {
        // The load balancer's own, for instance a health check; or a family that it doesn't tell.
        (0x20, _) | (_, 0x00) => None,
        (_, 0x11) => Some(addresses(rest).ok_or(ProxyHeaderError::Malformed)?),
        (_, 0x21) => Some(long_addresses(rest).ok_or(ProxyHeaderError::Malformed)?),
        _ => return Err(ProxyHeaderError::Malformed),
    };
    Ok(Some(ProxyHeader { len, client }))
}

/// Two IPv4 addresses and two ports.
fn addresses(bytes: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = bytes.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    with_port(Ipv4Addr::from(*source).into(), rest)
}

/// Two IPv6 addresses and two ports.
fn long_addresses(bytes: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = bytes.split_first_chunk::<16>()?;
    let (_, rest) = rest.split_first_chunk::<16>()?;
    with_port(Ipv6Addr::from(*source).into(), rest)
}

fn with_port(ip: IpAddr, rest: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = rest.split_first_chunk::<2>()?;
    rest.first_chunk::<2>()?;
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(bytes: &[u8]) -> Result<Option<Option<String>>, ProxyHeaderError> {
        let header = parse(bytes)?;
        Ok(header.map(|header| header.client.map(|client| client.to_string())))
    }

    fn with(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &len, rest].concat()
    }

    #[test]
    fn a_line_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 80\r\n", Some("192.0.2.1:56324")),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Some("[2001:db8::1]:1")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ff:: whatever 1 2\r\n", None),
        ] {
            assert_eq!(client(line.as_bytes()), Ok(Some(expected.map(str::to_owned))), "{line}");
        }
        let header = parse(b"PROXY TCP4 192.0.2.1 10.0.0.1 1 80\r\nGET / HTTP/1.1\r\n").unwrap().unwrap();
        assert_eq!(header.len, 36, "what follows is the client's");
    }

    #[test]
    fn a_line_that_can_be_read_in_two_ways_is_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 80\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 80 \r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.1 1 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 80 9\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 01 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +1 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n",
            "PROXY TCP4 192.0.2.1 nowhere 1 80\r\n",
            "PROXY TCP4 ::1 ::1 1 80\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 1 80\r\n",
            "PROXY TCP5 192.0.2.1 10.0.0.1 1 80\r\n",
            "PROXY TCP4\r\n",
        ] {
            assert_eq!(client(line.as_bytes()), Err(ProxyHeaderError::Malformed), "{line:?}");
        }
        for other in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXX", b"\r\n\r\nx", b"proxy TCP4"] {
            assert_eq!(parse(other), Err(ProxyHeaderError::None), "{other:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE));
        assert_eq!(parse(long.as_bytes()), Err(ProxyHeaderError::TooLong));
    }

    #[test]
    fn version_2_names_the_client() {
        let short = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let expected = Ok(Some(Some("192.0.2.1:4660".to_owned())));
        assert_eq!(client(&with(0x21, 0x11, &short)), expected);
        let extended = [&short[..], &[4, 0, 1, 9]].concat();
        assert_eq!(client(&with(0x21, 0x11, &extended)), expected, "extensions are passed over");
        let long = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &[0, 7, 0, 80]].concat();
        assert_eq!(client(&with(0x21, 0x21, &long)), Ok(Some(Some("[::1]:7".to_owned()))));
        assert_eq!(client(&with(0x20, 0x11, &short)), Ok(Some(None)), "the load balancer's own");
        assert_eq!(client(&with(0x21, 0x00, &[])), Ok(Some(None)));
        for bad in [
            with(0x11, 0x11, &short),
            with(0x22, 0x11, &short),
            with(0x21, 0x12, &short),
            with(0x21, 0x31, &[0; 216]),
            with(0x21, 0x11, &short[..11]),
            with(0x21, 0x21, &short),
        ] {
            assert_eq!(parse(&bad), Err(ProxyHeaderError::Malformed), "{bad:?}");
        }
        assert_eq!(parse(&with(0x21, 0x00, &[0; MAX_LEN])), Err(ProxyHeaderError::TooLong));
    }

    proptest! {
        /// However a header is cut, it is waited for, and what follows it is left alone.
        #[test]
        fn a_part_is_waited_for(line in any::<bool>(), cut in any::<prop::sample::Index>(), rest in prop::collection::vec(any::<u8>(), 0..9)) {
            let short = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
            let header = if line { b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n".to_vec() } else { with(0x21, 0x11, &short) };
            prop_assert_eq!(parse(&header[..cut.index(header.len())]), Ok(None));
            let client = Some("192.0.2.1:4660".parse().unwrap());
            let whole = [header.clone(), rest].concat();
            prop_assert_eq!(parse(&whole), Ok(Some(ProxyHeader { len: header.len(), client })));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..64), signed in any::<bool>()) {
            let bytes = if signed { [SIGNATURE, &bytes].concat() } else { bytes };
            if let Ok(Some(header)) = parse(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
        }
    }
}

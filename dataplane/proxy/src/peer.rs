use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::http1::fields;

/// The other end of a client connection, with what requests need of it made ready once.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// It is a proxy whose `X-Forwarded-*` and `Forwarded` fields are believed.
    pub(crate) trusted: bool,
    /// `ip` as a field value.
    pub(crate) text: Box<str>,
    /// The fields by which targets learn of its certificate, none if it has none or they aren't to learn of it. `None`:
    /// it wasn't asked for one.
    pub(crate) certificate: Option<Box<[u8]>>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, trusted: &[IpNet]) -> Self {
        let ip = address.ip().to_canonical();
        Self { ip, trusted: contains(trusted, ip), text: ip.to_string().into(), certificate: None }
    }

    /// The client of a request: the rightmost address of `X-Forwarded-For` that is no trusted proxy. An entry that is no
    /// address ends the search, since nothing to its left can be believed.
    pub(crate) fn client_ip<'a>(
        &self,
        forwarded_for: impl Iterator<Item = &'a [u8]>,
        trusted: &[IpNet],
    ) -> IpAddr {
        let mut client = self.ip;
        if !self.trusted {
            return client;
        }
        let values: Vec<&[u8]> = forwarded_for.flat_map(fields::list).collect();
        for value in values.into_iter().rev() {
            let Some(ip) = address(value) else { break };
            client = ip;
            if !contains(trusted, ip) {
                break;
            }
        }
        client
    }
}

fn contains(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// An address with or without a port, as proxies write it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    ip.or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let from = |peer: &str, lines: &[&str]| {
            let peer = Peer::new(format!("{peer}:1").parse().unwrap(), &trusted);
            peer.client_ip(lines.iter().map(|line| line.as_bytes()), &trusted).to_string()
        };
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.1.1.1", "[fd00::1]:80"]), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &["10.0.0.2,10.0.0.3"]), "10.0.0.2");
        assert_eq!(from("10.0.0.1", &["1.2.3.4, nonsense, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(from("9.9.9.9", &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(from("[::ffff:10.0.0.1]", &["1.2.3.4:99"]), "1.2.3.4");
    }
}

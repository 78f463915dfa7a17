use std::net::IpAddr;
use std::sync::Arc;

use dataplane_snapshot::{Key, wire};

use crate::ListenerTls;
use crate::certificates::Lookup;

/// Which of a router's listeners. It is only valid for that router; ask again by name after a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(crate) usize);

/// Where connections are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledListener {
    pub name: Box<str>,
    /// `None`: all addresses, IPv6 and IPv4.
    pub address: Option<IpAddr>,
    /// 0: any free one.
    pub port: u16,
    /// The port that clients see.
    pub advertised_port: u16,
    pub protocol: wire::ListenerProtocol,
    /// Each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Clients may speak HTTP/2.
    pub http2: bool,
    /// `None`: clear text.
    pub tls: Option<Arc<ListenerTls>>,
}

impl CompiledListener {
    pub(crate) fn compile(
        key: &Key,
        listener: &wire::Listener,
        lookup: &mut Lookup<'_>,
    ) -> Result<Self, String> {
        let address = match listener.address.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("the address {text:?} is not an IP address"))?),
        };
        let number =
            |port: u32| u16::try_from(port).map_err(|_| format!("{port} is not a port: at most 65535"));
        let port = number(listener.port)?;
        let advertised_port = match number(listener.advertised_port)? {
            0 => port,
            advertised => advertised,
        };
        let (protocol, tls) = match (wire::ListenerProtocol::try_from(listener.protocol), &listener.tls) {
            (Ok(protocol @ wire::ListenerProtocol::Http), None) => (protocol, None),
            (Ok(protocol @ wire::ListenerProtocol::Https), Some(tls)) => {
                (protocol, Some(Arc::new(ListenerTls::compile(tls, lookup)?)))
            }
            (Ok(wire::ListenerProtocol::Http | wire::ListenerProtocol::Https), _) => {
                return Err("TLS settings are for HTTPS, which needs them".to_owned());
            }
            _ => return Err(format!("{} is no protocol that this version knows", listener.protocol)),
        };
        let proxy_protocol = listener.proxy_protocol;
        let (name, http2) = (key.name().into(), !listener.http1_only);
        Ok(Self { name, address, port, advertised_port, protocol, proxy_protocol, http2, tls })
    }

    /// Takes the TLS settings of the listener with the same name in `previous` if they are the same ones.
    pub(crate) fn share_tls(&mut self, previous: &[Self]) {
        let earlier = previous.iter().find(|listener| listener.name == self.name);
        let earlier = earlier.and_then(|listener| listener.tls.as_ref());
        if let (Some(earlier), Some(tls)) = (earlier, &mut self.tls)
            && earlier.identity == tls.identity
        {
            *tls = Arc::clone(earlier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Certificates;

    #[test]
    fn reads_what_is_whole() {
        let key: Key = "listener/settings/http".parse().unwrap();
        let good = wire::Listener { address: "::1".into(), port: 8080, protocol: 1, ..Default::default() };
        let certificates = Certificates::default();
        let compile = |listener: &wire::Listener| {
            CompiledListener::compile(&key, listener, &mut Lookup::new(&certificates))
        };
        let listener = compile(&good).unwrap();
        assert_eq!((&*listener.name, listener.port, listener.advertised_port), ("http", 8080, 8080));
        for bad in [
            wire::Listener::default(),
            wire::Listener { address: "localhost".into(), ..good.clone() },
            wire::Listener { port: 65_536, ..good.clone() },
            wire::Listener { protocol: 9, ..good.clone() },
            wire::Listener { protocol: 2, ..good.clone() },
            wire::Listener { tls: Some(wire::ListenerTls::default()), ..good.clone() },
        ] {
            assert!(compile(&bad).is_err(), "{bad:?}");
        }
    }
}

use std::net::IpAddr;

use dataplane_snapshot::wire;
use ipnet::IpNet;

use super::FilterError;

/// Which clients are served, by their address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Empty: all.
    allow: Box<[IpNet]>,
    deny: Box<[IpNet]>,
}

impl Access {
    pub fn parse(access: &wire::AddressAccess) -> Result<Self, FilterError> {
        let networks =
            |texts: &[String]| texts.iter().map(|text| Self::network(text)).collect::<Result<_, _>>();
        Ok(Self { allow: networks(&access.allow)?, deny: networks(&access.deny)? })
    }

    /// An address or a network in CIDR notation.
    pub fn network(text: &str) -> Result<IpNet, FilterError> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| FilterError::Network(text.to_owned()))
    }

    /// `client` in its canonical form, so that an IPv4 address is one. What is denied isn't admitted by anything else.
    pub fn admits(&self, client: IpAddr) -> bool {
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

//! How the proxy looks names up, from the settings.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use dataplane_proxy::NameSettings;

use crate::settings::Dns;

/// In milliseconds: the unit of a time to live, and as long as a look-up may be good for.
const SECOND: u64 = 1_000;
const DAY: u64 = 24 * 3_600 * SECOND;

pub(super) fn settings(dns: &Dns) -> anyhow::Result<NameSettings> {
    let (min, max) = (dns.min_ttl, dns.max_ttl);
    for (key, ttl) in [("minTtl", min), ("maxTtl", max)] {
        let fits = (SECOND..=DAY).contains(&ttl.0);
        anyhow::ensure!(fits, "setting proxy.dns.{key}: {ttl} isn't possible, 1s to 24h are");
    }
    anyhow::ensure!(min.0 <= max.0, "setting proxy.dns.minTtl: {min} is longer than proxy.dns.maxTtl, {max}");
    let servers = dns.servers.iter().map(|text| server(text)).collect::<anyhow::Result<_>>()?;
    Ok(NameSettings { servers, min_ttl: min.duration(), max_ttl: max.duration(), ..NameSettings::default() })
}

fn server(text: &str) -> anyhow::Result<SocketAddr> {
    let alone = |_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or_else(alone).with_context(|| {
        format!(
            "setting proxy.dns.servers: {text:?} is neither an address nor one with a port as 10.0.0.10:53"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Millis;

    #[test]
    fn servers_are_addresses_with_a_port_or_without() {
        let servers = ["10.0.0.10", "10.0.0.10:5353", "fd00::1", "[fd00::1]:54"].map(str::to_owned).into();
        let names = settings(&Dns { servers, ..Dns::default() }).unwrap();
        let servers: Vec<_> = names.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.10:53", "10.0.0.10:5353", "[fd00::1]:53", "[fd00::1]:54"]);
        let error = settings(&Dns { servers: vec!["dns.test".to_owned()], ..Dns::default() }).unwrap_err();
        assert!(error.to_string().contains("\"dns.test\" is neither an address"), "{error}");
    }

    #[test]
    fn times_to_live_have_bounds_and_an_order() {
        let of = |min, max| settings(&Dns { min_ttl: Millis(min), max_ttl: Millis(max), ..Dns::default() });
        assert_eq!(of(1_000, 300_000).unwrap(), NameSettings::default());
        for (min, max, said) in [
            (999, 300_000, "proxy.dns.minTtl: 999ms isn't possible"),
            (1_000, DAY + 1, "proxy.dns.maxTtl"),
            (3_000, 2_000, "minTtl: 3s is longer than proxy.dns.maxTtl, 2s"),
        ] {
            let error = of(min, max).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}

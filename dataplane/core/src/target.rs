use std::net::IpAddr;
use std::sync::Arc;

use dataplane_snapshot::{Key, wire};
use sha2::{Digest as _, Sha256};

use crate::balance::{Warmth, spread};
use crate::certificates::Lookup;
use crate::connections;
use crate::predicate::Predicate;
use crate::{BackendStates, Choice, RequestHead, TargetState, TargetTls};

/// One server that requests can be sent to.
#[derive(Debug)]
pub struct CompiledTarget {
    pub id: Box<str>,
    /// Its place among the backend's targets.
    pub(crate) position: u16,
    /// To resolve, unless there is an address.
    pub hostname: Box<str>,
    pub port: u16,
    pub ip_address: Option<IpAddr>,
    pub protocol: wire::Protocol,
    /// `None`: clear text.
    pub tls: Option<Arc<TargetTls>>,
    /// 0: drained, gets no new requests.
    pub(crate) weight: u32,
    /// Only for when no target without this is available.
    pub(crate) backup: bool,
    /// It is in the worker's own zone, and goes before those that aren't.
    pub(crate) near: bool,
    predicate: Predicate,
    /// Names it to clients that have to come back, and is what its share of keys goes by. Made of the backend's key and the
    /// target's id, so that all workers have the same.
    pub(crate) token: u64,
    /// What distinguishes it for connections.
    pub(crate) place: u128,
    /// The `Host` of requests that don't keep the client's: host name, and the port unless it is 80, or 443 with TLS.
    pub host_header: Box<str>,
    pub state: Arc<TargetState>,
}

impl CompiledTarget {
    /// Whether the target is one for such a request at all, whatever its state.
    pub(crate) fn takes_part<H: RequestHead>(&self, head: &H) -> bool {
        self.weight > 0 && self.predicate.holds(head)
    }

    /// Whether nothing speaks against the target. What asks this is a primary, or there is none.
    #[inline]
    pub(crate) fn takes<H: RequestHead>(&self, choice: &Choice<'_, H>) -> bool {
        self.state.is_eligible(choice.now)
            && self.takes_part(choice.head)
            && self.is_warm(choice)
            && !choice.tried.contains(self)
    }

    /// Whether the target takes a request that drew this number, although it came back not long ago.
    pub(crate) fn is_warm<H>(&self, choice: &Choice<'_, H>) -> bool {
        self.state.warmth.takes(choice.now, spread(choice.random ^ u64::from(self.position)))
    }

    /// Its weight, less while it came back not long ago.
    pub(crate) fn warm_weight<H>(&self, choice: &Choice<'_, H>) -> f64 {
        f64::from(self.weight) * f64::from(self.state.warmth.share(choice.now)) / f64::from(Warmth::FULL)
    }

    pub(crate) fn compile(
        backend: &Key,
        position: u16,
        target: &wire::Target,
        states: &BackendStates,
        lookup: &mut Lookup<'_>,
    ) -> Result<Self, String> {
        if target.id.is_empty() {
            return Err("it has no id".to_owned());
        }
        let port = u16::try_from(target.port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{} is not a port: write 1 to 65535", target.port))?;
        let ip_address = match target.ip_address.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("the address {text:?} is not an IP address"))?),
        };
        let protocol = wire::Protocol::try_from(target.protocol)
            .map_err(|_| format!("{} is no protocol that this version knows", target.protocol))?;
        let tls = target.tls.as_ref().map(|tls| TargetTls::compile(tls, lookup)).transpose();
        let tls = tls.map_err(|reason| format!("tls: {reason}"))?.map(Arc::new);
        let default_port = if tls.is_some() { 443 } else { 80 };
        let host_header = host_header(&target.hostname, port, default_port)?;
        let location = states.location();
        Ok(Self {
            id: target.id.as_str().into(),
            position,
            hostname: target.hostname.as_str().into(),
            port,
            ip_address,
            protocol,
            tls,
            weight: target.weight,
            backup: target.backup,
            near: !target.zone.is_empty() && target.zone == location.zone,
            predicate: Predicate::parse(target.predicate.as_ref(), &location)?,
            token: token(backend, &target.id),
            place: connections::place(target),
            host_header: host_header.into(),
            state: states.target(backend, &target.id),
        })
    }
}

/// A client that sees it can't tell the target's id from it, nor the token of another target whose id it doesn't know.
fn token(backend: &Key, id: &str) -> u64 {
    let digest = Sha256::digest(format!("komainu target\0{backend}\0{id}"));
    digest.iter().take(8).fold(0, |token, byte| token << 8 | u64::from(*byte))
}

/// The `Host` of requests to a server: host name, and the port unless it is the default one.
pub(crate) fn host_header(hostname: &str, port: u16, default_port: u16) -> Result<String, String> {
    let host = host_text(hostname)?;
    Ok(if port == default_port { host } else { format!("{host}:{port}") })
}

/// The host name as it stands in a `Host` field. It is written into request heads, so nothing else may be in it.
pub(crate) fn host_text(hostname: &str) -> Result<String, String> {
    if hostname.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(format!("[{hostname}]"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if hostname.is_empty() || hostname.len() > 253 || !hostname.bytes().all(allowed) {
        return Err(format!("{hostname:?} is not a host name or an IP address"));
    }
    Ok(hostname.to_owned())
}

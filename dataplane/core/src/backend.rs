use std::net::IpAddr;
use std::sync::Arc;

use dataplane_snapshot::{Key, wire};
use rustc_hash::FxHashSet;

use crate::balance::{Candidates, Panic, spread};
use crate::state::Cursor;
use crate::timeouts::TimeoutRules;
use crate::{BackendStates, Choice, RequestHead, Root, Schedule, TargetState, Timeouts};

/// A backend with its targets, ready for requests.
#[derive(Debug)]
pub struct CompiledBackend {
    pub key: Key,
    pub root: Root,
    timeouts: TimeoutRules,
    panic: Panic,
    targets: Arc<Targets>,
}

/// What a backend's Endpoints give.
#[derive(Debug)]
pub(crate) struct Targets {
    list: Box<[CompiledTarget]>,
    /// The turns of primaries, or of backups if there is nothing else.
    schedule: Schedule,
    cursor: Arc<Cursor>,
}

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
    /// 0: drained, gets no new requests.
    pub(crate) weight: u32,
    /// Only for when no target without this is available.
    pub(crate) backup: bool,
    /// The `Host` of requests that don't keep the client's: host name, and the port unless it is 80.
    pub host_header: Box<str>,
    pub state: Arc<TargetState>,
}

impl CompiledBackend {
    /// The timeouts for this request: those of the first custom pattern that matches its path with its query.
    pub fn timeouts<H: RequestHead>(&self, head: &H) -> &Timeouts {
        self.timeouts.of(head.path(), head.query())
    }

    pub fn targets(&self) -> &[CompiledTarget] {
        &self.targets.list
    }

    /// The target to send the request to next; `None` if there is none that takes it.
    pub fn pick<H: RequestHead>(&self, choice: &Choice<'_, H>) -> Option<&CompiledTarget> {
        self.targets.next(self.panic, choice)
    }

    pub(crate) fn compile(key: Key, backend: &wire::Backend, targets: Arc<Targets>) -> Result<Self, String> {
        let policy = backend.load_balancing.as_ref().map_or(0, |balancing| balancing.policy);
        if wire::LoadBalancingPolicy::try_from(policy).is_err() {
            return Err(format!("{policy} is no load balancing that this version knows"));
        }
        let root = Root::parse(&backend.root, backend.rewrite).map_err(|error| format!("root: {error}"))?;
        let timeouts = TimeoutRules::parse(backend.client.as_ref())?;
        let panic = backend.panic_threshold.map_or(Panic::NoneHealthy, Panic::Below);
        Ok(Self { key, root, timeouts, panic, targets })
    }

    /// The same backend with other targets.
    pub(crate) fn with_targets(&self, targets: Arc<Targets>) -> Self {
        Self {
            key: self.key.clone(),
            root: self.root.clone(),
            timeouts: self.timeouts.clone(),
            panic: self.panic,
            targets,
        }
    }
}

impl Targets {
    /// `backend` is the key under which the states of the targets are kept.
    pub(crate) fn compile(
        backend: &Key,
        endpoints: &wire::Endpoints,
        states: &BackendStates,
    ) -> Result<Self, String> {
        if endpoints.targets.len() > Schedule::MAX_ENTRIES {
            return Err(format!("more than {} targets", Schedule::MAX_ENTRIES));
        }
        let mut ids = FxHashSet::default();
        let mut list = Vec::with_capacity(endpoints.targets.len());
        for (index, target) in (0_u16..).zip(&endpoints.targets) {
            let at = |reason: String| format!("targets[{index}]: {reason}");
            if !ids.insert(&target.id) {
                return Err(at(format!("the id {:?} comes twice", target.id)));
            }
            list.push(CompiledTarget::compile(backend, index, target, states).map_err(at)?);
        }
        let backup = !list.iter().any(|target| !target.backup && target.weight > 0);
        let turns = |target: &CompiledTarget| if target.backup == backup { target.weight } else { 0 };
        let schedule = Schedule::new(list.iter().map(turns));
        Ok(Self { list: list.into(), schedule, cursor: states.cursor(backend) })
    }

    /// The target whose turn it is, by weighted round robin over all threads. Those that don't take the request lose
    /// their turn, so that the others share it by weight.
    fn next<H: RequestHead>(&self, panic: Panic, choice: &Choice<'_, H>) -> Option<&CompiledTarget> {
        let first = self.turn()?;
        if first.takes(choice) {
            return Some(first);
        }
        let candidates = Candidates::find(&self.list, panic, choice).warm(choice);
        if candidates.contains(first) {
            return Some(first);
        }
        let lost_turns = if candidates.are_like(first) { Self::LOST_TURNS } else { 0 };
        std::iter::repeat_with(|| self.turn())
            .take(lost_turns)
            .flatten()
            .find(|target| candidates.contains(target))
            .or_else(|| candidates.by_weight(choice.random))
    }

    /// How many turns are looked at before one of few candidates is drawn by weight.
    const LOST_TURNS: usize = 32;

    fn turn(&self) -> Option<&CompiledTarget> {
        self.list.get(self.schedule.at(self.cursor.advance())?)
    }

    /// No target at all, as long as a backend's Endpoints are missing or held.
    pub(crate) fn none(backend: &Key, states: &BackendStates) -> Self {
        Self { list: Box::default(), schedule: Schedule::default(), cursor: states.cursor(backend) }
    }
}

impl CompiledTarget {
    /// Whether the target is one for such a request at all, whatever its state.
    pub(crate) fn takes_part<H: RequestHead>(&self, _: &H) -> bool {
        self.weight > 0
    }

    /// Whether nothing speaks against the target. What asks this is a primary, or there is none.
    #[inline]
    fn takes<H: RequestHead>(&self, choice: &Choice<'_, H>) -> bool {
        self.state.is_eligible(choice.now)
            && self.takes_part(choice.head)
            && self.is_warm(choice)
            && !choice.tried.contains(self)
    }

    /// Whether the target takes a request that drew this number, although it came back not long ago.
    pub(crate) fn is_warm<H>(&self, choice: &Choice<'_, H>) -> bool {
        self.state.warmth.takes(choice.now, spread(choice.random ^ u64::from(self.position)))
    }

    fn compile(
        backend: &Key,
        position: u16,
        target: &wire::Target,
        states: &BackendStates,
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
        let host = host_text(&target.hostname)?;
        let host_header = if port == 80 { host } else { format!("{host}:{port}") };
        Ok(Self {
            id: target.id.as_str().into(),
            position,
            hostname: target.hostname.as_str().into(),
            port,
            ip_address,
            protocol,
            weight: target.weight,
            backup: target.backup,
            host_header: host_header.into(),
            state: states.target(backend, &target.id),
        })
    }
}

/// The host name as it stands in a `Host` field. It is written into request heads, so nothing else may be in it.
fn host_text(hostname: &str) -> Result<String, String> {
    if hostname.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(format!("[{hostname}]"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if hostname.is_empty() || hostname.len() > 253 || !hostname.bytes().all(allowed) {
        return Err(format!("{hostname:?} is not a host name or an IP address"));
    }
    Ok(hostname.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Head, target};
    use crate::{Moment, Tried};

    fn compile(targets: Vec<wire::Target>) -> Result<CompiledBackend, String> {
        sample::compiled_backend(&wire::Backend::default(), targets)
    }

    fn pick(backend: &CompiledBackend) -> Option<&str> {
        let (head, tried) = (&Head::get("/"), &Tried::default());
        backend.pick(&Choice { head, tried, now: Moment::default(), random: 0 }).map(|target| &*target.id)
    }

    #[test]
    fn picks_by_weight() {
        let backend = compile(vec![target("a", 1), target("b", 0), target("c", 2)]).unwrap();
        let picks: Vec<_> = (0..6).map(|_| pick(&backend).unwrap()).collect();
        assert_eq!(picks, ["c", "a", "c", "c", "a", "c"]);
        assert!(pick(&compile(vec![target("a", 0)]).unwrap()).is_none());
        assert!(pick(&compile(vec![]).unwrap()).is_none());
    }

    #[test]
    fn host_header_names_unusual_ports() {
        let of = |hostname: &str, port| {
            let target = wire::Target { hostname: hostname.into(), port, ..target("a", 1) };
            compile(vec![target]).unwrap().targets()[0].host_header.to_string()
        };
        assert_eq!(of("a.test", 80), "a.test");
        assert_eq!(of("a.test", 8080), "a.test:8080");
        assert_eq!(of("::1", 8080), "[::1]:8080");
    }

    #[test]
    fn refuses_targets_that_are_not_whole() {
        for bad in [
            wire::Target::default(),
            wire::Target { id: String::new(), ..target("a", 1) },
            wire::Target { port: 0, ..target("a", 1) },
            wire::Target { port: 70_000, ..target("a", 1) },
            wire::Target { hostname: "a\r\nb".into(), ..target("a", 1) },
            wire::Target { ip_address: "x".into(), ..target("a", 1) },
            wire::Target { protocol: 9, ..target("a", 1) },
        ] {
            let reason = compile(vec![bad.clone()]).unwrap_err();
            assert!(reason.starts_with("targets[0]: "), "{reason}");
        }
        assert!(compile(vec![target("a", 1), target("a", 1)]).is_err());
    }
}

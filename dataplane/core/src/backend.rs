use std::sync::Arc;

use dataplane_snapshot::{Key, wire};
use rustc_hash::FxHashSet;

use crate::balance::{Candidates, Panic, Policy, is_disbelieved};
use crate::certificates::Lookup;
use crate::health::HealthCheck;
use crate::passwords::Passwords;
use crate::resilience::Resilience;
use crate::state::Cursor;
use crate::timeouts::TimeoutRules;
use crate::{
    BackendStates, Choice, CompiledTarget, Connections, Moment, RequestHead, Root, Schedule, Timeouts,
};

/// A backend with its targets, ready for requests.
#[derive(Debug)]
pub struct CompiledBackend {
    pub key: Key,
    pub root: Root,
    pub connections: Connections,
    timeouts: TimeoutRules,
    policy: Policy,
    panic: Panic,
    pub(crate) resilience: Resilience,
    health_check: Option<Arc<HealthCheck>>,
    targets: Arc<Targets>,
}

/// What a backend's Endpoints give.
#[derive(Debug)]
pub(crate) struct Targets {
    list: Box<[CompiledTarget]>,
    /// The turns of primaries, or of backups if there is nothing else; only of those that are near, if some are.
    schedule: Schedule,
    cursor: Arc<Cursor>,
}

impl CompiledBackend {
    /// The timeouts for this request: those of the first custom pattern that matches its path with its query.
    pub fn timeouts<H: RequestHead>(&self, head: &H) -> &Timeouts {
        self.timeouts.of(head.path(), head.query())
    }

    pub fn targets(&self) -> &[CompiledTarget] {
        &self.targets.list
    }

    pub fn health_check(&self) -> Option<&Arc<HealthCheck>> {
        self.health_check.as_ref()
    }

    /// The target to send the request to next; `None` if there is none that takes it.
    pub fn pick<H: RequestHead>(&self, choice: &Choice<'_, H>) -> Option<&CompiledTarget> {
        let targets = &*self.targets;
        match &self.policy {
            Policy::RoundRobin => targets.next(self.panic, choice),
            policy => {
                let candidates = Candidates::find(&targets.list, self.panic, choice);
                policy.pick(candidates, choice).or_else(|| targets.next(self.panic, choice))
            }
        }
    }

    /// Whether so many targets fail their health checks that they get requests all the same, as the panic threshold says.
    pub fn disbelieves_health(&self, now: Moment) -> bool {
        is_disbelieved(self.targets(), self.panic, now)
    }

    /// Whether it matters how fast targets answer; see [`Latency::observe`](crate::Latency::observe).
    pub fn measures(&self) -> bool {
        self.policy.measures()
    }

    /// Appends the field of the response's head that brings the client back to the target which answers, if there is one.
    pub fn write_cookie<H: RequestHead>(&self, head: &H, target: &CompiledTarget, out: &mut Vec<u8>) {
        if let Policy::Sticky(sticky) = &self.policy {
            sticky.write(head, target, out);
        }
    }

    pub(crate) fn compile(
        key: Key,
        backend: &wire::Backend,
        targets: Arc<Targets>,
        states: &BackendStates,
        passwords: &mut Passwords<'_>,
    ) -> Result<Self, String> {
        let policy = Policy::parse(&key, backend.load_balancing.as_ref())
            .map_err(|error| format!("load balancing: {error}"))?;
        let root = Root::parse(&backend.root, backend.rewrite).map_err(|error| format!("root: {error}"))?;
        let timeouts = TimeoutRules::parse(backend.client.as_ref())?;
        let connections = Connections::compile(&key, backend.client.as_ref(), passwords)?;
        let panic = backend.panic_threshold.map_or(Panic::NoneHealthy, Panic::Below);
        let resilience = Resilience::compile(&key, backend.client.as_ref(), states)?;
        let health_check = backend.health_check.as_deref().map(HealthCheck::compile).transpose();
        let health_check = health_check.map_err(|reason| format!("healthCheck: {reason}"))?.map(Arc::new);
        Ok(Self { key, root, connections, timeouts, policy, panic, resilience, health_check, targets })
    }

    /// The same backend with other targets.
    pub(crate) fn with_targets(&self, targets: Arc<Targets>) -> Self {
        Self {
            key: self.key.clone(),
            root: self.root.clone(),
            connections: self.connections.clone(),
            timeouts: self.timeouts.clone(),
            policy: self.policy.clone(),
            panic: self.panic,
            resilience: self.resilience.clone(),
            health_check: self.health_check.clone(),
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
        lookup: &mut Lookup<'_>,
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
            list.push(CompiledTarget::compile(backend, index, target, states, lookup).map_err(at)?);
        }
        let backup = !list.iter().any(|target| !target.backup && target.weight > 0);
        let near = list.iter().any(|target| target.near && target.backup == backup && target.weight > 0);
        let has_turns = |target: &CompiledTarget| target.backup == backup && (target.near || !near);
        let turns = |target: &CompiledTarget| if has_turns(target) { target.weight } else { 0 };
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

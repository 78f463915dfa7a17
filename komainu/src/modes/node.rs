//! What this process tells about itself in the list of members.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dataplane_core::health::{Colour, Standing};
use dataplane_core::report::{Delivery, Levels, Reporting, STEP};
use dataplane_proxy::worker::Look;
use dataplane_proxy::{Proxy, Recent, Stats, TargetHealth};
use dataplane_snapshot::Key;
use dataplane_snapshot::wire::{Node, TargetBreaker, TargetLevel, TargetStanding, Usage};
use operator_core::reports::{Report, Taken};
use operator_core::session::Identity;
use operator_server::cluster::Cluster;

use super::whereabouts::Whereabouts;
use crate::observe::process;
use crate::settings::{Settings, fingerprint};

/// Rates are means over this time at least, and twice as long at most.
const WINDOW: Duration = Duration::from_secs(5);

/// What doesn't change while the process runs, and its rates.
pub(super) struct Observer {
    /// But for where it runs.
    node: Node,
    whereabouts: Arc<Whereabouts>,
    started: Instant,
    readings: Mutex<[Reading; 2]>,
}

/// At one moment.
#[derive(Clone)]
struct Reading {
    at: Instant,
    cpu: Duration,
    stats: Stats,
}

impl Observer {
    pub(super) fn new(settings: &Settings, whereabouts: Arc<Whereabouts>) -> Self {
        let node = Node {
            mode: settings.cluster.mode.as_str().to_owned(),
            location: None,
            admin: format!("{}:{}", settings.admin.address, settings.admin_port()),
            listeners: BTreeMap::new(),
            settings_hash: fingerprint(settings),
            started_at: millis(SystemTime::now()),
        };
        let first = Reading { at: Instant::now(), cpu: process::cpu_time(), stats: Stats::default() };
        Self { node, whereabouts, started: first.at, readings: Mutex::new([first.clone(), first]) }
    }

    /// Without a proxy: this is a leader alone.
    pub(super) fn look(&self, proxy: Option<&Proxy>) -> (Node, Usage) {
        let listeners = proxy.map(|proxy| {
            proxy.addresses().into_iter().map(|(name, address)| (name, address.to_string())).collect()
        });
        let location = Some(self.whereabouts.on_wire());
        let node = Node { listeners: listeners.unwrap_or_default(), location, ..self.node.clone() };
        let stats = proxy.map(Proxy::stats).unwrap_or_default();
        (node, self.usage(Reading { at: Instant::now(), cpu: process::cpu_time(), stats }))
    }

    /// The same with how the targets are.
    pub(super) fn levels(&self, proxy: &Proxy) -> Levels {
        let (node, usage) = self.look(Some(proxy));
        Levels::new(node, usage, targets(proxy.health(), proxy.open_breakers()))
    }

    fn usage(&self, now: Reading) -> Usage {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let [older, newer] = &mut *readings;
        if now.at.saturating_duration_since(newer.at) >= WINDOW {
            *older = std::mem::replace(newer, now.clone());
        }
        let elapsed = now.at.saturating_duration_since(older.at);
        let recent = Recent::between(&older.stats, &now.stats, elapsed);
        let cores = now.cpu.saturating_sub(older.cpu).as_secs_f64() / elapsed.as_secs_f64();
        Usage {
            uptime: whole_millis(now.at.saturating_duration_since(self.started)),
            requests_per_second: recent.requests_per_second,
            mean_latency: whole_micros(recent.mean),
            p99_latency: whole_micros(recent.p99),
            cores: if cores.is_finite() { cores } else { 0.0 },
            memory: process::memory(),
        }
    }
}

/// A target that isn't checked is only told of while its breaker is open.
fn targets(checked: Vec<TargetHealth>, open: Vec<(Key, Box<str>)>) -> Vec<TargetLevel> {
    let mut levels: BTreeMap<(Key, Box<str>), TargetLevel> = BTreeMap::new();
    for health in checked {
        let level = level(&health);
        levels.insert((health.backend, health.target), level);
    }
    for subject in open {
        let unchecked = || TargetLevel {
            backend: subject.0.to_string(),
            target: subject.1.to_string(),
            ..TargetLevel::default()
        };
        levels.entry(subject.clone()).or_insert_with(unchecked).breaker = TargetBreaker::Open.into();
    }
    levels.into_values().collect()
}

fn level(health: &TargetHealth) -> TargetLevel {
    let standing = match health.standing {
        Standing::NotChecked => TargetStanding::NotChecked,
        Standing::In => TargetStanding::In,
        Standing::Out => TargetStanding::Out,
    };
    TargetLevel {
        backend: health.backend.to_string(),
        target: health.target.to_string(),
        standing: standing.into(),
        since: millis(health.since),
        reason: if health.colour == Colour::Green { String::new() } else { health.reason.clone() },
        breaker: TargetBreaker::Closed.into(),
        gone: false,
    }
}

fn millis(time: SystemTime) -> u64 {
    whole_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// For reports of a worker.
pub(super) fn look(observer: &Arc<Observer>, proxy: &Arc<Proxy>) -> Look {
    let (observer, proxy) = (observer.clone(), proxy.clone());
    Arc::new(move || observer.levels(&proxy))
}

/// Reports to the leader in this process, as often as a worker does to another one, for as long as the process runs.
pub(super) async fn tell(cluster: Arc<Cluster>, identity: Identity, look: Look) {
    let started = Instant::now();
    let mut reporting = Reporting::default();
    let mut step = tokio::time::interval(STEP);
    loop {
        step.tick().await;
        let Some(report) = reporting.next(look(), started.elapsed()) else { continue };
        let sequence = report.sequence;
        let taken = Report::from_wire(report).ok().and_then(|report| cluster.take(identity.clone(), report));
        let delivery = match taken {
            Some(Taken::Taken | Taken::Late) => Delivery::Taken,
            Some(Taken::Gap) => Delivery::Gap,
            None => Delivery::Failed,
        };
        reporting.delivered(sequence, delivery, started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(target: &str, standing: Standing, colour: Colour) -> TargetHealth {
        TargetHealth {
            backend: "backend/default/users".parse().unwrap(),
            target: target.into(),
            standing,
            colour,
            reason: "status 503".to_owned(),
            since: UNIX_EPOCH + Duration::from_millis(7),
        }
    }

    #[test]
    fn targets_are_told_with_their_breakers() {
        let checked = vec![health("a", Standing::In, Colour::Green), health("b", Standing::Out, Colour::Red)];
        let key: Key = "backend/default/users".parse().unwrap();
        let open = vec![(key.clone(), "b".into()), (key, "c".into())];
        let levels = targets(checked, open);
        let told: Vec<_> = levels
            .iter()
            .map(|level| (&*level.target, level.standing(), level.breaker(), &*level.reason, level.since))
            .collect();
        let expected = [
            ("a", TargetStanding::In, TargetBreaker::Closed, "", 7),
            ("b", TargetStanding::Out, TargetBreaker::Open, "status 503", 7),
            ("c", TargetStanding::NotChecked, TargetBreaker::Open, "", 0),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn rates_are_means_over_the_window() {
        let observer = Observer::new(&Settings::default(), Whereabouts::new(&Settings::default()));
        let begin = observer.started;
        let cpu = observer.readings.lock().unwrap()[0].cpu;
        let at = |seconds: u64, requests: u64| {
            let mut stats = Stats { duration_micros: requests * 400, ..Stats::default() };
            stats.durations[0] = requests;
            let passed = Duration::from_secs(seconds);
            Reading { at: begin + passed, cpu: cpu + passed / 2, stats }
        };
        let usage = observer.usage(at(5, 50));
        assert_eq!((usage.requests_per_second, usage.cores, usage.uptime), (10.0, 0.5, 5_000));
        assert_eq!(usage.mean_latency, 400);
        assert_eq!(observer.usage(at(9, 450)).requests_per_second, 50.0, "since the beginning");
        assert_eq!(observer.usage(at(10, 550)).requests_per_second, 100.0, "since 5 s ago");
        assert!(usage.memory > 0);
    }
}

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dataplane_snapshot::Kind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::Planned;

/// What the planning loop tells about itself. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    plans: Histogram,
    failures: Counter,
    objects: Family<OfKind, Gauge>,
    refused: Gauge,
    content: Gauge<f64, AtomicU64>,
    propagation: Histogram,
    propagating: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            // 100 µs to 3.3 s.
            plans: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            failures: Counter::default(),
            objects: Family::default(),
            refused: Gauge::default(),
            content: Gauge::default(),
            // 500 µs to 16 s.
            propagation: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            propagating: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Metrics that `registry` shows, with the prefix `leader`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let leader = registry.sub_registry_with_prefix("leader");
        leader.register_with_unit(
            "plan_duration",
            "Time from the sources' views to a snapshot",
            Unit::Seconds,
            metrics.plans.clone(),
        );
        leader.register("plan_failures", "Passes that panicked", metrics.failures.clone());
        leader.register("snapshot_objects", "Objects of the current snapshot", metrics.objects.clone());
        leader.register(
            "refused_objects",
            "Objects that aren't used as they are written",
            metrics.refused.clone(),
        );
        leader.register_with_unit(
            "propagation",
            "Time from a change seen by the leader to its being in service on every counted worker",
            Unit::Seconds,
            metrics.propagation.clone(),
        );
        leader.register(
            "propagating_changes",
            "Changes that some counted worker lacks",
            metrics.propagating.clone(),
        );
        leader.register(
            "snapshot_content",
            "First 48 bits of the root: processes with the same number have the same content",
            metrics.content.clone(),
        );
        metrics
    }

    pub(super) fn propagated(&self, took: &[Duration], pending: usize) {
        took.iter().for_each(|took| self.propagation.observe(took.as_secs_f64()));
        self.propagating.set(to_i64(pending));
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn planned(&self, planned: &Planned, elapsed: Duration) {
        self.plans.observe(elapsed.as_secs_f64());
        for kind in Kind::ALL {
            let count = planned.snapshot.count_of(kind);
            self.objects.get_or_create(&OfKind { kind: kind.as_str() }).set(to_i64(count));
        }
        self.refused.set(to_i64(planned.refused + planned.conflicts.len()));
        let first =
            planned.snapshot.root().0.iter().take(6).fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte));
        self.content.set(first);
    }
}

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

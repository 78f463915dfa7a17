use dataplane_snapshot::Kind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the source tells about itself. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct SourceMetrics {
    unproved: Family<OfKind, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

impl SourceMetrics {
    /// Metrics that `registry` shows, with the prefix `leader`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let leader = registry.sub_registry_with_prefix("leader");
        leader.register(
            "unproved_objects",
            "Objects that the newest list of Kubernetes lacks and that are kept until another list lacks them too",
            metrics.unproved.clone(),
        );
        metrics
    }

    pub(crate) fn unproved(&self, kind: Kind, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.unproved.get_or_create(&OfKind { kind: kind.as_str() }).set(count);
    }
}

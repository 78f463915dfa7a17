//! The cluster endpoints' counters as metrics.

use std::sync::Arc;

use operator_server::cluster::Cluster;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::{counter, gauge, signed};

pub(crate) struct Workers(pub(crate) Arc<Cluster>);

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workers")
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stats = self.0.stats();
        for (name, help, value) in [
            ("leader_states_sent", "Polls answered with a whole state", stats.states),
            ("leader_state_sent_bytes", "Bytes of those states", stats.state_bytes),
            ("leader_changes_sent", "Polls answered with what changed", stats.changes),
            ("leader_change_sent_bytes", "Bytes of those changes", stats.change_bytes),
            ("leader_manifests", "Workers told what differs from a state unknown here", stats.manifests),
            ("leader_manifest_sent_bytes", "Bytes of those differences", stats.manifest_bytes),
            ("leader_polls_not_modified", "Polls that ended without news", stats.not_modified),
            ("leader_polls_put_off", "Polls asked to come back later", stats.not_now),
            ("leader_acks", "Acknowledgements of workers", stats.acks),
            ("leader_unauthorized_requests", "Cluster requests without good credentials", stats.unauthorized),
            ("leader_refused_requests", "Cluster requests that weren't understood", stats.refused),
        ] {
            counter(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in [
            ("leader_held_polls", "Polls that wait for news now", stats.held),
            ("leader_members", "Workers that were seen lately", stats.members),
        ] {
            gauge(&mut encoder, name, help, signed(value))?;
        }
        Ok(())
    }
}

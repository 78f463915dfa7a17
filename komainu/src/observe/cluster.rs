//! The cluster endpoints' counters as metrics.

use std::sync::Arc;

use operator_core::reports::Colour;
use operator_server::cluster::{Cluster, Figures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

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
            ("leader_reports", "Reports of workers about themselves and their targets", stats.reports),
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
        members(&mut encoder, &self.0.figures())
    }
}

fn members(encoder: &mut DescriptorEncoder<'_>, figures: &Figures) -> Result<(), std::fmt::Error> {
    let help = "Workers by how they stand: green, orange or red";
    let mut colours = encoder.encode_descriptor("leader_workers", help, None, MetricType::Gauge)?;
    for (colour, count) in Colour::ALL.into_iter().zip(figures.colours) {
        let labels = [("colour", colour.as_str())];
        ConstGauge::new(signed(count)).encode(colours.encode_family(&labels)?)?;
    }
    for (name, help, value) in [
        ("leader_rejected_objects", "Objects that some worker can't use", figures.rejected),
        (
            "leader_targets_ready",
            "Targets that most workers give traffic by their checks",
            figures.targets.ready,
        ),
        (
            "leader_targets_out",
            "Targets that most workers give no traffic by their checks",
            figures.targets.out,
        ),
        ("leader_targets_degraded", "Targets about which workers disagree", figures.targets.degraded),
    ] {
        gauge(encoder, name, help, signed(value))?;
    }
    let help = "For how long there has been a state that some worker lacks";
    gauge(encoder, "leader_config_age_seconds", help, figures.config_age.as_secs_f64())?;
    if let Some(age) = figures.state_age {
        let help = "Time since the newest state was planned";
        gauge(encoder, "leader_state_age_seconds", help, age.as_secs_f64())?;
    }
    Ok(())
}

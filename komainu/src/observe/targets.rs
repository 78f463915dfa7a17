//! What the health checks of this worker say about targets, as metrics and as JSON. Both are bounded: of many targets those
//! are named that something is wrong with.

use std::sync::Arc;

use dataplane_core::health::{Colour, Standing};
use dataplane_proxy::{Proxy, TargetHealth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::{Value, json};

use super::encode::{gauge, signed};

/// Targets with a metric of their own.
const MAX_NAMED: usize = 1000;
/// Targets that the JSON shows.
const MAX_SHOWN: usize = 100;

pub(crate) struct Targets(pub(crate) Arc<Proxy>);

impl std::fmt::Debug for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Targets")
    }
}

impl Collector for Targets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let targets = worst_first(self.0.health());
        let out = targets.iter().filter(|health| health.standing == Standing::Out).count();
        gauge(&mut encoder, "targets_checked", "Targets with a health check", signed(targets.len()))?;
        gauge(&mut encoder, "targets_out", "Targets that get no traffic by their check", signed(out))?;
        let help = "1 if a target gets traffic by its health check, 0 if not";
        let mut metric = encoder.encode_descriptor("target_health", help, None, MetricType::Gauge)?;
        for health in targets.iter().take(MAX_NAMED) {
            let (backend, target) = (name(health), &*health.target);
            let value = i64::from(health.standing != Standing::Out);
            let labels = [("backend", &*backend), ("target", target)];
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// How many targets are checked, and what is wrong with those that aren't healthy.
pub(crate) fn describe(targets: Vec<TargetHealth>) -> Value {
    let checked = targets.len();
    let wrong = |health: &TargetHealth| health.colour >= Colour::Red || health.standing == Standing::Out;
    let unhealthy: Vec<_> = worst_first(targets).into_iter().filter(wrong).collect();
    let shown = |health: &TargetHealth| {
        json!({
            "backend": name(health),
            "target": health.target,
            "getsTraffic": health.standing != Standing::Out,
            "colour": health.colour.as_str(),
            "reason": health.reason,
            "seconds": health.since.elapsed().unwrap_or_default().as_secs(),
        })
    };
    json!({
        "checked": checked,
        "unhealthy": unhealthy.len(),
        "first": unhealthy.iter().take(MAX_SHOWN).map(shown).collect::<Vec<_>>(),
    })
}

fn name(health: &TargetHealth) -> String {
    format!("{}/{}", health.backend.namespace(), health.backend.name())
}

/// Otherwise in their order.
fn worst_first(mut targets: Vec<TargetHealth>) -> Vec<TargetHealth> {
    targets.sort_by_key(|health| (health.standing != Standing::Out, std::cmp::Reverse(health.colour)));
    targets
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn target(id: usize, standing: Standing, colour: Colour) -> TargetHealth {
        TargetHealth {
            backend: "backend/default/users".parse().unwrap(),
            target: id.to_string().into(),
            standing,
            colour,
            reason: "status 503".to_owned(),
            since: SystemTime::now(),
        }
    }

    #[test]
    fn what_is_wrong_is_shown_first_and_not_without_end() {
        let mut targets: Vec<_> = (0..150).map(|id| target(id, Standing::In, Colour::Green)).collect();
        targets.push(target(150, Standing::In, Colour::Red));
        targets.push(target(151, Standing::Out, Colour::Green));
        let json = describe(targets.clone());
        assert_eq!((&json["checked"], &json["unhealthy"]), (&json!(152), &json!(2)));
        let ids: Vec<_> = json["first"].as_array().unwrap().iter().map(|it| &it["target"]).collect();
        assert_eq!(ids, ["151", "150"]);
        assert_eq!(json["first"][1]["getsTraffic"], json!(true));
        assert_eq!(json["first"][1]["reason"], "status 503");
        let out = (0..300).map(|id| target(id, Standing::Out, Colour::Black)).collect();
        assert_eq!(describe(out)["first"].as_array().unwrap().len(), MAX_SHOWN);
        assert_eq!(&*worst_first(targets)[2].target, "0", "the rest stays in its order");
    }
}

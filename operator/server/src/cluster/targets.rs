use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use operator_core::reports::{BackendHealth, TargetHealth};
use serde::Serialize;

use super::Cluster;

/// A backend as all workers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Backend {
    namespace: String,
    name: String,
    /// How many targets are ready.
    ready: usize,
    targets: Vec<Target>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    id: String,
    /// What most of the workers that check it say; absent: nobody has decided yet, or nobody checks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<bool>,
    /// Workers are of two minds.
    degraded: bool,
    /// How many workers say so, and how many don't.
    ready_for: usize,
    out_for: usize,
    /// Workers whose circuit breakers are open for it.
    open_breakers: usize,
    /// Milliseconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `GET /api/cluster/health`: the targets that workers check or that their breakers are open for.
pub(super) async fn health(State(cluster): State<Arc<Cluster>>) -> Json<Vec<Backend>> {
    let backends = cluster.lock().reports.health().backends();
    let describe = |(key, health): (dataplane_snapshot::Key, BackendHealth)| Backend {
        namespace: key.namespace().to_owned(),
        name: key.name().to_owned(),
        ready: health.ready(),
        targets: health.targets.into_iter().map(target).collect(),
    };
    Json(backends.into_iter().map(describe).collect())
}

fn target(health: TargetHealth) -> Target {
    Target {
        ready: health.is_ready(),
        degraded: health.is_disputed(),
        ready_for: health.ready,
        out_for: health.out,
        open_breakers: health.open_breakers,
        since_ms: health.since,
        id: health.target.into(),
        reason: health.reason.map(Into::into),
    }
}

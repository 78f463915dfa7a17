use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use operator_core::session::{Event, MemberStatus};
use serde::Serialize;

use super::Cluster;

/// One live worker in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    id: String,
    name: String,
    version: String,
    /// Milliseconds since it was last heard of; 0 while it waits for the next state.
    silent_for_ms: u128,
    /// Not heard of for longer than a living worker would be.
    lost: bool,
    /// It has the current state in service.
    up_to_date: bool,
    /// The root of what it has in service; absent if it hasn't said yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// Per source: its epoch and the revision per kind.
    as_of: BTreeMap<String, SourceAsOf>,
    rejected: Vec<Rejection>,
    /// Why it refused a state as a whole; what it had before still serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Debug, Serialize)]
struct SourceAsOf {
    epoch: String,
    revisions: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Rejection {
    key: String,
    reason: String,
}

/// `GET /api/cluster/members`
pub(super) async fn list(State(cluster): State<Arc<Cluster>>) -> Json<Vec<Member>> {
    let root = cluster.root().map(|root| root.to_string());
    Json(cluster.members().into_iter().map(|member| describe(member, root.as_deref())).collect())
}

/// `DELETE /api/cluster/members/{id}`: a worker that is gone for good is no longer waited for.
pub(super) async fn forget(State(cluster): State<Arc<Cluster>>, Path(id): Path<String>) -> StatusCode {
    if !cluster.members().iter().any(|member| member.identity.id == id) {
        return StatusCode::NOT_FOUND;
    }
    cluster.handle(Event::Forget { id });
    StatusCode::NO_CONTENT
}

fn describe(member: MemberStatus, current: Option<&str>) -> Member {
    let applied = member.applied.as_ref();
    let root = applied.map(|applied| applied.root.to_string());
    let sources = applied.into_iter().flat_map(|applied| &applied.as_of.0);
    let revisions = |source: &dataplane_snapshot::SourceAsOf| {
        source.revisions.iter().map(|(kind, revision)| (kind.as_str(), *revision)).collect()
    };
    Member {
        up_to_date: root.is_some() && root.as_deref() == current,
        as_of: sources
            .map(|(name, source)| {
                let as_of = SourceAsOf { epoch: source.epoch.id.clone(), revisions: revisions(source) };
                (name.clone(), as_of)
            })
            .collect(),
        rejected: applied
            .into_iter()
            .flat_map(|applied| &applied.rejected)
            .map(|(key, reason)| Rejection { key: key.to_string(), reason: reason.clone() })
            .collect(),
        root,
        id: member.identity.id,
        name: member.identity.name,
        version: member.identity.version,
        silent_for_ms: member.silent_for.as_millis(),
        lost: member.lost,
        refused: member.refused,
    }
}

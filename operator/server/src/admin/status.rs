use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use dataplane_snapshot::wire::Payload;
use dataplane_snapshot::{Key, Kind, Snapshot};
use operator_core::ObjectStatus;
use operator_core::conditions::conditions;
use operator_core::healthy::Healthy;
use operator_core::programmed::Programmed;
use serde::Serialize;

use super::Admin;
use super::answer::Refused;
use crate::cluster::Cluster;

/// What the leader makes of everything that it was told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// Of the snapshot that workers are given, hexadecimal.
    root: String,
    /// Per source and kind: how much of it was seen.
    as_of: BTreeMap<String, BTreeMap<&'static str, u64>>,
    objects: Vec<Object>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    kind: &'static str,
    namespace: String,
    name: String,
    owner: &'static str,
    generation: i64,
    conditions: Vec<Condition>,
}

/// As a custom resource shows it, but without times.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// `GET /api/status`: the conditions of every object, also of those that lost their key to another source.
pub(super) async fn all(State(admin): State<Arc<Admin>>) -> Result<Json<Status>, Refused> {
    let planned = admin.planned()?;
    let verdicts = admin.verdicts.borrow().clone();
    let objects = verdicts.iter().map(|(key, verdict)| {
        let mut object = describe(&verdict.status, &verdict.programmed);
        object.conditions.extend(healthy(key, &planned.snapshot, &admin.cluster));
        object
    });
    let losers = planned.conflicts.iter().map(|status| describe(status, &Programmed::NotAccepted));
    let revisions = |source: &dataplane_snapshot::SourceAsOf| {
        source.revisions.iter().map(|(kind, revision)| (kind.as_str(), *revision)).collect()
    };
    Ok(Json(Status {
        root: planned.snapshot.root().to_string(),
        as_of: planned.world.as_of.0.iter().map(|(name, source)| (name.clone(), revisions(source))).collect(),
        objects: objects.chain(losers).collect(),
    }))
}

/// For backends that the snapshot has as they are written. Programmed or not: it is about what workers do have.
fn healthy(key: &Key, snapshot: &Snapshot, cluster: &Cluster) -> Option<Condition> {
    let backend = snapshot.get(key).filter(|object| object.key().kind() == Kind::Backend)?;
    let Ok(Payload::Backend(backend)) = backend.decode() else { return None };
    let endpoints = snapshot.get(&key.with_kind(Kind::Endpoints)).map(|object| object.decode());
    let targets = match endpoints {
        Some(Ok(Payload::Endpoints(endpoints))) => endpoints.targets,
        _ => Vec::new(),
    };
    let has = |id: &str| targets.iter().any(|target| target.id == id);
    let is_checked = backend.health_check.is_some();
    let told = if is_checked { cluster.backend_health(key) } else { Default::default() };
    let healthy = Healthy::of(is_checked, targets.len(), &told, has);
    Some(Condition {
        type_: "Healthy",
        status: healthy.status(),
        reason: healthy.reason,
        message: healthy.message,
    })
}

fn describe(status: &ObjectStatus, programmed: &Programmed) -> Object {
    let described = conditions(status, programmed).into_iter().map(|condition| Condition {
        type_: condition.type_.as_str(),
        status: if condition.status { "True" } else { "False" },
        reason: condition.reason,
        message: condition.message,
    });
    Object {
        kind: status.key.kind().as_str(),
        namespace: status.key.namespace().to_owned(),
        name: status.key.name().to_owned(),
        owner: status.owner.as_str(),
        generation: status.generation,
        conditions: described.collect(),
    }
}

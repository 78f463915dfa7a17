use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use operator_core::conditions::conditions;
use operator_core::healthy::Tally;
use operator_core::overview::Overview;
use serde::Serialize;

use super::Admin;
use super::answer::Refused;

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
    #[serde(flatten)]
    tally: Tally,
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
    let overviews = admin.overviews.borrow().clone();
    let objects = overviews.values().map(|overview| describe(overview));
    let losers = planned.conflicts.iter().map(|status| describe(&Overview::of_unplanned(status)));
    let revisions = |source: &dataplane_snapshot::SourceAsOf| {
        source.revisions.iter().map(|(kind, revision)| (kind.as_str(), *revision)).collect()
    };
    Ok(Json(Status {
        root: planned.snapshot.root().to_string(),
        as_of: planned.world.as_of.0.iter().map(|(name, source)| (name.clone(), revisions(source))).collect(),
        objects: objects.chain(losers).collect(),
    }))
}

fn describe(overview: &Overview) -> Object {
    let status = &*overview.verdict.status;
    let conditions = conditions(overview, &overview.verdict.programmed);
    let described = conditions.into_iter().map(|condition| Condition {
        type_: condition.type_.as_str(),
        status: condition.status.as_str(),
        reason: condition.reason,
        message: condition.message,
    });
    Object {
        kind: status.key.kind().as_str(),
        namespace: status.key.namespace().to_owned(),
        name: status.key.name().to_owned(),
        owner: status.owner.as_str(),
        generation: status.generation,
        tally: overview.tally.clone(),
        conditions: described.collect(),
    }
}

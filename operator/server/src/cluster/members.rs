use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use dataplane_snapshot::wire::{NetworkLocation, Node, Usage};
use dataplane_snapshot::{AsOf, Root, Scope};
use operator_core::reports::{Colour, Counts, Reporter, Trouble, colour, troubles};
use operator_core::session::{Event, Identity, MemberStatus};
use serde::Serialize;

use super::authenticate::Allowed;
use super::{Cluster, worker_headers};

/// Who this leader is, and how to find out how it is.
pub struct Introduction {
    pub identity: Identity,
    pub look: Box<dyn Fn() -> (Node, Usage) + Send + Sync>,
}

/// One live process in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    id: String,
    name: String,
    version: String,
    role: Role,
    #[serde(serialize_with = "word")]
    colour: Colour,
    /// Sentences, the reasons for the colour.
    problems: Vec<String>,
    /// Milliseconds since it was last heard of; 0 while it waits for the next state.
    silent_for_ms: u128,
    /// Not heard of for longer than a living worker would be.
    lost: bool,
    /// Another live worker has the same name.
    same_name: bool,
    /// It has the current state in service.
    up_to_date: bool,
    /// For how long there has been a state that it lacks.
    behind_for_ms: u128,
    /// Of which Routes it has the state; absent: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The root of what it has in service; absent if it hasn't said yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// Per source: its epoch and the revision per kind.
    as_of: BTreeMap<String, SourceAsOf>,
    rejected: Vec<Rejection>,
    /// Why it refused a state as a whole; what it had before still serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What it says about itself; absent if it doesn't.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    /// How many targets it says what about.
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Targets>,
}

#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    Leader,
    Worker,
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    mode: String,
    location: Location,
    /// Where it is reached: the address that it reports from, and that of its health and metrics.
    addresses: Vec<String>,
    listeners: BTreeMap<String, String>,
    settings_hash: String,
    /// Milliseconds since 1970-01-01 UTC, by its own clock.
    started_at_ms: u64,
    uptime_ms: u128,
    reported_before_ms: u128,
    requests_per_second: f64,
    latency_ms: Latency,
    cpu_cores: f64,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Location {
    provider: String,
    region: String,
    zone: String,
    #[serde(rename = "dataCenter")]
    data_center: String,
    rack: String,
}

#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p99: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    ready: usize,
    out: usize,
    not_checked: usize,
    open_breakers: usize,
}

/// `GET /api/cluster/members`
pub(super) async fn list(State(cluster): State<Arc<Cluster>>) -> Json<Vec<Member>> {
    Json(cluster.rows())
}

/// What a client whose workers may have a part only is told, that would end another's worker.
const NOT_ITSELF: &str = "a worker with these credentials takes only itself off the list: the id in the path and in the header \
                          komainu-worker-id must be its own\n";

/// `DELETE /api/cluster/members/{id}`: a worker that is gone for good is no longer waited for.
pub(super) async fn forget(
    State(cluster): State<Arc<Cluster>>,
    Extension(allowed): Extension<Allowed>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let member = cluster.lock().session.members().identity_of(&id).cloned();
    let is_own =
        member.as_ref().is_none_or(|of| of.client == allowed.client && of.pod.as_deref() == allowed.pod());
    let is_itself = headers.get(worker_headers::ID).is_some_and(|own| *own == *id) && is_own;
    if !allowed.is_about_all() && !is_itself {
        return (StatusCode::FORBIDDEN, NOT_ITSELF).into_response();
    }
    if member.is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    cluster.handle(Event::Forget { id });
    StatusCode::NO_CONTENT.into_response()
}

impl Cluster {
    /// Makes this leader a member in the list, once.
    pub fn introduce(&self, introduction: Introduction) {
        let _ = self.introduction.set(introduction);
    }

    /// This leader, if it has introduced itself, and the workers in the order of their ids.
    pub(super) fn rows(&self) -> Vec<Member> {
        let now = self.now();
        let leader = self.introduction.get().map(|introduction| {
            let (node, usage) = (introduction.look)();
            (introduction.identity.clone(), node, usage)
        });
        let hash = leader.as_ref().map_or("", |(_, node, _)| &*node.settings_hash).to_owned();
        let mut rows = Vec::new();
        if let Some((identity, node, usage)) = leader {
            rows.push(self.leader_row(identity, node, &usage));
        }
        let sessions = self.lock();
        for status in sessions.session.members().list(now) {
            let reporter = sessions.reports.of(&status.identity.id);
            let targets = sessions.reports.counts(&status.identity.id);
            let current = sessions.session.members().current(&status.identity.scope);
            let troubles = troubles(&status, reporter, &hash, now);
            let mut row = describe(status, current, &troubles);
            row.told = reporter.map(|reporter| told_by(reporter, now));
            row.targets = targets.map(Targets::from);
            rows.push(row);
        }
        rows
    }

    fn leader_row(&self, identity: Identity, node: Node, usage: &Usage) -> Member {
        let current = self.current(&Scope::default());
        let root = self.root();
        let uptime = u128::from(usage.uptime);
        Member {
            role: Role::Leader,
            colour: if root.is_some() { Colour::Green } else { Colour::Red },
            problems: root.is_none().then(|| "has no state yet".to_owned()).into_iter().collect(),
            silent_for_ms: 0,
            lost: false,
            same_name: false,
            up_to_date: root.is_some(),
            behind_for_ms: 0,
            scope: None,
            root: root.map(|root| root.to_string()),
            as_of: current.map(|current| as_of(current.as_of())).unwrap_or_default(),
            rejected: Vec::new(),
            refused: None,
            told: Some(told(node, usage, uptime, 0, Vec::new())),
            targets: None,
            id: identity.id,
            name: identity.name,
            version: identity.version,
        }
    }
}

fn describe(member: MemberStatus, current: Option<Root>, troubles: &[Trouble]) -> Member {
    let applied = member.applied.as_ref();
    let root = applied.map(|applied| applied.root);
    Member {
        role: Role::Worker,
        colour: colour(troubles),
        problems: troubles.iter().map(ToString::to_string).collect(),
        up_to_date: root.is_some() && root == current,
        behind_for_ms: member.behind_for.as_millis(),
        same_name: member.same_name,
        as_of: applied.map(|applied| as_of(&applied.as_of)).unwrap_or_default(),
        rejected: applied
            .into_iter()
            .flat_map(|applied| &applied.rejected)
            .map(|(key, reason)| Rejection { key: key.to_string(), reason: reason.clone() })
            .collect(),
        scope: Some(member.identity.scope).filter(|scope| !scope.is_all()).map(|scope| scope.to_string()),
        root: root.map(|root| root.to_string()),
        id: member.identity.id,
        name: member.identity.name,
        version: member.identity.version,
        silent_for_ms: member.silent_for.as_millis(),
        lost: member.lost,
        refused: member.refused,
        told: None,
        targets: None,
    }
}

fn as_of(as_of: &AsOf) -> BTreeMap<String, SourceAsOf> {
    let revisions = |source: &dataplane_snapshot::SourceAsOf| {
        source.revisions.iter().map(|(kind, revision)| (kind.as_str(), *revision)).collect()
    };
    let sources = as_of.0.iter().map(|(name, source)| {
        let as_of = SourceAsOf { epoch: source.epoch.id.clone(), revisions: revisions(source) };
        (name.clone(), as_of)
    });
    sources.collect()
}

fn told_by(reporter: &Reporter, now: std::time::Duration) -> Told {
    let before = now.saturating_sub(reporter.at).as_millis();
    let from = reporter.from.map(|address| address.to_string()).into_iter().collect();
    told(reporter.node.clone(), &reporter.usage, reporter.uptime(now).as_millis(), before, from)
}

fn told(node: Node, usage: &Usage, uptime_ms: u128, reported_before_ms: u128, from: Vec<String>) -> Told {
    let NetworkLocation { provider, region, zone, data_center, rack } = node.location.unwrap_or_default();
    // Microseconds are too fine for people, and floating point may be anything on the wire.
    let millis = |micros: u64| micros as f64 / 1_000.0;
    let number = |number: f64| if number.is_finite() { number } else { 0.0 };
    Told {
        mode: node.mode,
        location: Location { provider, region, zone, data_center, rack },
        addresses: from.into_iter().chain(Some(node.admin).filter(|admin| !admin.is_empty())).collect(),
        listeners: node.listeners,
        settings_hash: node.settings_hash,
        started_at_ms: node.started_at,
        uptime_ms,
        reported_before_ms,
        requests_per_second: number(usage.requests_per_second),
        latency_ms: Latency { mean: millis(usage.mean_latency), p99: millis(usage.p99_latency) },
        cpu_cores: number(usage.cores),
        memory_bytes: usage.memory,
    }
}

impl From<Counts> for Targets {
    fn from(counts: Counts) -> Self {
        let Counts { ready, out, not_checked, open_breakers } = counts;
        Self { ready, out, not_checked, open_breakers }
    }
}

fn word<S: serde::Serializer>(colour: &Colour, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(colour.as_str())
}

//! The leader's half: sources, planning, cluster endpoints, admin API.

use std::sync::Arc;

use anyhow::Context as _;
use dataplane_snapshot::{Scope, Snapshot};
use operator_core::programmed::Counted;
use operator_core::session::Identity;
use operator_files::{Numbering, Watching};
use operator_kubernetes::{Links, SourceMetrics};
use operator_server::admin::{self, Admin};
use operator_server::cluster::{
    Client, Cluster, ClusterSettings, Compression, Introduction, ReadyPods, SendRelay,
};
use operator_server::leader::{self, Leader, Metrics, Planned, Source, SourceSet};
use operator_server::usage::Usage;
use operator_store::{EmbeddedStore, StateStore};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::whereabouts::Whereabouts;
use super::{kubernetes, listeners, memory, node, problems, relay, stores};
use crate::credentials::Credentials;
use crate::observe::{Health, Look, Store, Workers};
use crate::settings::{ClusterClient, ClusterLeader, Settings};

pub(super) struct ControlPlane {
    pub(super) snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) usage: Arc<Usage>,
    pub(super) router: axum::Router,
    /// What has something to do at a stop, and is waited for.
    tasks: Vec<JoinHandle<()>>,
    /// Ends the folder's thread when it is dropped.
    _folder: Option<Watching>,
}

pub(super) async fn start(
    settings: &Settings,
    credentials: &Credentials,
    registry: &mut Registry,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ControlPlane> {
    let stores::Opened { store, availability, numbers, is_shared } = stores::open(settings).await?;
    registry.register_collector(Box::new(Store(availability)));
    let mut sources = SourceSet::default();
    let leaders = if is_shared { 1 } else { settings.cluster.leader.replicas };
    sources.separate_stores = leaders;
    // Of several leaders with a store each, what one has the others lack: none of it is served.
    if leaders <= 1 {
        let (written, views) = watch::channel(None);
        sources.required.push(views);
        let (mirror, mirrored) = watch::channel(None);
        let has_mirror = is_shared && !settings.kubernetes.enabled;
        if has_mirror {
            sources.optional.push(mirrored);
        }
        tokio::spawn(stores::follow(store.clone(), written, has_mirror.then_some(mirror)));
    }
    let folder = watch_folder(settings, numbers, &mut sources.required).await?;
    let (kubernetes_views, views) = watch::channel(None);
    if settings.kubernetes.enabled {
        sources.required.push(views);
    }

    let cluster_of_kubernetes = kubernetes::Connection::open(settings).await?;
    let metrics = Metrics::register(registry);
    let of_source = match settings.kubernetes.enabled {
        true => SourceMetrics::register(registry),
        false => SourceMetrics::default(),
    };
    let planning = Leader::start(listeners::of(settings)?, sources, metrics.clone());
    tokio::spawn(problems::log_of_objects(planning.planned.clone()));
    let server_credentials = operator_server::Credentials::new(&credentials.id, &credentials.secret);
    let tokens = cluster_of_kubernetes.as_ref().and_then(|connection| connection.read_tokens(settings));
    let find_place = cluster_of_kubernetes.as_ref().map(kubernetes::Connection::find_place);
    let known = cluster_settings(settings, server_credentials.clone())?;
    let (holder, counts) = watch::channel(None);
    let counts_apart = !is_shared && settings.kubernetes.lease.is_some();
    let forward = counts_apart.then(|| relay::send_to(settings, "/api/cluster/usage"));
    let forward = forward.transpose()?.map(|send| (counts, send));
    let usage = count(store.clone(), forward, planning.planned.clone());
    let cluster = Cluster::new(ClusterSettings { tokens, find_place, usage: Some(usage.clone()), ..known });
    cluster.introduce(introduction(settings));
    registry.register_collector(Box::new(Workers(cluster.clone())));
    tokio::spawn(cluster.clone().run(planning.snapshot.clone(), stop.clone()));
    memory::give_back_after(planning.snapshot.clone());
    let ready_pods = cluster_of_kubernetes.as_ref().and_then(|connection| connection.follow_pods(settings));
    let counted = workers(&cluster, ready_pods);
    leader::measure(planning.planned.clone(), counted.clone(), &metrics);
    let judged = leader::judge(planning.planned.clone(), counted);
    let overviews = leader::survey(judged, cluster.clone(), usage.used_up());
    let mut tasks = Vec::new();
    if is_shared && cluster_of_kubernetes.is_none() {
        let send = relay::send_relay(settings)?;
        let collect = relay::collect(settings.clone(), store.clone(), cluster.clone(), send, stop.clone());
        tasks.push(tokio::spawn(collect));
    }
    if let Some(connection) = cluster_of_kubernetes {
        let (store, overviews) = (store.clone(), overviews.clone());
        let behind = kubernetes::notice_behind(cluster.clone(), planning.snapshot.clone());
        let links = |may_write, mirroring| Links {
            store,
            views: kubernetes_views,
            overviews,
            may_write,
            mirroring,
            behind,
            metrics: of_source,
        };
        tasks.extend(connection.work(settings, links, is_shared, (&cluster, holder), &stop)?);
    }
    let admin = Admin {
        store,
        leaders,
        planned: planning.planned.clone(),
        overviews,
        usage: usage.clone(),
        credentials: server_credentials,
    };
    let router = cluster.router().merge(admin::router(admin));
    Ok(ControlPlane { snapshot: planning.snapshot, cluster, usage, router, tasks, _folder: folder })
}

/// Keeps what workers count. Of leaders with a store each, the holder of the Lease, whom `holder` names, counts what the workers of
/// all say.
fn count(
    store: Arc<dyn StateStore>,
    forward: Option<(watch::Receiver<Option<String>>, SendRelay)>,
    planned: watch::Receiver<Option<Arc<Planned>>>,
) -> Arc<Usage> {
    let mut usage = Usage::new(store);
    if let Some((holder, send)) = forward {
        usage = usage.forwarding(holder, send);
    }
    let usage = Arc::new(usage);
    let dropping = usage.clone();
    tokio::spawn(async move { tokio::join!(dropping.drop_old(), dropping.look(planned)) });
    usage
}

/// As what this process is a member in its own list.
fn introduction(settings: &Settings) -> Introduction {
    let observer = node::Observer::new(settings, Whereabouts::new(settings));
    let identity = Identity {
        id: uuid::Uuid::new_v4().to_string(),
        name: leader_name(settings),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scope: Scope::default(),
        client: None,
        pod: None,
    };
    Introduction { identity, look: Box::new(move || observer.look(None)) }
}

pub(super) fn leader_name(settings: &Settings) -> String {
    settings.cluster.leader.name.clone().or_else(super::host_name).unwrap_or_default()
}

fn cluster_settings(
    settings: &Settings,
    credentials: operator_server::Credentials,
) -> anyhow::Result<ClusterSettings> {
    let compression = Compression::from_level(settings.cluster.compression)
        .context("setting cluster.compression: write -1 for none, or a level from 0 to 9")?;
    let leader = &settings.cluster.leader;
    let name = leader_name(settings);
    let keep_encoded = leader.cache_state_for.duration();
    let client_certificates = settings.admin.tls.client_authorities.is_some();
    let clients =
        leader.clients.iter().enumerate().map(|(at, of)| {
            client(of, leader).with_context(|| format!("setting cluster.leader.clients.{at}"))
        });
    Ok(ClusterSettings {
        clients: clients.collect::<anyhow::Result<_>>()?,
        client_certificates,
        compression,
        keep_encoded,
        name,
        ..ClusterSettings::new(credentials)
    })
}

/// A pair of its own, for workers that may have a part only.
fn client(of: &ClusterClient, leader: &ClusterLeader) -> anyhow::Result<Client> {
    let secret = of.client_secret.as_deref().unwrap_or_default();
    anyhow::ensure!(
        !of.client_id.is_empty() && !of.client_id.contains(':') && !secret.is_empty(),
        "clientId and clientSecret must not be empty, and the id must hold no colon"
    );
    anyhow::ensure!(
        leader.client_id.as_ref() != Some(&of.client_id),
        "clientId is that of cluster.leader.clientId, whose workers may have everything: choose another one"
    );
    crate::credentials::refuse_known(
        &Credentials { id: of.client_id.clone(), secret: secret.to_owned() },
        false,
    )?;
    let scope = Scope::new(&of.namespaces, &of.labels, &of.tenants)?;
    anyhow::ensure!(
        !scope.is_all(),
        "nothing limits it: give namespaces, labels or tenants; workers that may have everything use cluster.leader.clientId"
    );
    Ok(Client { credentials: operator_server::Credentials::new(&of.client_id, secret), scope })
}

impl ControlPlane {
    /// Waits until what has something to do at a stop has done it: the Lease is released.
    pub(super) async fn end(self) {
        for task in self.tasks {
            // One that panicked has nothing more to do.
            let _ = task.await;
        }
    }

    /// Ready once the first snapshot is planned, until a stop is asked for.
    pub(super) fn look(&self, stop: watch::Receiver<bool>) -> Look {
        let (snapshot, cluster) = (self.snapshot.clone(), self.cluster.clone());
        Arc::new(move || {
            let planned = snapshot.borrow().clone();
            let reason = match (&planned, *stop.borrow()) {
                (_, true) => Some("stopping"),
                (None, false) => Some("a source has not given all of its objects yet"),
                (Some(_), false) => None,
            };
            let mut details = serde_json::Map::new();
            details.insert(
                "leader".to_owned(),
                json!({
                    "root": planned.as_ref().map(|snapshot| snapshot.root().to_string()),
                    "objects": planned.as_ref().map(|snapshot| snapshot.len()),
                    "workers": cluster.members().len(),
                }),
            );
            Health { ready: reason.is_none(), reason: reason.map(str::to_owned), details }
        })
    }
}

async fn watch_folder(
    settings: &Settings,
    numbers: Option<EmbeddedStore>,
    sources: &mut Vec<Source>,
) -> anyhow::Result<Option<Watching>> {
    let (Some(folder), Some(numbers)) = (&settings.resources, numbers) else { return Ok(None) };
    let (found, views) = watch::channel(None);
    let (told, problems) = watch::channel(Arc::default());
    sources.push(views);
    tokio::spawn(problems::log_of_source(problems));
    Ok(Some(operator_files::watch(folder, numbering(numbers).await?, found, told)?))
}

/// While the store can't number an edit, the numbers go on from the last one, so that it is still served.
async fn numbering(store: EmbeddedStore) -> anyhow::Result<Numbering> {
    let runtime = tokio::runtime::Handle::current();
    let mut last = store.next_file_revision().await.context("the state store can't number files")?;
    Ok(Numbering {
        epoch: store.epoch(),
        next: Box::new(move || {
            let given = runtime.block_on(store.next_file_revision());
            let given = given.unwrap_or_else(|error| {
                tracing::warn!(%error, "the state store can't number an edit");
                0
            });
            last = given.max(last + 1);
            last
        }),
    })
}

/// The workers that Programmed counts, told anew whenever one changes.
fn workers(cluster: &Arc<Cluster>, ready_pods: Option<ReadyPods>) -> watch::Receiver<Arc<Vec<Counted>>> {
    let cluster = cluster.clone();
    let mut changed = cluster.members_changed();
    // Without pods nothing ever changes about them.
    let (_nobody, none) = watch::channel(None);
    let mut pods = ready_pods.unwrap_or(none);
    let count = move |cluster: &Cluster, pods: &mut ReadyPods| {
        let pods = pods.borrow_and_update().clone();
        Arc::new(cluster.counted(pods.as_deref()))
    };
    let (counted, workers) = watch::channel(count(&cluster, &mut pods));
    tokio::spawn(async move {
        let _nobody = _nobody;
        loop {
            let alive = tokio::select! {
                result = changed.changed() => result,
                result = pods.changed() => result,
            };
            if alive.is_err() {
                return;
            }
            counted.send_replace(count(&cluster, &mut pods));
        }
    });
    workers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings;

    fn of(set: &[&str]) -> anyhow::Result<ClusterSettings> {
        let set = set.iter().map(ToString::to_string).collect();
        let arguments = crate::args::RunArguments { set, ..Default::default() };
        let settings = settings::load(&arguments, []).unwrap().settings;
        cluster_settings(&settings, operator_server::Credentials::new("id", "secret"))
    }

    /// Each setting of the cluster that a leader has, and what it changes.
    #[test]
    fn settings_of_the_cluster_arrive_at_a_leader() {
        let default = of(&[]).unwrap();
        assert_eq!(Some(default.compression), Compression::from_level(4));
        assert_eq!(default.keep_encoded, Duration::from_secs(4));
        assert!(!default.name.is_empty(), "the host's");
        assert_eq!(Some(of(&["cluster.compression=9"]).unwrap().compression), Compression::from_level(9));
        assert!(of(&["cluster.compression=10"]).unwrap_err().to_string().contains("from 0 to 9"));
        assert_eq!(of(&["cluster.leader.cacheStateFor=1s"]).unwrap().keep_encoded, Duration::from_secs(1));
        assert_eq!(of(&["cluster.leader.name=one"]).unwrap().name, "one");
        let pair = ["cluster.leader.clients.0.clientId=edge", "cluster.leader.clients.0.clientSecret=hush"];
        let limited = of(&[pair[0], pair[1], "cluster.leader.clients.0.tenants=a,b"]).unwrap();
        assert_eq!(limited.clients[0].scope.to_string(), "tenants=a|b");
        let error = of(&pair).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("setting cluster.leader.clients.0: nothing limits it"),
            "{error:#}"
        );
        let same =
            [&pair[..], &["cluster.leader.clientId=edge", "cluster.leader.clients.0.tenants=a"]].concat();
        assert!(format!("{:#}", of(&same).unwrap_err()).contains("choose another one"));
        assert!(format!("{:#}", of(&pair[..1]).unwrap_err()).contains("must not be empty"));
        assert!(!default.client_certificates);
        assert!(of(&["admin.tls.clientAuthorities=workers.crt"]).unwrap().client_certificates);
    }
}

//! The worker's half: the proxy, what it serves, and whom it follows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dataplane_core::subscription::Source;
use dataplane_core::{BackendStates, Location};
use dataplane_proxy::worker::{
    self, Applier, LeaderContact, LeaderUrl, ProxyService, Report, WorkerHealth, WorkerSettings,
};
use dataplane_proxy::{Proxy, ProxySettings};
use operator_core::programmed::Applied;
use operator_core::session::Identity;
use operator_server::cluster::Cluster;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::watch;

use super::control_plane::ControlPlane;
use crate::credentials::Credentials;
use crate::observe::{Health, Look, Subscription, Targets, Traffic, describe_targets};
use crate::settings::{ListenerProtocol, Mode, Settings};

const STATE_FILE: &str = "state.redb";

/// The shortest hold of a poll: the protocol counts whole seconds.
const MIN_HOLD: Duration = Duration::from_secs(1);

/// The longest hold of a poll: intermediaries cut requests that are idle for longer.
const MAX_HOLD: Duration = Duration::from_secs(25);

pub(super) struct DataPlane {
    proxy: Arc<Proxy>,
    applier: Arc<Applier<ProxyService>>,
    health: watch::Sender<WorkerHealth>,
}

impl DataPlane {
    pub(super) fn start(settings: &Settings, registry: &mut Registry) -> anyhow::Result<Self> {
        let proxy = Arc::new(Proxy::start(proxy_settings(settings)?)?);
        registry.register_collector(Box::new(Traffic(proxy.clone())));
        registry.register_collector(Box::new(Targets(proxy.clone())));
        let states = BackendStates::at(location(settings));
        let service = ProxyService { proxy: proxy.clone(), states };
        let health = watch::Sender::new(WorkerHealth::default());
        registry.register_collector(Box::new(Subscription(health.subscribe())));
        Ok(Self { proxy, applier: Arc::new(Applier::new(service)), health })
    }

    /// Polls leaders and serves what they give.
    pub(super) fn follow_leaders(
        &self,
        settings: &Settings,
        credentials: &Credentials,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Look> {
        let worker = worker_settings(settings, credentials)?;
        let following = worker::run(worker, self.applier.clone(), self.health.clone(), stop.clone());
        let health = self.health.clone();
        tokio::spawn(async move {
            if let Err(error) = following.await {
                tracing::error!(%error, "the worker can't follow a leader");
                health.send_modify(|health| health.ready = Err(error.to_string()));
            }
        });
        Ok(self.look(Some(stop)))
    }

    /// Serves what the leader in this process publishes.
    pub(super) fn follow_local(&self, settings: &Settings, control: &ControlPlane) -> anyhow::Result<Look> {
        let (cluster, identity) = (control.cluster.clone(), identity(settings)?);
        let report = move |report: Report| acknowledge(&cluster, &identity, report);
        // It goes on until the process ends: open requests of the drain may still need it.
        let (never, shutdown) = watch::channel(false);
        let following = worker::follow(
            control.snapshot.clone(),
            self.applier.clone(),
            self.health.clone(),
            report,
            shutdown,
        );
        tokio::spawn(async move {
            following.await;
            drop(never);
        });
        Ok(self.look(None))
    }

    /// Lets open requests end; gives how many connections had to be cut.
    pub(super) async fn drain(&self, settings: &Settings) -> u64 {
        let report = self.proxy.drain(settings.proxy.drain_timeout.duration()).await;
        if report.forced > 0 {
            tracing::warn!(connections = report.forced, "cut at the end of proxy.drainTimeout");
        }
        report.forced
    }

    fn look(&self, stop: Option<watch::Receiver<bool>>) -> Look {
        let (health, proxy) = (self.health.subscribe(), self.proxy.clone());
        Arc::new(move || {
            let worker = health.borrow().clone();
            let stopping = stop.as_ref().is_some_and(|stop| *stop.borrow());
            let reason = if stopping { Some("stopping".to_owned()) } else { not_ready(&worker) };
            let mut details = serde_json::Map::new();
            details.insert("worker".to_owned(), describe(&worker, &proxy));
            details.insert("targets".to_owned(), describe_targets(proxy.health()));
            Health { ready: reason.is_none(), reason, details }
        })
    }
}

fn location(settings: &Settings) -> Location {
    let location = settings.instance.location.clone();
    Location {
        provider: location.provider,
        region: location.region,
        zone: location.zone,
        data_center: location.data_center,
        rack: location.rack,
    }
}

/// Why traffic can't be sent here, with what the leader has to do with it.
fn not_ready(health: &WorkerHealth) -> Option<String> {
    let reason = health.ready.clone().err()?;
    Some(match &health.leader {
        LeaderContact::Failing { url, reason: trouble } => format!("{reason}; {url}: {trouble}"),
        _ => reason,
    })
}

fn describe(health: &WorkerHealth, proxy: &Proxy) -> serde_json::Value {
    let (root, source) = match &health.applied {
        None => (None, None),
        Some((root, Source::Disk)) => (Some(root.to_string()), Some("disk")),
        Some((root, Source::Leader)) => (Some(root.to_string()), Some("leader")),
    };
    let leader = match &health.leader {
        LeaderContact::Local => "in this process".to_owned(),
        LeaderContact::Unknown => "none found yet".to_owned(),
        LeaderContact::Following(url) => format!("following {url}"),
        LeaderContact::Failing { url, reason } => format!("{url}: {reason}"),
        LeaderContact::Stale(url) => format!("{url} is stale: it has less than what is served here"),
    };
    json!({
        "root": root,
        "source": source,
        "leader": leader,
        "secondsSinceContact": health.age().map(|age| age.as_secs()),
        "rejectedObjects": health.rejected,
        "refused": health.refused.as_ref().map(|(_, reason)| reason),
        "notPersisted": health.not_persisted,
        "listeners": proxy.addresses().iter().map(|(name, address)| (name.clone(), address.to_string()))
            .collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn acknowledge(cluster: &Cluster, identity: &Identity, report: Report) {
    let applied =
        Applied { root: report.root, as_of: report.as_of, rejected: report.rejected.into_iter().collect() };
    cluster.local_ack(identity.clone(), applied, report.refused);
}

fn proxy_settings(settings: &Settings) -> anyhow::Result<ProxySettings> {
    let mut proxy = ProxySettings::default();
    if settings.proxy.threads > 0 {
        proxy.threads = settings.proxy.threads;
    }
    proxy.pool.connections_per_target = match settings.proxy.connections_per_target {
        0 => usize::MAX,
        most => most,
    };
    proxy.trusted_proxies = settings
        .proxy
        .trusted_proxies
        .iter()
        .map(|text| {
            text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into)).with_context(|| {
                format!(
                    "setting proxy.trustedProxies: {text:?} is neither an address nor a network as 10.0.0.0/8"
                )
            })
        })
        .collect::<anyhow::Result<_>>()?;
    if settings.cluster.mode == Mode::Worker {
        for listener in &settings.listeners {
            anyhow::ensure!(
                listener.advertised_port.is_none()
                    && listener.protocol == ListenerProtocol::Http
                    && listener.tls.is_none()
                    && !listener.proxy_protocol
                    && listener.http2,
                "setting listeners: {}: a worker changes only address and port; the leader's settings say the rest",
                listener.name
            );
        }
        let overrides = settings.listeners.iter().map(|listener| {
            let address = Some(listener.address.clone()).filter(|address| !address.is_empty());
            (listener.name.clone(), (address, listener.port))
        });
        proxy.listener_overrides = overrides.collect();
    }
    Ok(proxy)
}

fn worker_settings(settings: &Settings, credentials: &Credentials) -> anyhow::Result<WorkerSettings> {
    let urls = &settings.cluster.leader.urls;
    let leaders = urls.iter().map(|url| url.parse::<LeaderUrl>()).collect::<Result<Vec<_>, _>>();
    let leaders = leaders.context("setting cluster.leader.urls")?;
    anyhow::ensure!(
        !leaders.is_empty(),
        "a worker needs a leader: set cluster.leader.urls, for instance --set cluster.leader.urls.0=http://127.0.0.1:9000"
    );
    let identity = identity(settings)?;
    let mut worker =
        WorkerSettings::new(leaders, credentials.id.clone(), credentials.secret.clone(), identity.name);
    worker.state_file = Some(settings.data_directory.join(STATE_FILE));
    worker.hold = settings.cluster.worker.state.poll_every.duration().clamp(MIN_HOLD, MAX_HOLD);
    Ok(worker)
}

/// The id is new per process; the name is the user's, or the host's.
fn identity(settings: &Settings) -> anyhow::Result<Identity> {
    let name = match &settings.cluster.worker.name {
        Some(name) => name.clone(),
        None => host_name().context("setting cluster.worker.name: not given, and the host has no name")?,
    };
    Ok(Identity { id: uuid::Uuid::new_v4().to_string(), name, version: env!("CARGO_PKG_VERSION").to_owned() })
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn a_worker_knows_where_it_runs() {
        let written = settings::Location {
            provider: "p".to_owned(),
            region: "r".to_owned(),
            zone: "z".to_owned(),
            data_center: "d".to_owned(),
            rack: "k".to_owned(),
        };
        let settings = Settings { instance: settings::Instance { location: written }, ..Settings::default() };
        let expected = Location {
            provider: "p".to_owned(),
            region: "r".to_owned(),
            zone: "z".to_owned(),
            data_center: "d".to_owned(),
            rack: "k".to_owned(),
        };
        assert_eq!(location(&settings), expected);
    }
}

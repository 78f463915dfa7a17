//! The worker's half: the proxy, what it serves, and whom it follows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use dataplane_core::BackendStates;
use dataplane_core::limit::UsageStates;
use dataplane_core::subscription::{Backoff, Source};
use dataplane_proxy::worker::{
    self, Applier, LeaderContact, LeaderUrl, Metering, ProxyService, Report, SendUsage, WorkerHealth,
    WorkerSettings,
};
use dataplane_proxy::{Proxy, ProxySettings};
use dataplane_snapshot::Scope;
use operator_core::programmed::Applied;
use operator_core::session::Identity;
use operator_server::cluster::Cluster;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::control_plane::ControlPlane;
use super::whereabouts::Whereabouts;
use super::{certificates, memory, names, node};
use crate::credentials::{self, Credentials};
use crate::observe::{Health, Limits, Look, Subscription, Targets, Traffic, describe_targets};
use crate::settings::{ListenerProtocol, Mode, Settings};
use crate::shutdown;

const STATE_FILE: &str = "state.redb";

/// The longest wait for a leader, whatever the settings say: a leader that is back is to be found.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The shortest pause between two pushes of what requests came to.
const MIN_PUSH: Duration = Duration::from_millis(100);

/// The shortest hold of a poll: the protocol counts whole seconds.
const MIN_HOLD: Duration = Duration::from_secs(1);

/// The longest hold of a poll: intermediaries cut requests that are idle for longer.
const MAX_HOLD: Duration = Duration::from_secs(25);

pub(super) struct DataPlane {
    proxy: Arc<Proxy>,
    applier: Arc<Applier<ProxyService>>,
    health: watch::Sender<WorkerHealth>,
    observer: Arc<node::Observer>,
    whereabouts: Arc<Whereabouts>,
    readiness: Option<Arc<AtomicBool>>,
    usage: Arc<UsageStates>,
    /// Of pushes of what requests came to.
    push_failures: Arc<AtomicU64>,
    /// Turns true when no request is counted any more.
    counted: watch::Sender<bool>,
    metering: Mutex<Option<JoinHandle<()>>>,
}

impl DataPlane {
    pub(super) fn start(settings: &Settings, registry: &mut Registry) -> anyhow::Result<Self> {
        let readiness = settings.proxy.readiness.then(Arc::default);
        let proxy = ProxySettings { readiness: readiness.clone(), ..proxy_settings(settings)? };
        let proxy = Arc::new(Proxy::start(proxy)?);
        registry.register_collector(Box::new(Traffic(proxy.clone())));
        registry.register_collector(Box::new(Targets(proxy.clone())));
        let whereabouts = Whereabouts::new(settings);
        let states = BackendStates::at(whereabouts.now());
        let usage = states.usage().clone();
        let service = ProxyService { proxy: proxy.clone(), states };
        let health = watch::Sender::new(WorkerHealth::default());
        registry.register_collector(Box::new(Subscription(health.subscribe())));
        memory::give_back_after(health.subscribe());
        let observer = Arc::new(node::Observer::new(settings, whereabouts.clone()));
        let push_failures = Arc::<AtomicU64>::default();
        let limits = Limits { usage: usage.clone(), push_failures: push_failures.clone() };
        registry.register_collector(Box::new(limits));
        Ok(Self {
            proxy,
            applier: Arc::new(Applier::new(service)),
            health,
            observer,
            whereabouts,
            readiness,
            usage,
            push_failures,
            counted: watch::Sender::new(false),
            metering: Mutex::default(),
        })
    }

    /// Lets the listeners say whether it is ready, if they are to, until a stop is asked for.
    pub(super) fn say_ready(&self, stop: watch::Receiver<bool>) {
        if let Some(readiness) = &self.readiness {
            tokio::spawn(follow_readiness(self.health.subscribe(), stop, readiness.clone()));
        }
    }

    /// Polls leaders and serves what they give.
    pub(super) fn follow_leaders(
        &self,
        settings: &Settings,
        credentials: &Credentials,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Look> {
        let mut worker = worker_settings(settings, credentials)?;
        worker.look = Some(node::look(&self.observer, &self.proxy));
        let id = worker::new_id();
        worker.id = Some(id.clone());
        self.meter(settings, worker::to_leader(worker.clone(), id, self.health.subscribe())?);
        worker.on_location = Some(self.whereabouts.listen(&self.applier));
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
        let look = node::look(&self.observer, &self.proxy);
        tokio::spawn(node::tell(cluster.clone(), identity.clone(), look));
        let (usage, id) = (control.usage.clone(), identity.id.clone());
        self.meter(
            settings,
            Arc::new(move |push| {
                let (usage, id) = (usage.clone(), id.clone());
                Box::pin(async move {
                    usage.take(&id, push, |_| true, 1).await.map_err(|error| error.to_string())
                })
            }),
        );
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

    /// Tells what requests come to until they are all counted; see [`Self::drain`].
    fn meter(&self, settings: &Settings, send: SendUsage) {
        let metering = metering(settings);
        let stop = self.counted.subscribe();
        let (usage, proxy, failures) = (self.usage.clone(), self.proxy.clone(), self.push_failures.clone());
        let telling = worker::meter(usage, proxy, metering, send, failures, stop);
        *self.metering.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(telling));
    }

    /// Lets open requests end, and tells what they came to; gives how many connections had to be cut.
    pub(super) async fn drain(&self, settings: &Settings) -> u64 {
        let report = self.proxy.drain(settings.proxy.drain_timeout.duration()).await;
        if report.forced > 0 {
            tracing::warn!(connections = report.forced, "cut at the end of proxy.drainTimeout");
        }
        self.counted.send_replace(true);
        let metering = self.metering.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(metering) = metering {
            // One push may be under way. What isn't taken by then is lost, as with a crash.
            let _ = tokio::time::timeout(2 * settings.push_timeout().duration(), metering).await;
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

async fn follow_readiness(
    mut health: watch::Receiver<WorkerHealth>,
    stop: watch::Receiver<bool>,
    readiness: Arc<AtomicBool>,
) {
    let following = async {
        loop {
            readiness.store(health.borrow_and_update().ready.is_ok(), Ordering::Relaxed);
            if health.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = shutdown::asked(stop) => {}
    }
    readiness.store(false, Ordering::Relaxed);
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
    let polling = match (&health.leader, health.plain_polling) {
        (LeaderContact::Local, _) => None,
        (_, true) => Some("plain"),
        (_, false) => Some("long"),
    };
    json!({
        "root": root,
        "source": source,
        "leader": leader,
        "polling": polling,
        "secondsSinceContact": health.age().map(|age| age.as_secs()),
        "rejectedObjects": health.rejected,
        "refused": health.refused.as_ref().map(|(_, reason)| reason),
        "notPersisted": health.not_persisted,
        "listeners": proxy.addresses().iter().map(|(name, address)| (name.clone(), address.to_string()))
            .collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn acknowledge(cluster: &Cluster, identity: &Identity, report: Report) {
    let applied = Applied {
        root: report.root,
        as_of: report.as_of,
        rejected: report.rejected.into_iter().collect(),
        more_rejected: false,
    };
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
    proxy.names = names::settings(&settings.proxy.dns)?;
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
    let cluster = &settings.cluster;
    credentials::refuse_known(credentials, worker.leaders.iter().all(LeaderUrl::is_loopback))?;
    for url in worker.leaders.iter().filter(|url| !url.is_loopback() && !url.is_https()) {
        tracing::warn!(%url, "credentials and the state go in clear text between this leader and here");
    }
    if worker.leaders.iter().any(LeaderUrl::is_https) {
        worker.tls = Some(certificates::of_worker(&cluster.mtls)?);
    }
    let selector = &cluster.worker.selector;
    worker.scope = Scope::new(&selector.namespaces, &selector.labels, &selector.tenants)
        .context("setting cluster.worker.selector")?;
    worker.host.clone_from(&cluster.leader.host);
    worker.token_file.clone_from(&cluster.worker.token_file);
    worker.compression = cluster.compression >= 0;
    worker.state_file =
        Some(cluster.worker.dbpath.clone().unwrap_or_else(|| settings.data_directory.join(STATE_FILE)));
    worker.hold = cluster.worker.state.poll_every.duration().clamp(MIN_HOLD, MAX_HOLD);
    worker.plain = !cluster.worker.state.long_poll;
    worker.boot_wait = cluster.worker.boot_wait.duration();
    worker.connect_timeout = settings.poll_timeout().duration();
    worker.answer_timeout = settings.poll_timeout().duration();
    worker.backoff = backoff(settings);
    Ok(worker)
}

fn metering(settings: &Settings) -> Metering {
    Metering {
        push_every: settings.cluster.worker.quotas.push_every.duration().max(MIN_PUSH),
        timeout: settings.push_timeout().duration(),
        retries: settings.push_retries(),
        backoff: backoff_of(settings, settings.push_retries()),
    }
}

fn backoff(settings: &Settings) -> Backoff {
    backoff_of(settings, settings.poll_retries())
}

/// A wait grows as often as there are retries.
fn backoff_of(settings: &Settings, retries: u32) -> Backoff {
    let (base, factor) = (settings.cluster.retry_delay.duration(), settings.cluster.retry_factor.max(1));
    let cap = base.saturating_mul(factor.saturating_pow(retries)).min(LONGEST_BACKOFF);
    Backoff { base, factor, cap }
}

/// The id is new per process; the name is the user's, or the host's.
fn identity(settings: &Settings) -> anyhow::Result<Identity> {
    let name = match &settings.cluster.worker.name {
        Some(name) => name.clone(),
        None => {
            super::host_name().context("setting cluster.worker.name: not given, and the host has no name")?
        }
    };
    Ok(Identity {
        id: uuid::Uuid::new_v4().to_string(),
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scope: Scope::default(),
        client: None,
        pod: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn with(set: &[&str]) -> Settings {
        let set = set.iter().map(ToString::to_string).collect();
        settings::load(&crate::args::RunArguments { set, ..Default::default() }, []).unwrap().settings
    }

    fn of(set: &[&str]) -> anyhow::Result<WorkerSettings> {
        let credentials = Credentials { id: "id".to_owned(), secret: "secret".to_owned() };
        worker_settings(&with(&[&["cluster.leader.urls=http://127.0.0.1:1"], set].concat()), &credentials)
    }

    /// Each setting of the cluster that a worker has, and what it changes.
    #[test]
    fn settings_of_the_cluster_arrive_at_a_worker() {
        let default = of(&[]).unwrap();
        assert_eq!(default.connect_timeout, Duration::from_secs(2));
        assert_eq!(default.backoff.cap, Duration::from_millis(2_400));
        assert_eq!(default.hold, Duration::from_secs(10));
        assert!(default.compression && default.host.is_none());
        let default_plain = default.plain;
        assert!(default.state_file.unwrap().starts_with(".komainu"));

        assert!(!of(&["cluster.compression=-1"]).unwrap().compression);
        assert!(of(&["cluster.compression=0"]).unwrap().compression);
        let named = of(&["cluster.worker.name=w", "cluster.leader.host=api.test"]).unwrap();
        assert_eq!((named.name.as_str(), named.host.as_deref()), ("w", Some("api.test")));
        let patient = of(&["cluster.worker.timeout=3s"]).unwrap();
        assert_eq!(
            (patient.connect_timeout, patient.answer_timeout),
            (Duration::from_secs(3), Duration::from_secs(3))
        );
        let own = of(&["cluster.worker.timeout=3s", "cluster.worker.state.timeout=700"]).unwrap();
        assert_eq!(own.answer_timeout, Duration::from_millis(700), "the state's own one counts");
        assert_eq!(of(&["cluster.worker.state.pollEvery=3s"]).unwrap().hold, Duration::from_secs(3));
        assert_eq!(of(&["cluster.worker.state.pollEvery=1h"]).unwrap().hold, MAX_HOLD);
        assert!(!default_plain && of(&["cluster.worker.state.longPoll=false"]).unwrap().plain);
        assert_eq!(of(&["cluster.worker.bootWait=1s"]).unwrap().boot_wait, Duration::from_secs(1));
        assert_eq!(of(&["cluster.worker.dbpath=/x/y"]).unwrap().state_file, Some("/x/y".into()));
    }

    #[test]
    fn settings_of_quotas_arrive_where_usage_is_told() {
        let of = |set: &[&str]| metering(&with(set));
        let default = of(&[]);
        assert_eq!(default.push_every, Duration::from_secs(2));
        assert_eq!((default.retries, default.timeout), (3, Duration::from_secs(2)));
        let workers = of(&["cluster.worker.retries=7", "cluster.worker.timeout=9s"]);
        assert_eq!((workers.retries, workers.timeout), (7, Duration::from_secs(9)));
        let own = of(&[
            "cluster.worker.retries=7",
            "cluster.worker.quotas.retries=1",
            "cluster.worker.quotas.timeout=3s",
            "cluster.worker.quotas.pushEvery=500ms",
        ]);
        assert_eq!((own.retries, own.timeout), (1, Duration::from_secs(3)), "the quotas' own ones count");
        assert_eq!(
            (own.push_every, own.backoff.cap),
            (Duration::from_millis(500), Duration::from_millis(600))
        );
        assert_eq!(of(&["cluster.worker.quotas.pushEvery=0"]).push_every, MIN_PUSH);
    }

    /// The longest waits after so many failures in a row.
    #[test]
    fn waits_for_a_leader_grow_by_the_settings() {
        let waits = |set: &[&str]| {
            let backoff = of(set).unwrap().backoff;
            [0, 1, 2, 3, 90].map(|failures| backoff.delay(failures, 1.0).as_millis())
        };
        assert_eq!(waits(&[]), [300, 600, 1_200, 2_400, 2_400]);
        assert_eq!(waits(&["cluster.retryDelay=100"]), [100, 200, 400, 800, 800]);
        assert_eq!(waits(&["cluster.retryFactor=3"]), [300, 900, 2_700, 8_100, 8_100]);
        assert_eq!(waits(&["cluster.worker.retries=1"]), [300, 600, 600, 600, 600]);
        let own = waits(&["cluster.worker.retries=2", "cluster.worker.state.retries=0"]);
        assert_eq!(own, [300; 5], "the state's own one counts");
        assert_eq!(waits(&["cluster.worker.retries=90"])[4], LONGEST_BACKOFF.as_millis());
    }

    #[test]
    fn a_secret_that_everybody_knows_stays_on_this_machine() {
        let known = Credentials {
            id: "admin-api-apikey-id".to_owned(),
            secret: "admin-api-apikey-secret".to_owned(),
        };
        let of = |url: &str| worker_settings(&with(&[&format!("cluster.leader.urls={url}")]), &known);
        assert!(of("http://127.0.0.1:1").is_ok());
        assert!(of("http://10.0.0.1:1").unwrap_err().to_string().contains("everybody knows"));
    }
}

//! The settings of a process: defaults, then the file, then the environment, then the command line.

mod environment;
mod fingerprint;
mod listener;
mod millis;
mod names;
mod platform;
mod shown;
mod sources;
mod store;
#[cfg(test)]
mod table_tests;
mod written;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use fingerprint::fingerprint;
pub(crate) use listener::{ClientCertificates, Listener, ListenerProtocol, ListenerTls};
pub(crate) use millis::Millis;
pub(crate) use shown::show;
pub(crate) use sources::load;
pub(crate) use store::Store;

/// Everything that can be set. The names in a file are these in camelCase; `admin.port` is `KOMAINU_ADMIN_PORT` in the
/// environment and `--set admin.port=` on the command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// A folder of YAML resources; none by default.
    pub(crate) resources: Option<PathBuf>,
    /// Where the state store, a worker's state file and generated credentials are kept.
    pub(crate) data_directory: PathBuf,
    pub(crate) admin: Admin,
    /// Where traffic comes in; if none is given: `http` on port 8080. On a worker they change address and port of the
    /// leader's listeners with the same name.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) proxy: Proxy,
    pub(crate) instance: Instance,
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) log: Log,
}

/// The port of the admin API, the cluster endpoints, health and metrics. A worker has only health and metrics there, and
/// its default port is 9001.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Admin {
    pub(crate) address: String,
    /// Default 9000; 9001 on a worker.
    #[serde(deserialize_with = "written::optional")]
    pub(crate) port: Option<u16>,
    pub(crate) tls: AdminTls,
}

/// TLS on that port, if there are a certificate and a key. Files in PEM, which may be replaced while it runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct AdminTls {
    /// The certificate and those that lead to its authority.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// What workers' certificates are signed by. With it, they are what a leader knows its workers by.
    pub(crate) client_authorities: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Proxy {
    /// Threads that proxy; 0: one per core that this process may use.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) threads: usize,
    /// Addresses or networks whose `X-Forwarded-*` and `Forwarded` headers are believed.
    pub(crate) trusted_proxies: Vec<String>,
    /// Connections that a worker has open to one target, all threads together; 0: as many as requests want.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) connections_per_target: usize,
    pub(crate) dns: Dns,
    /// Whether `/.well-known/komainu/ready` and `live` are answered on each listener, in front of all routes.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) readiness: bool,
    /// How long a stopping process says that it isn't ready before it stops accepting, so that load balancers see it.
    pub(crate) drain_delay: Millis,
    /// How long open requests may take to end after that.
    pub(crate) drain_timeout: Millis,
}

/// How names of targets are looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Dns {
    /// Addresses, with a port or not; empty: those of `/etc/resolv.conf`.
    pub(crate) servers: Vec<String>,
    /// A shorter time to live counts as this one.
    pub(crate) min_ttl: Millis,
    /// A longer time to live counts as this one.
    pub(crate) max_ttl: Millis,
}

/// What is so of this process alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Instance {
    pub(crate) location: Location,
}

/// Where a worker runs, for the targets that ask for it by a predicate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Location {
    pub(crate) provider: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) data_center: String,
    pub(crate) rack: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Cluster {
    #[serde(deserialize_with = "written::mode")]
    pub(crate) mode: Mode,
    /// How much work it is worth to compress what goes between leader and worker: −1 none, 0 to 9.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) compression: i8,
    /// The longest wait after a worker's first failure with a leader.
    pub(crate) retry_delay: Millis,
    /// By how much that grows with each further failure.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) retry_factor: u32,
    pub(crate) mtls: Mtls,
    pub(crate) leader: ClusterLeader,
    pub(crate) worker: ClusterWorker,
}

/// How a worker calls leaders with https. Each field means what it means in `tlsConfig` of a Backend.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Mtls {
    /// Otherwise the other fields count for nothing.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) enabled: bool,
    /// Files in PEM: the worker's certificates, each with its key in it or in the file of its name that ends with `key`.
    pub(crate) certs: Vec<PathBuf>,
    /// Files in PEM: what a leader's certificate is, or is signed by; empty: what the system trusts.
    pub(crate) trusted_certs: Vec<PathBuf>,
    /// Takes `trust_all` back.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) loose: bool,
    /// A leader's certificate isn't verified.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) trust_all: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Leader and worker in one process.
    #[default]
    Off,
    Leader,
    Worker,
}

impl Mode {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Leader => "leader",
            Self::Worker => "worker",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterLeader {
    /// What a leader calls itself; the host's name if absent.
    pub(crate) name: Option<String>,
    /// Where workers find leaders.
    pub(crate) urls: Vec<String>,
    /// The `Host` that workers ask for; what the URL says if absent.
    pub(crate) host: Option<String>,
    pub(crate) client_id: Option<String>,
    #[serde(deserialize_with = "written::secret")]
    pub(crate) client_secret: Option<String>,
    /// Further pairs, each for workers that may have a part of the state only.
    pub(crate) clients: Vec<ClusterClient>,
    /// How long what was encoded for workers is kept when nobody asks for it. Never a delay.
    pub(crate) cache_state_for: Millis,
    /// How many leaders there are; several take what is written by the admin API only if they have one store.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) replicas: u32,
    /// Where other leaders find this one, to hand on what workers say.
    pub(crate) advertised_url: Option<String>,
    /// The projected token of this pod, shown to other leaders.
    pub(crate) token_file: Option<PathBuf>,
}

/// A client id with its secret, and which Routes its workers may have; a list that is empty doesn't limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterClient {
    pub(crate) client_id: String,
    #[serde(deserialize_with = "written::secret")]
    pub(crate) client_secret: Option<String>,
    #[serde(deserialize_with = "written::list")]
    pub(crate) namespaces: Vec<String>,
    /// `key=value`.
    #[serde(deserialize_with = "written::list")]
    pub(crate) labels: Vec<String>,
    #[serde(deserialize_with = "written::list")]
    pub(crate) tenants: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterWorker {
    /// The name shown in the list of members; the host's name if absent.
    pub(crate) name: Option<String>,
    /// The projected token of this pod, shown to leaders instead of client id and secret.
    pub(crate) token_file: Option<PathBuf>,
    /// How often the wait for a leader grows.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) retries: u32,
    /// The longest that connecting to a leader may take, its silence beyond the hold of a poll, and a gap in its answer.
    pub(crate) timeout: Millis,
    /// Where what is served is kept for a start without a leader; a file in the data directory if absent.
    pub(crate) dbpath: Option<PathBuf>,
    /// How long a worker that starts waits for a leader before it is ready with what it has on disk.
    pub(crate) boot_wait: Millis,
    pub(crate) state: ClusterWorkerState,
    pub(crate) quotas: ClusterWorkerQuotas,
    pub(crate) selector: ClusterWorkerSelector,
}

/// Which Routes a worker takes, with what they reference. All that is given must hold; any item of a list is enough.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterWorkerSelector {
    pub(crate) namespaces: Vec<String>,
    /// `key=value`; of each key that is given one value must hold.
    pub(crate) labels: Vec<String>,
    pub(crate) tenants: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterWorkerState {
    /// That of the worker if absent.
    #[serde(deserialize_with = "written::optional")]
    pub(crate) retries: Option<u32>,
    /// How long a poll is held by the leader while nothing changes; at most 25 s. Also the interval of polls that aren't held.
    pub(crate) poll_every: Millis,
    /// Polls may be held.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) long_poll: bool,
    /// That of the worker if absent.
    pub(crate) timeout: Option<Millis>,
}

/// How a worker tells what requests came to, and hears of the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterWorkerQuotas {
    /// How often. What a crash loses, and by how much limits may be passed, is what comes in this time.
    pub(crate) push_every: Millis,
    /// How often a push is tried again that fails. That of the worker if absent.
    #[serde(deserialize_with = "written::optional")]
    pub(crate) retries: Option<u32>,
    /// The longest that a push may take. That of the worker if absent.
    pub(crate) timeout: Option<Millis>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Kubernetes {
    #[serde(deserialize_with = "written::plain")]
    pub(crate) enabled: bool,
    /// Namespaces to watch; empty: all.
    pub(crate) namespaces: Vec<String>,
    /// The Lease in the own namespace whose holder writes statuses; without one this leader does.
    pub(crate) lease: Option<String>,
    /// What the tokens of workers and leaders are made for.
    pub(crate) audience: String,
    pub(crate) workers: KubernetesWorkers,
    pub(crate) leaders: KubernetesLeaders,
}

/// Workers in pods.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct KubernetesWorkers {
    /// `namespace/name`: whoever shows a token of it is a worker.
    pub(crate) service_account: Option<String>,
    /// The labels of their pods in the own namespace, as kubectl takes them; the ready ones are counted.
    pub(crate) selector: Option<String>,
}

/// Leaders in pods, among each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct KubernetesLeaders {
    /// `namespace/name`: whoever shows a token of it is a leader.
    pub(crate) service_account: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Log {
    /// What is logged: a level, or levels by target, as in `info,komainu=debug`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// Every key that there is: those of `docs/settings.md`, with the fields of a listener in the place of `listeners`.
#[cfg(test)]
pub(crate) fn keys() -> Vec<String> {
    let listener = Listener {
        port: Some(1),
        advertised_port: Some(1),
        tls: Some(ListenerTls::default()),
        ..Listener::default()
    };
    let fields = sources::leaf_keys(&serde_json::to_value(listener).unwrap());
    let keys = sources::leaf_keys(&sources::to_value(&Settings::default()));
    let others = keys.into_iter().filter(|key| key != "listeners");
    others.chain(fields.iter().map(|field| format!("listeners.{field}"))).collect()
}

impl Settings {
    /// The listeners of a leader or standalone.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        if !self.listeners.is_empty() {
            return self.listeners.clone();
        }
        vec![Listener::default()]
    }

    /// What bounds a worker's calls of its leaders.
    pub(crate) fn poll_timeout(&self) -> Millis {
        self.cluster.worker.state.timeout.unwrap_or(self.cluster.worker.timeout)
    }

    pub(crate) fn push_timeout(&self) -> Millis {
        self.cluster.worker.quotas.timeout.unwrap_or(self.cluster.worker.timeout)
    }

    pub(crate) fn push_retries(&self) -> u32 {
        self.cluster.worker.quotas.retries.unwrap_or(self.cluster.worker.retries)
    }

    pub(crate) fn poll_retries(&self) -> u32 {
        self.cluster.worker.state.retries.unwrap_or(self.cluster.worker.retries)
    }

    pub(crate) fn admin_port(&self) -> u16 {
        self.admin.port.unwrap_or(if self.cluster.mode == Mode::Worker { 9001 } else { 9000 })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resources: None,
            data_directory: PathBuf::from(".komainu"),
            admin: Admin::default(),
            listeners: Vec::new(),
            proxy: Proxy::default(),
            instance: Instance::default(),
            cluster: Cluster::default(),
            store: Store::default(),
            kubernetes: Kubernetes::default(),
            log: Log::default(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: "127.0.0.1".to_owned(), port: None, tls: AdminTls::default() }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            threads: 0,
            trusted_proxies: Vec::new(),
            connections_per_target: 1024,
            dns: Dns::default(),
            readiness: false,
            drain_delay: Millis(0),
            drain_timeout: Millis(30_000),
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            compression: 4,
            retry_delay: Millis(300),
            retry_factor: 2,
            mtls: Mtls::default(),
            leader: ClusterLeader::default(),
            worker: ClusterWorker::default(),
        }
    }
}

impl Default for ClusterLeader {
    fn default() -> Self {
        Self {
            name: None,
            urls: Vec::new(),
            host: None,
            client_id: None,
            client_secret: None,
            clients: Vec::new(),
            cache_state_for: Millis(4_000),
            replicas: 1,
            advertised_url: None,
            token_file: None,
        }
    }
}

impl Default for ClusterWorker {
    fn default() -> Self {
        Self {
            name: None,
            token_file: None,
            retries: 3,
            timeout: Millis(2_000),
            dbpath: None,
            boot_wait: Millis(5_000),
            state: ClusterWorkerState::default(),
            quotas: ClusterWorkerQuotas::default(),
            selector: ClusterWorkerSelector::default(),
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), min_ttl: Millis(1_000), max_ttl: Millis(300_000) }
    }
}

impl Default for ClusterWorkerState {
    fn default() -> Self {
        Self { retries: None, poll_every: Millis(10_000), long_poll: true, timeout: None }
    }
}

impl Default for ClusterWorkerQuotas {
    fn default() -> Self {
        Self { push_every: Millis(2_000), retries: None, timeout: None }
    }
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            enabled: false,
            namespaces: Vec::new(),
            lease: None,
            audience: "komainu".to_owned(),
            workers: KubernetesWorkers::default(),
            leaders: KubernetesLeaders::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use dataplane_snapshot::{Key, Kind};
use e2e::kube::{ApiServer, Kubectl, User};
use e2e::process::until;
use operator_core::overview::{Overviews, Survey};
use operator_core::programmed::{Applied, Counted, Ledger, Share};
use operator_core::reports::{BackendHealth, TargetHealth};
use operator_core::{ListenerSettings, Memo, SourceView, World, plan};
use operator_kubernetes::{KubernetesSettings, Links, Mirroring, SourceMetrics};
use operator_store::{EmbeddedSettings, EmbeddedStore, StateStore};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A namespace of its own on the shared API server, with the definitions.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) server: Arc<ApiServer>,
}

impl Namespace {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let server = ApiServer::shared()?;
        define(&server.kubectl())?;
        server.kubectl().must(&["create", "namespace", name])?;
        Ok(Self { name: name.to_owned(), server })
    }

    /// kubectl in this namespace.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.server.kubectl().within(&self.name)
    }

    /// A leader for this namespace alone.
    pub(crate) fn leader(&self) -> anyhow::Result<Leader> {
        let folder = tempfile::tempdir()?;
        let mut leader = Leader::start(&self.server, User::Admin, &[&self.name], folder.path())?;
        leader.folder = Some(folder);
        Ok(leader)
    }
}

/// Applies the definitions and waits until the API server serves them.
pub(crate) fn define(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.must_with(&crds::to_yaml(), &["apply", "--server-side", "-f", "-"])?;
    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/backends.komainu.dev"])?;
    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/routes.komainu.dev"])?;
    // What kubectl asks for kinds may lag behind.
    for kind in ["backends.komainu.dev", "routes.komainu.dev"] {
        until("the kind is known", || kubectl.must(&["get", kind]).ok());
    }
    Ok(())
}

/// What a worker of a [`Leader`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    /// Applies each snapshot at once.
    Prompt,
    /// Applies nothing.
    Stuck,
}

/// By the name of a Backend: its targets, and whether each gets requests.
pub(crate) type Told = BTreeMap<&'static str, Vec<(&'static str, bool)>>;

/// A leader in this process: the real source and the real planning, with made-up workers.
pub(crate) struct Leader {
    pub(crate) views: watch::Receiver<Option<Arc<SourceView>>>,
    pub(crate) workers: watch::Sender<Vec<Worker>>,
    /// What the workers say of targets, by the names of Backends.
    pub(crate) health: watch::Sender<Told>,
    /// Whether it holds the lease.
    pub(crate) may_write: watch::Sender<bool>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) runtime: Runtime,
    metrics: Registry,
    // After the runtime, whose tasks end with it.
    folder: Option<TempDir>,
}

impl Leader {
    /// Watches as `user`; no namespaces are all. The store is kept in `folder`.
    pub(crate) fn start(
        server: &ApiServer,
        user: User,
        namespaces: &[&str],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        operator_kubernetes::install_crypto_provider();
        let runtime = Runtime::new()?;
        let store = EmbeddedStore::open(folder.join("state.redb"), EmbeddedSettings::default())?;
        let store: Arc<dyn StateStore> = Arc::new(store);
        let client = runtime.block_on(operator_kubernetes::connect(Some(&server.kubeconfig(user))))?;
        let settings = KubernetesSettings {
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            ..KubernetesSettings::default()
        };
        let (views_in, views) = watch::channel(None);
        let (overviews_in, overviews) = watch::channel(Overviews::default());
        let workers = watch::Sender::new(vec![Worker::Prompt]);
        let (health, may_write) = (watch::Sender::default(), watch::Sender::new(true));
        let mut metrics = Registry::default();
        let links = Links {
            store: store.clone(),
            views: views_in,
            overviews,
            may_write: may_write.subscribe(),
            mirroring: watch::channel(Mirroring::Own).1,
            behind: Arc::default(),
            metrics: SourceMetrics::register(&mut metrics),
        };
        runtime.spawn(operator_kubernetes::run(client, settings, links, std::future::pending()));
        runtime.spawn(judge(views.clone(), workers.subscribe(), health.subscribe(), overviews_in));
        Ok(Self { views, workers, health, may_write, store, runtime, metrics, folder: None })
    }

    /// What the source says now; nothing before its first view.
    pub(crate) fn view(&self) -> Option<Arc<SourceView>> {
        self.views.borrow().clone()
    }

    /// Whether its metrics have this line.
    pub(crate) fn measures(&self, line: &str) -> bool {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).is_ok()
            && text.lines().any(|shown| shown == line)
    }

    /// The names of all Backends and Routes, once there is a view.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let view = self.view()?;
        let ours = view.objects.keys().filter(|key| matches!(key.kind(), Kind::Backend | Kind::Route));
        Some(ours.map(|key| format!("{}/{}", key.kind(), key.name())).collect())
    }
}

async fn judge(
    mut views: watch::Receiver<Option<Arc<SourceView>>>,
    mut workers: watch::Receiver<Vec<Worker>>,
    mut health: watch::Receiver<Told>,
    overviews: watch::Sender<Overviews>,
) {
    let listener = ListenerSettings::http("http", 8080);
    let listeners = Arc::new(vec![listener]);
    let (mut memo, mut ledger, mut survey) = (Memo::default(), Ledger::default(), Survey::default());
    loop {
        let view = views.borrow_and_update().clone();
        let behaviours = workers.borrow_and_update().clone();
        let told = health.borrow_and_update().clone();
        if let Some(view) = view {
            let (planned, next) = plan(&World::join(listeners.clone(), [&*view]), &memo);
            memo = next;
            ledger.record(&planned.statuses, &planned.snapshot);
            let root = planned.snapshot.root();
            let applied = Applied {
                root,
                as_of: planned.snapshot.as_of().clone(),
                rejected: BTreeMap::new(),
                more_rejected: false,
            };
            let counted: Vec<_> = behaviours
                .iter()
                .enumerate()
                .map(|(index, worker)| Counted {
                    name: format!("w{index}"),
                    ack: (*worker == Worker::Prompt).then(|| applied.clone()),
                    lost: false,
                    share: Share::Whole,
                })
                .collect();
            let verdicts = ledger.verdicts(&counted, root);
            // Inline ones have keys of their own, which no object has.
            let inline = verdicts.values().flat_map(|verdict| &verdict.status.targets).map(|of| &of.backend);
            let told_of = verdicts.keys().chain(inline).filter(|key| told.contains_key(key.name()));
            let backends = told_of.cloned().collect();
            let shown = survey.update(verdicts, backends, |backend| merged(told.get(backend.name())));
            overviews.send_replace(shown.clone());
        }
        let alive = tokio::select! {
            alive = views.changed() => alive,
            alive = workers.changed() => alive,
            alive = health.changed() => alive,
        };
        if alive.is_err() {
            return;
        }
    }
}

/// As one worker says.
fn merged(told: Option<&Vec<(&'static str, bool)>>) -> BackendHealth {
    let target = |(id, is_ready): &(&'static str, bool)| TargetHealth {
        target: (*id).into(),
        ready: usize::from(*is_ready),
        out: usize::from(!is_ready),
        open_breakers: 0,
        since: None,
        reason: (!is_ready).then(|| "status 503".into()),
    };
    BackendHealth { targets: told.into_iter().flatten().map(target).collect() }
}

/// A key, written out.
pub(crate) fn key(text: &str) -> anyhow::Result<Key> {
    text.parse().with_context(|| format!("{text:?} isn't a key"))
}

/// A Backend with one target of this host name.
pub(crate) fn backend(name: &str, hostname: &str) -> String {
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{targets: [{{hostname: {hostname}, port: 80}}]}}
"
    )
}

/// A Route of a path to a Backend.
pub(crate) fn route(name: &str, path: &str, backend: &str) -> String {
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {name}}}
spec:
  matches: [{{paths: [{{value: {path}}}]}}]
  backends: [{{ref: {{name: {backend}}}}}]
"
    )
}

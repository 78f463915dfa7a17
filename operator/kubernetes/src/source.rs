use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane_snapshot::{Epoch, Kind};
use jiff::Timestamp;
use kube::Client;
use kube::api::DynamicObject;
use operator_core::SourceView;
use operator_core::overview::Overviews;
use operator_store::StateStore;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::collection::{Collection, Listed, Outcome};
use crate::error::SourceError;
use crate::follow::{Ear, Follower, Heard};
use crate::metrics::SourceMetrics;
use crate::mirror::{self, Mirrored, Mirroring};
use crate::named::SecretName;
use crate::presence;
use crate::read::{key_of, present, revision};
use crate::scope::Scope;
use crate::secret;
use crate::secrets::Secrets;
use crate::status::{Shows, Told, show};
use crate::watched::{View, Watched};

/// Events that wait to be taken; more make the watches wait.
const WAITING_EVENTS: usize = 1024;

#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    /// The namespaces to watch; empty: all.
    pub namespaces: Vec<String>,
    /// Secrets that are read whatever Backends and Routes name: those of settings.
    pub secrets: Vec<SecretName>,
    /// How long the API server may be silent at the start before the mirror is served. Default 2 s.
    pub mirror_after: Duration,
    /// Tells this leader from others, in the events that it makes.
    pub instance: String,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            secrets: Vec::new(),
            mirror_after: Duration::from_secs(2),
            instance: String::new(),
        }
    }
}

/// What the source is joined to.
pub struct Links {
    /// Keeps the mirror.
    pub store: Arc<dyn StateStore>,
    /// Gets every complete view, and nothing before the first.
    pub views: watch::Sender<Option<Arc<SourceView>>>,
    /// What there is to say about the objects.
    pub overviews: watch::Receiver<Overviews>,
    /// Whether this leader writes statuses, or another one.
    pub may_write: watch::Receiver<bool>,
    /// Whether this leader keeps the mirror, or another one.
    pub mirroring: watch::Receiver<Mirroring>,
    /// Asks for new lists, as this leader is known to have seen less than another one.
    pub behind: Arc<Notify>,
    pub metrics: SourceMetrics,
}

/// Watches the API server, publishes what there is, mirrors it, and writes statuses, until `stop` resolves. The API server
/// may come and go; what was last known stays.
pub async fn run(client: Client, settings: KubernetesSettings, links: Links, stop: impl Future<Output = ()>) {
    let scopes = Scope::all(&settings.namespaces);
    let mirrored =
        mirror::load(&*links.store, |namespace| scopes.iter().any(|scope| scope.covers(namespace))).await;
    let (heard, events) = mpsc::channel(WAITING_EVENTS);
    let (told, news) = mpsc::unbounded_channel();
    let (to_mirror, to_be_mirrored) = watch::channel(None);

    let mut tasks = JoinSet::new();
    tasks.spawn(mirror::keep(links.store, to_be_mirrored, links.mirroring));
    let Links { overviews, may_write, behind, metrics, .. } = links;
    let shows = Shows { overviews, may_write, instance: settings.instance };
    tasks.spawn(show(client.clone(), news, shows));
    let mut again = Vec::new();
    for (index, scope) in scopes.iter().enumerate() {
        let notify = Arc::new(Notify::new());
        again.push(notify.clone());
        let follower = Follower {
            ear: Ear::Scope(index),
            scope: scope.clone(),
            client: client.clone(),
            heard: heard.clone(),
            again: notify,
            version: 0,
        };
        tasks.spawn(follower.run());
    }

    let empty = BTreeMap::new();
    let objects = mirrored.as_ref().map_or(&empty, |mirrored| &mirrored.objects);
    let epoch = mirrored.as_ref().map(|mirrored| &mirrored.as_of.epoch);
    let (answers, presence) = watch::channel(true);
    tasks.spawn(presence::follow(client.clone(), answers));
    let watched = Watched::new(scopes, objects, epoch, &settings.secrets, Instant::now());
    let doubted_until = watched.doubted_until();
    let source = Source {
        watched,
        secrets: Secrets::new(client, heard),
        views: links.views,
        to_mirror,
        told,
        behind,
        metrics,
        again,
        unproved: BTreeSet::new(),
        list_again: BTreeMap::new(),
        doubted_until,
        troubles: BTreeMap::new(),
        is_published: false,
    };
    tokio::select! {
        () = source.run(events, presence, mirrored, settings.mirror_after) => {}
        () = stop => {}
    }
    tasks.shutdown().await;
}

struct Source {
    watched: Watched,
    secrets: Secrets,
    views: watch::Sender<Option<Arc<SourceView>>>,
    to_mirror: watch::Sender<Option<Arc<View>>>,
    told: mpsc::UnboundedSender<Told>,
    behind: Arc<Notify>,
    metrics: SourceMetrics,
    /// Per scope: asks its loop for a new list.
    again: Vec<Arc<Notify>>,
    /// Scopes whose newest list isn't believed.
    unproved: BTreeSet<usize>,
    /// Per scope: when to ask, to have proof.
    list_again: BTreeMap<usize, Instant>,
    /// When to ask for slices, as what was doubted is believed from then on.
    doubted_until: Option<Instant>,
    /// What was last said to be wrong, so that it is said once.
    troubles: BTreeMap<Ear, SourceError>,
    is_published: bool,
}

impl Source {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<(Ear, Heard)>,
        mut presence: watch::Receiver<bool>,
        mut mirrored: Option<Mirrored>,
        mirror_after: Duration,
    ) {
        let give_up = Instant::now() + mirror_after;
        loop {
            self.secrets.follow(self.watched.named());
            let list_again = self.list_again.values().copied().chain(self.doubted_until).min();
            tokio::select! {
                event = events.recv() => {
                    let Some((ear, heard)) = event else { return };
                    let mut changed = self.hear(ear, heard);
                    // What has come meanwhile becomes one view.
                    while let Ok((ear, heard)) = events.try_recv() {
                        changed |= self.hear(ear, heard);
                    }
                    if changed {
                        self.publish();
                    }
                }
                () = self.behind.notified() => self.list_all(),
                Ok(()) = presence.changed() => {
                    let is_there = *presence.borrow_and_update();
                    self.present(is_there);
                }
                () = sleep_until(give_up.into()), if mirrored.is_some() => {
                    if let Some(mirrored) = mirrored.take().filter(|_| !self.is_published) {
                        self.publish_mirror(&mirrored);
                    }
                }
                () = sleep_until(list_again.unwrap_or(give_up).into()), if list_again.is_some() => self.ask_again(),
            }
        }
    }

    /// Whether there may be another view.
    fn hear(&mut self, ear: Ear, heard: Heard) -> bool {
        match ear {
            Ear::Scope(index) => {
                let changed = self.take(index, heard);
                self.measure(index);
                changed
            }
            Ear::Secret(name) => self.take_secret(&name, heard),
        }
    }

    fn measure(&self, index: usize) {
        if let Some(kind) = self.watched.scope(index).map(Scope::kind) {
            self.metrics.unproved(kind, self.watched.unproved(kind));
        }
    }

    /// Whether there may be another view.
    fn take_secret(&mut self, name: &SecretName, heard: Heard) -> bool {
        let read = |object: &DynamicObject| secret::read(&name.namespace, &name.name, object, &now());
        let of = |object: &DynamicObject| {
            revision(object.metadata.resource_version.as_deref()).unwrap_or_default()
        };
        let changed = match heard {
            Heard::Listed(Listed { revision, objects, .. }) => {
                let objects = objects.first().map(read).unwrap_or_default();
                self.watched.secret(name, objects, revision)
            }
            Heard::Applied(object) => self.watched.secret(name, read(&object), of(&object)),
            Heard::Deleted(object) => self.watched.secret(name, Vec::new(), of(&object)),
            Heard::Reached(revision) => {
                self.watched.secret_reached(name, revision);
                false
            }
            Heard::Failed(error) | Heard::Absent { reason: error, .. } => {
                // Before the first view it may come yet; later nobody else waits for it.
                let is_enough =
                    self.is_published || !matches!(error, SourceError::Unreachable(_) | SourceError::Slow(_));
                self.failed(Ear::Secret(name.clone()), error);
                return is_enough && self.watched.secret_failed(name);
            }
        };
        self.recovered(&Ear::Secret(name.clone()));
        changed
    }

    /// Whether there may be another view.
    fn take(&mut self, index: usize, heard: Heard) -> bool {
        let Some(scope) = self.watched.scope(index).cloned() else { return false };
        let (kind, now) = (scope.kind(), Instant::now());
        let (outcome, told) = match heard {
            Heard::Failed(error) => {
                self.failed(Ear::Scope(index), error);
                return false;
            }
            Heard::Reached(revision) => {
                // Also without other objects: workers that had another leader may know of a later revision than this one did.
                let reach = |collection: &mut Collection| {
                    let changed = collection.reach(Some(revision));
                    Outcome { changed, ..Outcome::default() }
                };
                (self.watched.update(index, reach), None)
            }
            Heard::Absent { epoch, revision, reason } => {
                return self.absent(index, epoch, revision, reason);
            }
            Heard::Applied(object) => {
                let told = key_of(kind, &object).map(|key| Told::Shown(key, present(&object)));
                (self.watched.update(index, |collection| collection.apply(&object, now)), told)
            }
            Heard::Deleted(object) => {
                let told = key_of(kind, &object).map(Told::Gone);
                (self.watched.update(index, |collection| collection.delete(&object)), told)
            }
            Heard::Listed(listed) => {
                let shown = listed.objects.iter();
                let shown =
                    shown.filter_map(|object| Some((key_of(kind, object)?, present(object)))).collect();
                let told = Told::Listed(scope.clone(), shown);
                let outcome = self.watched.update(index, |of| of.list(listed, now));
                self.schedule(index, outcome.list_again);
                (outcome, Some(told))
            }
        };
        self.recovered(&Ear::Scope(index));
        // The status writer ends only together with this loop.
        let _ = told.filter(|_| scope.has_status()).map(|told| self.told.send(told).is_ok());
        outcome.changed
    }

    /// Whether there may be another view.
    fn absent(&mut self, index: usize, epoch: Epoch, revision: u64, reason: SourceError) -> bool {
        let is_known = !matches!(reason, SourceError::CrdMissing(_));
        let outcome = self.watched.update(index, |of| of.absent(epoch, revision, is_known, Instant::now()));
        self.schedule(index, outcome.list_again);
        if is_known {
            self.failed(Ear::Scope(index), reason);
        } else {
            self.troubles.remove(&Ear::Scope(index));
        }
        outcome.changed
    }

    fn schedule(&mut self, index: usize, list_again: Option<Instant>) {
        let Some(scope) = self.watched.scope(index) else { return };
        let Some(at) = list_again else {
            if self.unproved.remove(&index) {
                tracing::info!(source = "kubernetes", "the list of {scope} is believed again");
            }
            self.list_again.remove(&index);
            return;
        };
        self.list_again.insert(index, at);
        if self.unproved.insert(index) {
            tracing::warn!(
                source = "kubernetes",
                "a new list lacks more than half of the {scope}; they are kept until a second list, 30 s later, lacks them too"
            );
        }
    }

    /// The API server went away, or came back.
    fn present(&mut self, is_there: bool) {
        let now = Instant::now();
        if !is_there {
            self.watched.away(now);
            return;
        }
        let Some(until) = self.watched.back(now) else { return };
        self.doubted_until = Some(until);
        // A watch whose connection died silently would notice in minutes only.
        self.list_all();
        tracing::warn!(
            source = "kubernetes",
            "the API server was away for long: for 5 minutes, pods that were ready before get requests though they are called \
             unready, while they are more than the ready ones of a Service"
        );
    }

    fn list_all(&self) {
        self.again.iter().for_each(|notify| notify.notify_one());
    }

    fn ask_again(&mut self) {
        let now = Instant::now();
        let due = self.list_again.extract_if(.., |_, at| *at <= now);
        let mut due: BTreeSet<usize> = due.map(|(index, _)| index).collect();
        if self.doubted_until.take_if(|until| *until <= now).is_some() {
            due.extend(self.watched.of_kind(Kind::Slice));
        }
        for notify in due.iter().filter_map(|index| self.again.get(*index)) {
            notify.notify_one();
        }
    }

    fn publish(&mut self) {
        let Some(view) = self.watched.view() else { return };
        let view = Arc::new(view);
        if !std::mem::replace(&mut self.is_published, true) {
            tracing::info!(objects = view.observed.len(), "Kubernetes: everything is listed and watched");
        }
        self.views.send_replace(Some(Arc::new(view.source_view())));
        self.to_mirror.send_replace(Some(view));
    }

    fn publish_mirror(&self, mirrored: &Mirrored) {
        tracing::warn!(
            objects = mirrored.objects.len(),
            "Kubernetes: the API server hasn't told yet what there is; serving what was last mirrored"
        );
        self.views.send_replace(Some(Arc::new(mirrored.source_view())));
    }

    fn failed(&mut self, ear: Ear, error: SourceError) {
        let Some(scope) = self.scope(&ear) else { return };
        if self.troubles.get(&ear) != Some(&error) {
            tracing::warn!(%scope, %error, "Kubernetes: no news; what was last known stays");
        }
        self.troubles.insert(ear, error);
    }

    fn recovered(&mut self, ear: &Ear) {
        if self.troubles.remove(ear).is_some()
            && let Some(scope) = self.scope(ear)
        {
            tracing::info!(%scope, "Kubernetes: watching again");
        }
    }

    fn scope(&self, ear: &Ear) -> Option<Scope> {
        match ear {
            Ear::Scope(index) => self.watched.scope(*index).cloned(),
            Ear::Secret(name) => Some(Scope::of_secret(name)),
        }
    }
}

/// As in certificates: see [`secret::read`].
fn now() -> String {
    Timestamp::now().strftime("%Y%m%d%H%M%SZ").to_string()
}

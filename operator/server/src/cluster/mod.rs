//! The endpoints that workers talk to, `/api/cluster/state`, `/api/cluster/ack` and `/api/cluster/report`, the one by which leaders
//! hand on what workers say, `/api/cluster/relay`, that for what workers count, `/api/cluster/usage`, and those that tell of them, `/api/cluster/members` and `/api/cluster/health`.
//!
//! When to answer whom is decided by [`operator_core::session`]; this module moves the bytes. What is sent is encoded once,
//! and shared by all who get the same: the whole of a state, and what changes one that a worker has.

mod acknowledge;
mod authenticate;
mod body;
mod changes;
mod coding;
mod counters;
mod figures;
#[cfg(test)]
mod keep_tests;
mod members;
mod poll;
mod reach;
mod relay;
mod report;
mod state;
mod states;
mod targets;
mod usage;
mod worker_headers;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use dataplane_snapshot::wire::{MAX_PUSH_BYTES, MAX_REPORT_BYTES};
use dataplane_snapshot::{AsOf, Key, Root, Scope, Snapshot};
use operator_core::programmed::{Applied, Counted};
use operator_core::reports::{BackendHealth, Reports};
use operator_core::session::{
    Action, Bearer, Event, Identity, MemberStatus, Place, PollId, Reply, Session, WorkerPods,
};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

pub use coding::Compression;
pub use counters::{ClusterStats, Counters};
pub use figures::Figures;
pub use members::Introduction;
pub use reach::Ends;
pub use relay::{MAX_RELAY_BYTES, SendRelay};

use crate::Credentials;
use crate::usage::Usage;
use relay::Relaying;
use states::States;

/// The longest accepted acknowledgement, in bytes.
pub const MAX_ACK_BYTES: usize = 256 * 1024;

/// The longest accepted manifest, in bytes: of half a million objects.
pub const MAX_MANIFEST_BYTES: usize = 8 * 1024 * 1024;

/// Encoding is kept for at least this long, so that many who ask at once share it.
const SHORTEST_KEEP: Duration = Duration::from_millis(100);

/// Whose token one is; an error is a sentence for the log.
pub type ReadToken = Arc<dyn Fn(&str) -> Result<Bearer, String> + Send + Sync>;

/// Where a node is, by its name. It takes a second at most; `None`: that isn't known.
pub type FindPlace = Arc<dyn Fn(String) -> Finding + Send + Sync>;
pub type Finding = Pin<Box<dyn Future<Output = Option<Place>> + Send>>;

/// The worker pods that count; `None` before they are known.
pub type ReadyPods = watch::Receiver<Option<Arc<WorkerPods>>>;

#[derive(Clone)]
pub struct ClusterSettings {
    pub credentials: Credentials,
    /// Further pairs, for workers that may have only a part of the state.
    pub clients: Vec<Client>,
    /// Workers are known by a certificate that they show inside TLS, and not by the credentials; if there are
    /// [`Self::clients`], by both.
    pub client_certificates: bool,
    /// Tells whose token one is; without it none is taken.
    pub tokens: Option<ReadToken>,
    /// Tells where a node is, for workers that are known by their tokens; without it they aren't told.
    pub find_place: Option<FindPlace>,
    /// How many whole states and large changes are sent at one time; further workers wait in line for a while and are then asked to come
    /// back. Keeps a fleet that starts at once from taking all of the leader's memory and network.
    pub full_sends: usize,
    pub compression: Compression,
    /// How long what was encoded is kept that nobody asks for.
    pub keep_encoded: Duration,
    /// Where it goes what workers count; without it they aren't asked.
    pub usage: Option<Arc<Usage>>,
    /// What this leader calls itself: the header `Komainu-Leader-Name` of its answers.
    pub name: String,
}

/// Whose workers may have no more than what `scope` selects, whatever they ask for.
#[derive(Clone, Debug)]
pub struct Client {
    pub credentials: Credentials,
    pub scope: Scope,
}

impl fmt::Debug for ClusterSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What tests look at, and no secret.
        f.debug_struct("ClusterSettings")
            .field("clients", &self.clients)
            .field("client_certificates", &self.client_certificates)
            .field("compression", &self.compression)
            .field("keep_encoded", &self.keep_encoded)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ClusterSettings {
    /// 32 whole states at one time, compressed, kept for 4 s; a leader without a name.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            clients: Vec::new(),
            client_certificates: false,
            tokens: None,
            find_place: None,
            full_sends: 32,
            compression: Compression::default(),
            keep_encoded: Duration::from_secs(4),
            usage: None,
            name: String::new(),
        }
    }
}

/// The leader's side of the cluster. [`Cluster::run`] must run for polls to be answered.
pub struct Cluster {
    credentials: Credentials,
    clients: Vec<Client>,
    client_certificates: bool,
    tokens: Option<ReadToken>,
    find_place: Option<FindPlace>,
    usage: Option<Arc<Usage>>,
    sessions: Mutex<Sessions>,
    /// Locked before the sessions, by whoever needs both.
    states: Mutex<States>,
    /// Held by whoever makes the part of a scope.
    opening: tokio::sync::Mutex<()>,
    full_sends: Arc<Semaphore>,
    compression: Compression,
    keep_encoded: Duration,
    name: Option<HeaderValue>,
    members_changed: watch::Sender<u64>,
    health_changed: watch::Sender<u64>,
    timer: watch::Sender<Option<Duration>>,
    polls: AtomicU64,
    counters: Counters,
    introduction: OnceLock<Introduction>,
    relaying: Mutex<Relaying>,
    report_arrived: Notify,
    published_at: Mutex<Option<Instant>>,
    started: Instant,
}

#[derive(Default)]
struct Sessions {
    session: Session,
    reports: Reports,
    waiting: HashMap<PollId, oneshot::Sender<Reply>>,
}

impl Cluster {
    pub fn new(settings: ClusterSettings) -> Arc<Self> {
        Arc::new(Self {
            credentials: settings.credentials,
            clients: settings.clients,
            client_certificates: settings.client_certificates,
            tokens: settings.tokens,
            find_place: settings.find_place,
            usage: settings.usage,
            sessions: Mutex::default(),
            states: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            full_sends: Arc::new(Semaphore::new(settings.full_sends)),
            compression: settings.compression,
            keep_encoded: settings.keep_encoded.max(SHORTEST_KEEP),
            name: HeaderValue::try_from(settings.name).ok().filter(|name| !name.is_empty()),
            members_changed: watch::Sender::new(0),
            health_changed: watch::Sender::new(0),
            timer: watch::Sender::new(None),
            polls: AtomicU64::new(0),
            counters: Counters::default(),
            introduction: OnceLock::new(),
            relaying: Mutex::default(),
            report_arrived: Notify::new(),
            published_at: Mutex::default(),
            started: Instant::now(),
        })
    }

    /// The endpoints, behind their own authentication.
    pub fn router(self: &Arc<Self>) -> Router {
        let manifests = post(poll::difference).layer(DefaultBodyLimit::max(MAX_MANIFEST_BYTES));
        Router::new()
            .route("/api/cluster/state", get(poll::state).merge(manifests))
            .route("/api/cluster/ack", post(acknowledge::ack).layer(DefaultBodyLimit::max(MAX_ACK_BYTES)))
            .route("/api/cluster/report", post(report::report).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)))
            .route("/api/cluster/relay", post(relay::take).layer(DefaultBodyLimit::max(MAX_RELAY_BYTES)))
            .route("/api/cluster/usage", post(usage::push).layer(DefaultBodyLimit::max(MAX_PUSH_BYTES)))
            .route("/api/cluster/health", get(targets::health))
            .route("/api/cluster/members", get(members::list))
            .route("/api/cluster/members/{id}", delete(members::forget))
            .layer(from_fn_with_state(self.clone(), authenticate::require))
            .with_state(self.clone())
    }

    /// Publishes each snapshot and keeps the time, until `shutdown` changes or its sender is gone. Then every held poll is
    /// ended, so that workers turn to another leader at once.
    pub async fn run(
        self: Arc<Self>,
        mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut timer = self.timer.subscribe();
        let mut publishing = true;
        let mut keep = tokio::time::interval(self.keep_encoded);
        keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.publish(snapshots.borrow_and_update().clone());
        loop {
            let deadline = *timer.borrow_and_update();
            let due = async {
                match deadline {
                    Some(at) => sleep_until(self.started + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.handle(Event::Timer),
                _ = timer.changed() => {}
                _ = keep.tick() => self.forget_unused(),
                changed = snapshots.changed(), if publishing => match changed {
                    Ok(()) => self.publish(snapshots.borrow_and_update().clone()),
                    Err(_) => publishing = false,
                },
                _ = shutdown.changed() => break,
            }
        }
        self.lock().waiting.clear();
    }

    /// What the worker in this process has in service. It counts as any other member, and is never lost.
    pub fn local_ack(&self, member: Identity, applied: Applied, refused: Option<String>) {
        self.handle(Event::LocalAck { member, applied, refused });
    }

    /// The workers as Programmed counts them; of those in pods the ready ones, if these are known.
    pub fn counted(&self, pods: Option<&WorkerPods>) -> Vec<Counted> {
        self.lock().session.members().counted(pods, self.now())
    }

    pub fn members(&self) -> Vec<MemberStatus> {
        self.lock().session.members().list(self.now()).collect()
    }

    /// Changes whenever something in [`Self::members`] or [`Self::counted`] changes, times aside.
    pub fn members_changed(&self) -> watch::Receiver<u64> {
        self.members_changed.subscribe()
    }

    /// Whether a worker has seen more of a source than this leader, which has seen `mine`.
    pub fn is_behind(&self, mine: &AsOf, source: &str) -> bool {
        self.lock().session.members().are_ahead(mine, source, self.now())
    }

    /// A backend's targets as all workers see them.
    pub fn backend_health(&self, backend: &Key) -> BackendHealth {
        self.lock().reports.health().of(backend)
    }

    /// Changes whenever workers say something else of some target.
    pub fn health_changed(&self) -> watch::Receiver<u64> {
        self.health_changed.subscribe()
    }

    /// The backends of whose targets workers say something else than at the last call.
    pub fn take_health_changes(&self) -> BTreeSet<Key> {
        self.lock().reports.take_changed()
    }

    /// The root that workers on this machine are given now.
    pub fn root(&self) -> Option<Root> {
        self.lock().session.current()
    }

    pub fn stats(&self) -> ClusterStats {
        let sessions = self.lock();
        self.counters.stats(sessions.session.held(), sessions.session.members().len())
    }

    fn publish(&self, snapshot: Option<Arc<Snapshot>>) {
        let Some(snapshot) = snapshot else { return };
        *self.published_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        // Also if the root is the same: a later as-of belongs into later answers.
        self.publish_state(snapshot);
    }

    fn next_poll(&self) -> PollId {
        PollId(self.polls.fetch_add(1, Ordering::Relaxed))
    }

    fn handle(&self, event: Event) {
        let now = self.now();
        let mut sessions = self.lock();
        let may_end = matches!(event, Event::Timer | Event::Forget { .. });
        let actions = sessions.session.handle(event, now);
        if may_end {
            let Sessions { session, reports, .. } = &mut *sessions;
            reports.sweep(now, |id| session.members().has(id));
            self.tell_health(reports);
        }
        for action in actions {
            match action {
                Action::Answer { poll, reply } => {
                    // Nobody may wait any more: the connection is gone, which will be told as Cancelled.
                    let _ = sessions.waiting.remove(&poll).map(|waiting| waiting.send(reply));
                }
                Action::MembersChanged => self.members_changed.send_modify(|changes| *changes += 1),
                Action::SetTimer(at) => {
                    self.timer.send_if_modified(|timer| timer.replace(at) != Some(at));
                }
            }
        }
    }

    fn tell_health(&self, reports: &Reports) {
        if reports.has_changed() {
            self.health_changed.send_modify(|changes| *changes += 1);
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // A panic while it was held can't leave it half changed in a way that matters more than going on.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

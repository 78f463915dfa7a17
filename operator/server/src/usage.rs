//! What workers count: taken into the state store, told to workers as sums, and shown to people.

mod readings;
mod show;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataplane_core::limit::Calendar;
use dataplane_snapshot::wire::{UsageAnswer, UsagePush};
use operator_core::Spec;
use operator_core::usage::{Alive, Push, PushError, over};
use operator_core::used_up::{UsedUp, has_quotas, used_up};
use operator_store::{StateStore, StoreError};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::SendRelay;
use crate::leader::Planned;

use readings::Readings;
pub use show::{Shown, ShownUsage};

/// How often what is too old is dropped.
const DROP_EVERY: Duration = Duration::from_secs(3600);

/// How often it is looked which limits are used up.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a push has no answer.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the leader that counts for all, {url}, doesn't take it: {reason}")]
    Leader { url: String, reason: String },
}

/// Where leaders have a store each, one of them counts for all.
struct Forward {
    /// `None`: this one does.
    to: watch::Receiver<Option<String>>,
    send: SendRelay,
}

/// The usage of routes, as all workers count it.
pub struct Usage {
    store: Arc<dyn StateStore>,
    limited: Readings,
    /// For workers without limited routes, who needn't wait for what others have counted.
    beats: Readings,
    /// New with each process.
    leader: String,
    alive: Mutex<Alive>,
    forward: Option<Forward>,
    started: Instant,
    used_up: watch::Sender<Arc<UsedUp>>,
}

impl Usage {
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        let leader = uuid::Uuid::new_v4().to_string();
        let used_up = watch::Sender::default();
        let [limited, beats] = [(); 2].map(|()| Readings::new(store.clone()));
        let (alive, started) = (Mutex::default(), Instant::now());
        Self { store, limited, beats, leader, alive, forward: None, started, used_up }
    }

    /// For a leader with a store of its own beside others: the one with the URL of `to` counts for all.
    #[must_use]
    pub fn forwarding(mut self, to: watch::Receiver<Option<String>>, send: SendRelay) -> Self {
        self.forward = Some(Forward { to, send });
        self
    }

    /// Takes what the worker with this id has counted, of routes that it `may` tell of. At least `members` workers share the
    /// limits.
    pub async fn take(
        &self,
        worker: &str,
        push: UsagePush,
        may: impl Fn(&dataplane_snapshot::Key) -> bool + Send,
        members: u32,
    ) -> Result<UsageAnswer, UsageError> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut read = Push::read(push.clone(), worker, since_1970)?;
        read.retain(may);
        let to = self.forward.as_ref().and_then(|forward| Some((forward, forward.to.borrow().clone()?)));
        if let Some((forward, url)) = to {
            if push.member.is_some() {
                let reason = "this leader doesn't count for all any more".to_owned();
                return Err(UsageError::Leader { url, reason });
            }
            return forward.hand_on(url, &read, worker, push).await;
        }
        self.store.raise_usage(&read.rows).await?;
        let readings = if read.limited.is_empty() { &self.beats } else { &self.limited };
        let sums = readings.read(read.asks()).await?;
        let now = self.started.elapsed();
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = alive.count(sums.beats(&read.windows), worker, now).max(members);
        Ok(read.answer(&sums, &self.told_by(), workers))
    }

    /// Another name with each process and each epoch of the store: workers tell it again what may have been lost with the one before.
    fn told_by(&self) -> String {
        self.store.epoch().map_or_else(|| self.leader.clone(), |epoch| format!("{}/{epoch}", self.leader))
    }

    /// Which limits of Routes are used up for now; see [`Self::look`].
    pub fn used_up(&self) -> watch::Receiver<Arc<UsedUp>> {
        self.used_up.subscribe()
    }

    /// Looks now and then which limits are used up, for as long as it is awaited.
    pub async fn look(&self, planned: watch::Receiver<Option<Arc<Planned>>>) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let Some(planned) = planned.borrow().clone() else { continue };
            match self.look_at(&planned).await {
                Ok(now) => {
                    self.used_up.send_if_modified(|before| {
                        let changed = **before != now;
                        *before = Arc::new(now);
                        changed
                    });
                }
                // What was known stays.
                Err(error) => tracing::debug!(%error, "which limits are used up can't be read"),
            }
        }
    }

    async fn look_at(&self, planned: &Planned) -> Result<UsedUp, StoreError> {
        let routes = planned.world.routes.iter().filter_map(|(key, route)| match &route.spec {
            Spec::Route(spec) if has_quotas(spec) => Some((key.clone(), spec.clone())),
            _ => None,
        });
        let routes: Vec<_> = routes.collect();
        if routes.is_empty() {
            return Ok(UsedUp::new());
        }
        let now = Calendar::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let names: Vec<_> = routes.iter().map(|(key, _)| key.to_string()).collect();
        let mut rows = self.store.usage(&now.day().to_string(), Some(&names)).await?;
        rows.extend(self.store.usage(&now.month().to_string(), Some(&names)).await?);
        Ok(used_up(routes.iter().map(|(key, spec)| (key, &**spec)), &rows, now))
    }

    /// Drops what is too old, now and then, for as long as it is awaited. All leaders of a store may do it.
    pub async fn drop_old(&self) {
        let mut every = tokio::time::interval(DROP_EVERY);
        loop {
            every.tick().await;
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            for window in over(since_1970) {
                if let Err(error) = self.store.drop_usage(&window).await {
                    tracing::debug!(%error, window, "usage that is too old isn't dropped yet");
                    break;
                }
            }
        }
    }
}

impl Forward {
    async fn hand_on(
        &self,
        url: String,
        read: &Push,
        worker: &str,
        push: UsagePush,
    ) -> Result<UsageAnswer, UsageError> {
        let may: BTreeSet<&str> = read.rows.iter().map(|row| &*row.of.route).collect();
        let totals = push.totals.into_iter().filter(|total| may.contains(&*total.route)).collect();
        let (id, name) = (worker.to_owned(), worker.to_owned());
        let member = dataplane_snapshot::wire::Member { id, name, version: "-".to_owned() };
        let limited = read.limited.clone();
        let push = UsagePush { member: Some(member), totals, limited, windows: push.windows };
        let failed = |reason: String| UsageError::Leader { url: url.clone(), reason };
        let answer = (self.send)(url.clone(), push.encode_to_vec().into()).await.map_err(failed)?;
        UsageAnswer::decode(answer).map_err(|error| failed(error.to_string()))
    }
}

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dataplane_core::limit::{Calendar, Instant, Meter, UsageStates};
use dataplane_core::subscription::Backoff;
use dataplane_snapshot::wire::{UsageAnswer, UsagePush};
use http::Method;
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::client::Client;
use super::report::leader_of;
use super::{WorkerError, WorkerHealth, WorkerSettings};
use crate::Proxy;

/// How soon after a push another one may follow that is urgent.
const SOONEST: Duration = Duration::from_millis(100);

/// What a push takes that is smaller than usual, in which the others may not have told what they have.
const GAP: (u32, u32) = (3, 4);

/// Hands a push to whoever keeps the totals; `Err` is a sentence.
pub type SendUsage = Arc<dyn Fn(UsagePush) -> Sending + Send + Sync>;
pub type Sending = Pin<Box<dyn Future<Output = Result<UsageAnswer, String>> + Send>>;

/// How it is told what requests came to.
#[derive(Clone, Copy, Debug)]
pub struct Metering {
    pub push_every: Duration,
    /// The longest that a push may take.
    pub timeout: Duration,
    /// How often one is tried again that failed, before the next one is due.
    pub retries: u32,
    pub backoff: Backoff,
}

/// Pushes to the leader that the worker follows. `None` if the name or the credentials can't be in a header.
pub fn to_leader(
    settings: WorkerSettings,
    id: String,
    health: watch::Receiver<WorkerHealth>,
) -> Result<SendUsage, WorkerError> {
    let name = settings.name.clone();
    let client = Arc::new(Client::new(Arc::new(settings), id).ok_or(WorkerError::Name(name))?);
    Ok(Arc::new(move |push: UsagePush| {
        let (client, mut health) = (client.clone(), health.clone());
        Box::pin(async move {
            // At the start none may be followed yet.
            let followed = health.wait_for(|health| leader_of(health).is_some()).await;
            let followed = followed.map_err(|_| "the worker ends")?.clone();
            let url = leader_of(&followed).ok_or("no leader is followed")?;
            let body: Bytes = push.encode_to_vec().into();
            let answer = client.call(&url, Method::POST, "/api/cluster/usage", body).await;
            match answer.map_err(|failure| failure.to_string())? {
                (status, body) if status.is_success() => {
                    UsageAnswer::decode(body).map_err(|error| error.to_string())
                }
                (status, body) => {
                    Err(format!("{url} answered {status}: {}", String::from_utf8_lossy(&body).trim()))
                }
            }
        })
    }))
}

/// Tells what requests came to, until `stop` turns true, and then once more; and makes room for consumers. Pushes that weren't
/// taken are counted in `failures`.
pub async fn meter(
    states: Arc<UsageStates>,
    proxy: Arc<Proxy>,
    metering: Metering,
    send: SendUsage,
    failures: Arc<AtomicU64>,
    mut stop: watch::Receiver<bool>,
) {
    let make_room = make_room(states.clone(), proxy.clone());
    let meter = Meter::default();
    let mut teller = Teller { states, proxy, metering, send, failures, meter, is_trouble: false };
    tokio::select! {
        () = teller.run(&mut stop) => {}
        () = make_room => {}
    }
}

/// Whatever becomes of pushes.
async fn make_room(states: Arc<UsageStates>, proxy: Arc<Proxy>) {
    let mut often = interval(SOONEST);
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        states.make_room(now(&proxy));
    }
}

fn now(proxy: &Proxy) -> Instant {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant { now: proxy.now(), calendar: Calendar::at(since_1970) }
}

struct Teller {
    states: Arc<UsageStates>,
    proxy: Arc<Proxy>,
    metering: Metering,
    send: SendUsage,
    /// Pushes that weren't taken, however often each was tried.
    failures: Arc<AtomicU64>,
    meter: Meter,
    is_trouble: bool,
}

impl Teller {
    async fn run(&mut self, stop: &mut watch::Receiver<bool>) {
        let mut every = interval(self.metering.push_every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut soon = interval(SOONEST);
        soon.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => self.tell().await,
                // Where nobody takes it nothing is gained by more of it.
                _ = soon.tick() => if !self.is_trouble && self.states.take_urgency() {
                    self.tell().await;
                } else if self.meter.is_over(now(&self.proxy)) {
                    self.meter.collect(&self.states, now(&self.proxy));
                },
                () = async { drop(stop.wait_for(|stop| *stop).await) } => {
                    self.metering.retries = 0;
                    return self.tell().await;
                }
            }
        }
    }

    async fn tell(&mut self) {
        self.meter.collect(&self.states, now(&self.proxy));
        loop {
            let push = self.meter.push(&self.states, now(&self.proxy));
            if push.limited.is_empty() && !self.meter.has_news() {
                return;
            }
            match self.deliver(&push).await {
                Ok(answer) => {
                    let gap = self.metering.push_every * GAP.0 / GAP.1;
                    self.meter.answered(&push, &answer, &self.states, now(&self.proxy), gap);
                    self.is_trouble = false;
                }
                Err(reason) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut self.is_trouble, true) {
                        tracing::warn!(reason, "what requests came to isn't taken; it is told again later");
                    }
                    return;
                }
            }
            if !self.meter.has_news() {
                return;
            }
        }
    }

    /// Tries as often as the settings say.
    async fn deliver(&self, push: &UsagePush) -> Result<UsageAnswer, String> {
        let Metering { timeout: patience, retries, backoff, .. } = self.metering;
        let mut failures = 0;
        loop {
            let answer = timeout(patience, (self.send)(push.clone())).await;
            match answer.unwrap_or_else(|_| Err(format!("no answer within {} ms", patience.as_millis()))) {
                Err(_) if failures < retries && !self.is_trouble => {
                    sleep(backoff.delay(failures, 0.5)).await;
                    failures += 1;
                }
                answer => return answer,
            }
        }
    }
}

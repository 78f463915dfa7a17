//! Which of several leaders writes: the holder of a Lease (`coordination.k8s.io`), as Kubernetes' own controllers do it. All
//! others serve workers as well as it does.

mod election;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

use election::{DURATION, Election, PERIOD, Record, Step};

/// Where other leaders find the holder.
const URL: &str = "komainu.dev/leader-url";
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP 404 and 409: there is no Lease yet, and somebody else was quicker.
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    pub namespace: String,
    pub name: String,
    /// Who this leader is; unique among all.
    pub identity: String,
    /// Where the other leaders find it; empty: they don't.
    pub url: String,
}

/// Who holds the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// It is this process.
    pub is_me: bool,
    /// A number that is higher than that of every holder before, whatever happened to the Lease; 0 while nobody holds it.
    pub term: u64,
    /// Where the holder is found, if somebody else has it and says so.
    pub url: Option<String>,
}

/// Takes part in the election until `stop` resolves, and releases the Lease then.
pub async fn elect(
    client: Client,
    settings: LeaseSettings,
    holder: watch::Sender<Holder>,
    stop: impl Future<Output = ()>,
) {
    let api = Api::namespaced(client, &settings.namespace);
    let election = Election::new(settings.identity.clone());
    let mut candidate =
        Candidate { api, election, settings, holder, started: Instant::now(), lease: None, trouble: None };
    let mut period = interval(PERIOD);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            _ = period.tick() => candidate.turn().await,
            () = &mut stop => break,
        }
    }
    candidate.release().await;
}

struct Candidate {
    api: Api<Lease>,
    election: Election,
    settings: LeaseSettings,
    holder: watch::Sender<Holder>,
    started: Instant,
    /// As last seen or written.
    lease: Option<Lease>,
    /// What was last said to be wrong, so that it is said once.
    trouble: Option<String>,
}

impl Candidate {
    async fn turn(&mut self) {
        let result = match self.look().await {
            Ok(Step::Follow) => Ok(()),
            Ok(step) => self.write(step).await,
            Err(error) => Err(error),
        };
        let trouble = result.err();
        if let Some(error) = trouble.as_ref().filter(|error| Some(*error) != self.trouble.as_ref()) {
            let LeaseSettings { namespace, name, .. } = &self.settings;
            tracing::warn!(namespace, name, error, "the Lease can't be held; it is tried again");
        }
        self.trouble = trouble;
        self.tell();
    }

    async fn look(&mut self) -> Result<Step, String> {
        let lease = match request(self.api.get(&self.settings.name)).await {
            Err(Failure::Answer(NOT_FOUND, _)) => None,
            found => Some(found.map_err(|failure| failure.to_string())?),
        };
        let step = self.election.observe(lease.as_ref().map(record), self.started.elapsed());
        self.lease = lease;
        Ok(step)
    }

    async fn write(&mut self, step: Step) -> Result<(), String> {
        let begun = self.started.elapsed();
        let mut lease = self.lease.clone().unwrap_or_default();
        lease.metadata.name = Some(self.settings.name.clone());
        let annotations = lease.metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.insert(URL.to_owned(), self.settings.url.clone());
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if step == Step::Take {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |times| times.saturating_add(1)));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.settings.identity.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        match self.put(&lease).await {
            Ok(written) => {
                self.election.observe(Some(record(&written)), self.started.elapsed());
                self.election.written(begun);
                self.lease = Some(written);
                Ok(())
            }
            // Somebody was quicker: the next look tells who.
            Err(Failure::Answer(CONFLICT, _)) => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// With the version that was seen, so that of two who write only one succeeds.
    async fn put(&self, lease: &Lease) -> Result<Lease, Failure> {
        let parameters =
            PostParams { field_manager: Some("komainu-lease".to_owned()), ..PostParams::default() };
        match self.lease {
            Some(_) => request(self.api.replace(&self.settings.name, &parameters, lease)).await,
            None => request(self.api.create(&parameters, lease)).await,
        }
    }

    fn tell(&self) {
        let is_me = self.election.is_holder(self.started.elapsed());
        let annotations = self.lease.as_ref().and_then(|lease| lease.metadata.annotations.as_ref());
        let url = annotations.and_then(|annotations| annotations.get(URL)).filter(|url| !url.is_empty());
        let holder = self.lease.as_ref().map(|lease| record(lease).holder).unwrap_or_default();
        let is_other = !holder.is_empty() && holder != self.settings.identity;
        let term = self.lease.as_ref().map(term).unwrap_or_default();
        let next = Holder { is_me, term, url: url.filter(|_| is_other).cloned() };
        self.holder.send_if_modified(|holder| {
            if holder.is_me != next.is_me {
                let LeaseSettings { namespace, name, .. } = &self.settings;
                let word = if next.is_me { "holds" } else { "doesn't hold" };
                tracing::info!(namespace, name, "this leader {word} the Lease");
            }
            let changed = *holder != next;
            *holder = next;
            changed
        });
    }

    /// Nobody has to wait for a holder that ended in order. What is being written is stopped first.
    async fn release(mut self) {
        let is_holder = self.election.is_holder(self.started.elapsed());
        self.holder.send_replace(Holder::default());
        let Some(mut lease) = self.lease.take().filter(|_| is_holder) else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let parameters =
            PostParams { field_manager: Some("komainu-lease".to_owned()), ..PostParams::default() };
        let released = request(self.api.replace(&self.settings.name, &parameters, &lease)).await;
        if let Err(failure) = released {
            tracing::warn!(%failure, "the Lease wasn't released: the next holder has to wait for its end");
        }
    }
}

/// A Lease that is made anew counts its transitions from 0, so the time at which it was made goes first. Both are the API
/// server's own: no clock of a leader is in it.
fn term(lease: &Lease) -> u64 {
    let made = lease.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()).unwrap_or_default();
    let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
    (u64::try_from(made).unwrap_or_default() << 20)
        | (u64::try_from(transitions).unwrap_or_default() & 0xF_FFFF)
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        renewed: renewed.map(|time| time.0.to_string()).unwrap_or_default(),
    }
}

/// Why a request about the Lease has no result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the API server answers {0}: {1}")]
    Answer(u16, String),
    #[error("the API server can't be reached: {0}")]
    Unreachable(String),
    #[error("the API server doesn't answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Slow,
}

async fn request<T>(asking: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    match timeout(REQUEST_TIMEOUT, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(Failure::Answer(status.code, status.message.clone())),
        Ok(Err(error)) => Err(Failure::Unreachable(crate::error::root_cause(&error))),
        Err(_) => Err(Failure::Slow),
    }
}

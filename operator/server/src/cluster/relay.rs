//! Workers speak to any leader; the one that writes statuses has to know what all of them say. The others hand it on: at once what
//! is new, and now and then everything, so that what is lost is made up for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dataplane_snapshot::wire::{self, Relay, RelayAnswer, RelayedWorker};
use futures::future::BoxFuture;
use operator_core::programmed::Applied;
use operator_core::reports::{Report, Taken};
use operator_core::session::{Event, Identity, MemberStatus, Relayed, Role};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Cluster;
use super::acknowledge::{AckError, applied_of};
use super::authenticate::Allowed;
use super::worker_headers::is_good;

/// The longest accepted relay, in bytes.
pub const MAX_RELAY_BYTES: usize = 64 * 1024 * 1024;

/// How often all is told. Well below the time after which a silent worker counts as lost.
const ALL_EVERY: Duration = Duration::from_secs(3);

/// The pause after a leader that doesn't take it.
const PAUSE: Duration = Duration::from_millis(500);

/// The most reports of one worker that wait; with more all is asked for instead.
const MAX_WAITING: usize = 8;

/// Sends a message to the leader with this URL, and gives its answer; `Err` is a sentence.
pub type SendRelay = Arc<dyn Fn(String, Bytes) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

const NO_LEADER: &str = "only a leader hands on what workers say\n";

/// What has been told, and what is yet to be.
#[derive(Default)]
pub(super) struct Relaying {
    /// To whom; `None`: this leader writes itself, or nobody is known who does.
    to: Option<String>,
    told: BTreeMap<String, Applied>,
    reports: BTreeMap<String, Vec<Bytes>>,
}

/// `POST /api/cluster/relay`: what another leader's workers say.
pub(super) async fn take(
    State(cluster): State<Arc<Cluster>>,
    Extension(allowed): Extension<Allowed>,
    body: Bytes,
) -> Response {
    let is_leader = allowed.bearer.as_ref().is_none_or(|bearer| bearer.role == Role::Leader);
    if !is_leader || !allowed.scope.is_all() {
        return (StatusCode::FORBIDDEN, NO_LEADER).into_response();
    }
    let read = Relay::decode(body).map_err(AckError::from);
    let told = read.and_then(|relay| {
        let workers = relay.workers.into_iter().map(told_of).collect::<Result<Vec<_>, _>>()?;
        Ok((workers, relay.gone))
    });
    match told {
        Ok((workers, gone)) => {
            let mut gaps = Vec::new();
            for (relayed, reports) in workers {
                if cluster.open(&relayed.member.scope).await.is_ok() {
                    gaps.extend(cluster.take_relayed(relayed, reports));
                }
            }
            gone.into_iter().for_each(|id| cluster.handle(Event::LeftElsewhere { id }));
            RelayAnswer { gaps }.encode_to_vec().into_response()
        }
        Err(error) => {
            cluster.counters.refused();
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}

fn told_of(worker: RelayedWorker) -> Result<(Relayed, Vec<Report>), AckError> {
    let RelayedWorker { member, scope, pod, silent, ack, reports, client } = worker;
    let wire::Member { id, name, version } = member.ok_or(AckError::Member)?;
    let pod = Some(pod).filter(|pod| !pod.is_empty());
    if ![&id, &name, &version].into_iter().chain(&pod).all(|text| is_good(text)) {
        return Err(AckError::Member);
    }
    let scope = if scope.is_empty() { Ok(Default::default()) } else { scope.parse() };
    let scope = scope.map_err(|_| AckError::Member)?;
    let client = client.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    let member = Identity { id, name, version, scope, client, pod };
    let applied = ack.map(applied_of).transpose()?;
    let reports =
        reports.into_iter().map(|report| Ok(Report::read(&report)?.0)).collect::<Result<_, AckError>>()?;
    Ok((Relayed { member, applied, silent_for: Duration::from_millis(silent) }, reports))
}

impl Cluster {
    /// Hands on what workers say to the leader that `holder` names, for as long as it is awaited.
    pub async fn relay(self: Arc<Self>, mut holder: watch::Receiver<Option<String>>, send: SendRelay) {
        let mut changed = self.members_changed();
        let mut all_at = Instant::now();
        let mut is_trouble = false;
        loop {
            let to = holder.borrow_and_update().clone();
            changed.borrow_and_update();
            if self.relay_to(to.clone()) {
                all_at = Instant::now();
            }
            if let Some(url) = to {
                let all = Instant::now() >= all_at;
                if all {
                    all_at = Instant::now() + ALL_EVERY;
                }
                if let Err(reason) = self.hand_on(url.clone(), all, &send).await {
                    if !is_trouble {
                        tracing::warn!(
                            url,
                            reason,
                            "the leader that writes statuses doesn't take what workers say"
                        );
                    }
                    is_trouble = true;
                    self.tell_anew();
                    all_at = Instant::now() + PAUSE;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                is_trouble = false;
            }
            let arrived = self.report_arrived.notified();
            tokio::select! {
                result = holder.changed() => if result.is_err() { return },
                _ = changed.changed() => {}
                () = arrived => {}
                () = sleep_until(all_at), if self.is_relaying() => {}
            }
        }
    }

    /// Whether this is another one than before.
    fn relay_to(&self, to: Option<String>) -> bool {
        let is_other = self.relaying().to != to;
        if is_other {
            *self.relaying() = Relaying { to, ..Relaying::default() };
            self.tell_anew();
        }
        is_other
    }

    /// What the other leader knows isn't known here: everything is told again. Workers are asked for whole reports by taking
    /// what changes them for a gap.
    fn tell_anew(&self) {
        {
            let mut relaying = self.relaying();
            relaying.told.clear();
            relaying.reports.clear();
        }
        let mut sessions = self.lock();
        let ids: Vec<_> =
            sessions.session.members().list(self.now()).map(|member| member.identity.id).collect();
        ids.iter().for_each(|id| sessions.reports.ask_for_all(id));
    }

    async fn hand_on(&self, url: String, all: bool, send: &SendRelay) -> Result<(), String> {
        let relay = self.to_relay(all);
        if relay.workers.is_empty() && relay.gone.is_empty() {
            return Ok(());
        }
        let answer = send(url, relay.encode_to_vec().into()).await?;
        let answer = RelayAnswer::decode(answer).map_err(|error| error.to_string())?;
        let mut sessions = self.lock();
        answer.gaps.iter().for_each(|id| sessions.reports.ask_for_all(id));
        Ok(())
    }

    /// What hasn't been told yet; with `all` how all workers are that speak to this leader.
    fn to_relay(&self, all: bool) -> Relay {
        let members = self.members();
        let mut relaying = self.relaying();
        let mut relay = Relay::default();
        let here: BTreeMap<_, _> = members
            .into_iter()
            .filter(|member| !member.elsewhere)
            .map(|member| (member.identity.id.clone(), member))
            .collect();
        relay.gone = relaying.told.keys().filter(|id| !here.contains_key(*id)).cloned().collect();
        relay.gone.iter().for_each(|id| _ = relaying.told.remove(id));
        for (id, member) in here {
            let reports = relaying.reports.remove(&id).unwrap_or_default();
            let is_new = member.applied.is_some() && relaying.told.get(&id) != member.applied.as_ref();
            if all || is_new || !reports.is_empty() {
                relaying.told.extend(member.applied.clone().map(|applied| (id, applied)));
                relay.workers.push(worker(member, reports));
            }
        }
        relaying.reports.clear();
        relay
    }

    /// Keeps a report that was taken here, to be handed on.
    pub(super) fn relay_report(&self, id: &str, report: &Bytes) {
        if !self.is_relaying() {
            return;
        }
        let mut relaying = self.relaying();
        let waiting = relaying.reports.entry(id.to_owned()).or_default();
        if waiting.len() < MAX_WAITING {
            waiting.push(report.clone());
        }
        drop(relaying);
        self.report_arrived.notify_one();
    }

    fn is_relaying(&self) -> bool {
        self.relaying().to.is_some()
    }

    fn relaying(&self) -> std::sync::MutexGuard<'_, Relaying> {
        self.relaying.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Gives the id, if a report before isn't known here.
    fn take_relayed(&self, relayed: Relayed, reports: Vec<Report>) -> Option<String> {
        let member = relayed.member.clone();
        self.handle(Event::Relayed(relayed));
        let now = self.now();
        let mut sessions = self.lock();
        if !sessions.session.members().is(&member) {
            return None;
        }
        let mut taken = reports.into_iter().map(|report| sessions.reports.take(&member.id, report, now));
        taken.any(|taken| taken == Taken::Gap).then_some(member.id)
    }
}

fn worker(member: MemberStatus, reports: Vec<Bytes>) -> RelayedWorker {
    let MemberStatus { identity, silent_for, applied, refused, .. } = member;
    let Identity { id, name, version, scope, client, pod } = identity;
    let client = client.and_then(|place| u32::try_from(place + 1).ok());
    RelayedWorker {
        member: Some(wire::Member { id, name, version }),
        scope: if scope.is_all() { String::new() } else { scope.to_string() },
        pod: pod.unwrap_or_default(),
        silent: u64::try_from(silent_for.as_millis()).unwrap_or(u64::MAX),
        ack: applied.map(|applied| ack(applied, refused)),
        reports,
        client: client.unwrap_or_default(),
    }
}

fn ack(applied: Applied, refused: Option<String>) -> wire::Ack {
    // As workers tell it: the rejection of no object in particular is the refusal of a whole state.
    let whole = refused.map(|reason| wire::Rejection { key: String::new(), reason });
    let single =
        applied.rejected.into_iter().map(|(key, reason)| wire::Rejection { key: key.to_string(), reason });
    wire::Ack {
        root: Bytes::copy_from_slice(&applied.root.0),
        as_of: Some(wire::as_of_to_wire(&applied.as_of)),
        rejected: whole.into_iter().chain(single).collect(),
        member: None,
        more_rejected: applied.more_rejected,
    }
}

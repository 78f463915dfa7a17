use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use dataplane_core::subscription::{Leader, Readiness, Source, Status};
use dataplane_snapshot::Root;
use tokio::time::Instant;

use super::LeaderUrl;
use crate::ListenError;

/// How it stands with a worker, for probes, people and metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerHealth {
    /// Whether traffic may be sent here; if not, why not. It begins with all listeners open, and is never withdrawn.
    pub ready: Result<(), String>,
    /// What is in service, and whether a leader gave or confirmed it, or it is just what was on disk.
    pub applied: Option<(Root, Source)>,
    /// How many objects of it this worker rejected, with the listeners that aren't open.
    pub rejected: usize,
    pub leader: LeaderContact,
    /// Leaders are asked at an interval, as polls aren't to be held or held ones are cut on the way.
    pub plain_polling: bool,
    /// When a leader last answered well.
    pub last_contact: Option<Instant>,
    /// How old the last contact was that the state file tells of, and when it was read.
    pub contact_on_disk: Option<(Duration, Instant)>,
    /// A state that was refused as a whole, with the reason.
    pub refused: Option<(Root, String)>,
    /// Why what is in service isn't in the state file.
    pub not_persisted: Option<String>,
    /// Failed writes of the state file since the start.
    pub persist_failures: u64,
    /// Failed polls since the start.
    pub poll_failures: u64,
    /// The same by [`Failure::reason`](dataplane_core::subscription::Failure::reason).
    pub poll_failure_reasons: BTreeMap<&'static str, u64>,
}

/// How it stands with the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderContact {
    /// There is none to follow but this process.
    Local,
    Unknown,
    Following(LeaderUrl),
    Failing {
        url: LeaderUrl,
        reason: String,
    },
    /// StaleLeader: it has less than what is in service here, and is refused.
    Stale(LeaderUrl),
}

impl Default for WorkerHealth {
    fn default() -> Self {
        Self {
            ready: Err("starting".to_owned()),
            applied: None,
            rejected: 0,
            leader: LeaderContact::Unknown,
            plain_polling: false,
            last_contact: None,
            contact_on_disk: None,
            refused: None,
            not_persisted: None,
            persist_failures: 0,
            poll_failures: 0,
            poll_failure_reasons: BTreeMap::new(),
        }
    }
}

impl WorkerHealth {
    /// Time since a leader last answered well; until one does after the start, by the state file.
    pub fn age(&self) -> Option<Duration> {
        let on_disk = self.contact_on_disk.map(|(age, read)| age.saturating_add(read.elapsed()));
        self.last_contact.map(|at| at.elapsed()).or(on_disk)
    }

    /// When a leader last answered well since the start, by a wall clock that says `now`.
    pub(super) fn contact_at(&self, now: SystemTime) -> Option<SystemTime> {
        now.checked_sub(self.last_contact?.elapsed())
    }

    /// The state file, read at `now`, tells of a contact at `contact`. One in the future was told by a clock that was set back
    /// since: from here on its age grows by a clock that isn't set.
    pub(super) fn tell_of_disk(&mut self, contact: Option<SystemTime>, now: SystemTime) {
        let age = |at| now.duration_since(at).unwrap_or_default();
        self.contact_on_disk = contact.map(|at| (age(at), Instant::now()));
    }

    /// `ready` is what there is to say beside the listeners.
    pub(super) fn settle(&mut self, ready: Result<(), String>, unopened: &[ListenError]) {
        if self.ready.is_err() {
            self.ready = ready.and_then(|()| all_open(unopened));
        }
    }

    pub(super) fn update(
        &mut self,
        status: Status,
        unopened: &[ListenError],
        leaders: &[LeaderUrl],
        started: Instant,
    ) {
        let url = |leader: usize| leaders.get(leader).cloned();
        if let Leader::Following { at, .. } = status.leader {
            self.last_contact = Some(started + at);
        }
        let contact = match status.leader {
            Leader::Unknown => None,
            Leader::Following { leader, .. } => url(leader).map(LeaderContact::Following),
            Leader::Failing { leader, reason } => {
                url(leader).map(|url| LeaderContact::Failing { url, reason })
            }
            Leader::Stale { leader } => url(leader).map(LeaderContact::Stale),
        };
        self.leader = contact.unwrap_or(LeaderContact::Unknown);
        self.plain_polling = status.plain;
        let ready = match status.readiness {
            Readiness::Ready => Ok(()),
            Readiness::NotReady(why) => Err(why.to_string()),
        };
        self.settle(ready, unopened);
        self.applied = status.applied.map(|(root, _, source)| (root, source));
        self.rejected = status.rejected + unopened.len();
        self.refused = status.refused;
        self.not_persisted = status.not_persisted;
    }
}

fn all_open(unopened: &[ListenError]) -> Result<(), String> {
    let each = |error: &ListenError| format!("listener {} can't be opened: {}", error.listener, error.reason);
    let all: Vec<_> = unopened.iter().map(each).collect();
    if all.is_empty() { Ok(()) } else { Err(all.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Whole hours, as a test takes some time.
    fn hours(age: Option<Duration>) -> Option<u64> {
        age.map(|age| age.as_secs() / 3600)
    }

    #[test]
    fn until_a_leader_answers_the_age_is_that_on_disk() {
        let now = SystemTime::UNIX_EPOCH + 1_000 * HOUR;
        let mut health = WorkerHealth::default();
        health.tell_of_disk(None, now);
        assert_eq!((health.age(), health.contact_at(now)), (None, None));
        health.tell_of_disk(Some(now - 3 * HOUR), now);
        assert_eq!((hours(health.age()), health.contact_at(now)), (Some(3), None));
        health.last_contact = Some(Instant::now());
        assert_eq!(hours(health.age()), Some(0));
        let told = health.contact_at(now).unwrap();
        assert!(told <= now && told > now - HOUR);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_age_negative() {
        let now = SystemTime::UNIX_EPOCH + 1_000 * HOUR;
        let mut health = WorkerHealth::default();
        health.tell_of_disk(Some(now + 5 * HOUR), now);
        assert_eq!(hours(health.age()), Some(0));
        health.contact_on_disk = Some((Duration::MAX, Instant::now()));
        assert_eq!(health.age(), Some(Duration::MAX));
    }
}

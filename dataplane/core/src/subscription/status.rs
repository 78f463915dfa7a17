use std::time::Duration;

use dataplane_snapshot::{AsOf, Root};

use super::Subscription;
use super::region::{Contact, Persisting};

/// Where what is in service came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The state file, and no leader has confirmed it since the start.
    Disk,
    Leader,
}

/// What people and probes want to know of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub readiness: Readiness,
    /// Root and as-of of what is in service, and where it came from.
    pub applied: Option<(Root, AsOf, Source)>,
    /// How many objects of it this worker rejected.
    pub rejected: usize,
    pub leader: Leader,
    /// Leaders are asked at an interval, as polls aren't to be held or held ones are cut on the way.
    pub plain: bool,
    /// A state that was refused as a whole, with the reason.
    pub refused: Option<(Root, String)>,
    /// Why what is in service isn't in the state file.
    pub not_persisted: Option<String>,
}

/// Whether traffic may be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NotReady(Unready),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    #[error("waiting for a leader's answer")]
    WaitingForLeader,
    #[error("applying the first state")]
    Applying,
    #[error("no leader has given a state yet and none is on disk")]
    NoState,
}

/// How it stands with the leader; numbers are indices of the leaders in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// No poll has ended yet.
    Unknown,
    /// The last poll was answered well at `at`.
    Following { leader: usize, at: Duration },
    /// The last poll failed.
    Failing { leader: usize, reason: String },
    /// StaleLeader: it answered with less than what is already in service.
    Stale { leader: usize },
}

impl Subscription {
    pub fn status(&self) -> Status {
        Status {
            readiness: self.readiness,
            applied: self
                .applied
                .as_ref()
                .map(|applied| (applied.snapshot.root(), applied.snapshot.as_of().clone(), applied.source)),
            rejected: self.applied.as_ref().map_or(0, |applied| applied.rejected.len()),
            leader: match &self.contact {
                Contact::None => Leader::Unknown,
                Contact::Following { leader, at } => Leader::Following { leader: *leader, at: *at },
                Contact::Failing { leader, reason } => {
                    Leader::Failing { leader: *leader, reason: reason.clone() }
                }
                Contact::Stale { leader } => Leader::Stale { leader: *leader },
            },
            plain: self.is_plain(),
            refused: self.refusal.as_ref().map(|refusal| (refusal.root, refusal.reason.clone())),
            not_persisted: match &self.persisting {
                Persisting::Failed { reason, .. } => Some(reason.clone()),
                _ => None,
            },
        }
    }
}

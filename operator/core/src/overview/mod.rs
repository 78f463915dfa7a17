//! All that is shown about one object: the verdict on it, how its targets are, and what depends on it.

mod survey;

use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, SharedMap};

use crate::conditions::Status;
use crate::healthy::{Healthy, HealthyReason, Tally};
use crate::programmed::{Programmed, Verdict};
use crate::{Acceptance, ObjectStatus};

pub use survey::Survey;

/// The overview of every object that has its key for itself.
pub type Overviews = SharedMap<Key, Arc<Overview>>;

#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    pub verdict: Verdict,
    /// Of Backends, and of Routes with inline backends.
    pub healthy: Option<Healthy>,
    pub tally: Tally,
    /// Routes: what is wrong with which of its backends, so that it can't take requests.
    pub lacking: Vec<String>,
    /// No worker has told yet of some target that it depends on.
    pub awaits_reports: bool,
    /// Routes: which of its limits are used up for now.
    pub used_up: Option<String>,
}

/// Whether an object does what it is there for: the `Ready` condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub is_ready: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Overview {
    /// Of an object that isn't planned, for instance as it lost its key to another source.
    pub fn of_unplanned(status: &Arc<ObjectStatus>) -> Self {
        let verdict = Verdict { status: status.clone(), programmed: Programmed::NotAccepted };
        Self {
            verdict,
            healthy: None,
            tally: Tally::default(),
            lacking: Vec::new(),
            awaits_reports: false,
            used_up: None,
        }
    }

    /// `programmed` is what is said of it, which may be older than the verdict.
    pub fn ready(&self, programmed: &Programmed) -> Ready {
        let status = &*self.verdict.status;
        let not = |reason, message: &str| Ready { is_ready: false, reason, message: message.to_owned() };
        let but = |reason, message| Ready { is_ready: true, reason, message };
        if status.accepted.is_err() {
            return not("NotAccepted", "see the Accepted condition");
        }
        if status.is_held() {
            return not("Held", "see the ResolvedRefs condition");
        }
        if !programmed.is_true() {
            // Without how far it is: that would be another message each time.
            return not("NotProgrammed", "see the Programmed condition");
        }
        if status.accepted == Ok(Acceptance::Disabled) {
            return but("Disabled", "switched off by enabled: false".to_owned());
        }
        match self.shortage() {
            Some((false, reason, message)) => not(reason, &message),
            Some((true, reason, message)) => but(reason, message),
            None => but("Ready", String::new()),
        }
    }

    /// What is missing of its targets, and whether it is ready all the same.
    fn shortage(&self) -> Option<(bool, &'static str, String)> {
        let status = &*self.verdict.status;
        if status.key.kind() == Kind::Route {
            let has_backends = !status.backends.is_empty() || !status.targets.is_empty();
            if status.destinations.is_empty() && has_backends {
                return Some((false, "NoHealthyTargets", "every backend has the weight 0".to_owned()));
            }
            let is_served = self.lacking.len() < status.destinations.len();
            let reason = if is_served { "SomeBackendsNotReady" } else { "NoHealthyTargets" };
            return (!self.lacking.is_empty()).then(|| (is_served, reason, self.lacking.join("; ")));
        }
        let is_wrong = |healthy: &&Healthy| healthy.reason.status() == Status::False;
        let healthy = self.healthy.as_ref().filter(is_wrong)?;
        // As with a Deployment: what still serves is available, and Healthy tells the rest.
        let is_served = healthy.reason == HealthyReason::Degraded;
        let reason = if is_served { "SomeTargetsNotReady" } else { healthy.reason.as_str() };
        Some((is_served, reason, healthy.message.clone()))
    }
}

#[cfg(test)]
mod tests;

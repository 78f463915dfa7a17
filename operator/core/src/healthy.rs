//! Whether the targets of backends get traffic: the `Healthy` condition, and the figures that go with it.

mod tally;

use crate::conditions::Status;
use crate::reports::{BackendHealth, TargetHealth};
use crate::{ObjectStatus, Targets};

pub use tally::Tally;
pub(crate) use tally::number;

/// The longest list of targets in a message.
const MAX_NAMED: usize = 10;

/// The targets of one backend, and what the workers say of them.
#[derive(Clone, Debug)]
pub struct Pool<'a> {
    pub targets: &'a Targets,
    pub health: BackendHealth,
    /// In front of the ids of its targets.
    pub prefix: String,
}

impl Pool<'_> {
    /// Workers lag behind: what they say of targets that it doesn't have any more is left out.
    fn told(&self) -> impl Iterator<Item = &TargetHealth> {
        self.health.targets.iter().filter(|target| self.targets.has(&target.target))
    }

    /// How many get requests, where the workers of each say so.
    fn ready(&self) -> usize {
        if !self.targets.are_checked {
            return self.targets.ids.len();
        }
        self.told().filter(|target| target.is_ready() == Some(true)).count()
    }

    fn wrong(&self) -> impl Iterator<Item = &TargetHealth> {
        let is_wrong = |target: &&TargetHealth| target.is_ready() == Some(false) || target.is_disputed();
        self.told().filter(move |target| self.targets.are_checked && is_wrong(target))
    }

    /// Those of which no worker has told yet.
    fn unknown(&self) -> usize {
        if !self.targets.are_checked {
            return 0;
        }
        let known = self.told().filter(|target| target.is_ready().is_some()).count();
        self.targets.ids.len().saturating_sub(known)
    }
}

/// A verdict on the targets of one backend, or of several together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthy {
    pub reason: HealthyReason,
    /// For people.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthyReason {
    AllTargetsHealthy,
    /// Some target isn't ready, or workers disagree about one.
    Degraded,
    NoHealthyTargets,
    /// There is no health check that is switched on.
    NotChecked,
    /// No worker has told of some target yet.
    NotReported,
    /// It isn't planned as it is written, so nobody knows which targets workers have.
    NotAccepted,
    Held,
}

impl HealthyReason {
    /// The `reason` of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllTargetsHealthy => "AllTargetsHealthy",
            Self::Degraded => "Degraded",
            Self::NoHealthyTargets => "NoHealthyTargets",
            Self::NotChecked => "NotChecked",
            Self::NotReported => "NotReported",
            Self::NotAccepted => "NotAccepted",
            Self::Held => "Held",
        }
    }

    /// The `status` of the condition.
    pub const fn status(self) -> Status {
        match self {
            Self::AllTargetsHealthy => Status::True,
            Self::Degraded | Self::NoHealthyTargets => Status::False,
            Self::NotChecked | Self::NotReported | Self::NotAccepted | Self::Held => Status::Unknown,
        }
    }
}

impl Healthy {
    /// The verdict on backends that workers have as they are written.
    pub fn of(pools: &[Pool<'_>]) -> Self {
        let sum = |count: fn(&Pool<'_>) -> usize| pools.iter().map(count).sum::<usize>();
        let (total, ready, unknown) =
            (sum(|pool| pool.targets.ids.len()), sum(|pool| pool.ready()), sum(|pool| pool.unknown()));
        let wrong: Vec<_> =
            pools.iter().flat_map(|pool| pool.wrong().map(|target| (&*pool.prefix, target))).collect();
        let counts = format!("{ready}/{total} targets are ready");
        let (reason, message) = match (ready, wrong.is_empty()) {
            _ if total == 0 => (HealthyReason::NoHealthyTargets, "there are no targets".to_owned()),
            _ if pools.iter().all(|pool| !pool.targets.are_checked) => {
                (HealthyReason::NotChecked, "there is no health check that is switched on".to_owned())
            }
            (0, false) => (HealthyReason::NoHealthyTargets, format!("{counts}{}", named(&wrong))),
            (_, false) => (HealthyReason::Degraded, format!("{counts}{}", named(&wrong))),
            _ if unknown > 0 => {
                let message = format!("{counts}, and no worker has told of {unknown} yet");
                (HealthyReason::NotReported, message)
            }
            _ => (HealthyReason::AllTargetsHealthy, counts),
        };
        Self { reason, message }
    }

    /// The verdict on what isn't planned as it is written.
    pub fn of_unplanned(status: &ObjectStatus) -> Self {
        if status.accepted.is_err() {
            let message = "not accepted, see the Accepted condition".to_owned();
            return Self { reason: HealthyReason::NotAccepted, message };
        }
        let message = "held, see the ResolvedRefs condition".to_owned();
        Self { reason: HealthyReason::Held, message }
    }
}

/// The first of them, with what is wrong.
fn named(wrong: &[(&str, &TargetHealth)]) -> String {
    let mut text = String::new();
    for (prefix, target) in wrong.iter().take(MAX_NAMED) {
        let TargetHealth { target, ready, out, reason, .. } = target;
        let reason = reason.as_deref().unwrap_or(UNTOLD);
        text.push_str(&format!("; {prefix}{target}: {reason} ({out} of {} workers)", ready + out));
    }
    if let Some(more) = wrong.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// For workers that don't say why a target is out.
const UNTOLD: &str = "its check fails";

#[cfg(test)]
#[path = "healthy_tests.rs"]
mod tests;

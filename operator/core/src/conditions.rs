//! Status conditions as pure values, by the conventions of the Kubernetes API (`metav1.Condition`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as Written, Time};

use crate::overview::{Overview, Ready};
use crate::programmed::Programmed;
use crate::{Acceptance, ObjectStatus, Problem};

/// A condition without its time, which only a writer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub type_: ConditionType,
    pub status: Status,
    /// One CamelCase word.
    pub reason: &'static str,
    /// For people; at most [`MAX_MESSAGE`] bytes.
    pub message: String,
    pub observed_generation: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    True,
    False,
    /// Nobody can tell.
    Unknown,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(is: bool) -> Self {
        if is { Self::True } else { Self::False }
    }
}

/// In the order in which people read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The object is understood and used as it is written.
    Accepted,
    /// Everything that it names exists.
    ResolvedRefs,
    /// Its targets get traffic.
    Healthy,
    /// Every counted worker has applied it.
    Programmed,
    /// It does what it is there for.
    Ready,
    /// Another route takes requests that this one would match. A warning: it is only there while it applies.
    Overlapping,
    /// A limit of the route is used up. Only there while it applies.
    LimitReached,
}

impl ConditionType {
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::Healthy,
        Self::Programmed,
        Self::Ready,
        Self::Overlapping,
        Self::LimitReached,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Healthy => "Healthy",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Overlapping => "Overlapping",
            Self::LimitReached => "LimitReached",
        }
    }
}

/// The longest message in bytes, as in the schema of `metav1.Condition`.
pub const MAX_MESSAGE: usize = 32_768;

/// The conditions of an object, in the order of their types. `programmed` is what is said of it, which may be older than the
/// verdict: see [`has_been_programmed`].
pub fn conditions(overview: &Overview, programmed: &Programmed) -> Vec<Condition> {
    let status = &*overview.verdict.status;
    let condition = |type_, (is, reason, message): (Status, &'static str, String)| Condition {
        type_,
        status: is,
        reason,
        message: shortened(message, MAX_MESSAGE),
        observed_generation: status.generation,
    };
    let healthy = overview.healthy.iter();
    let healthy =
        healthy.map(|healthy| (healthy.reason.status(), healthy.reason.as_str(), healthy.message.clone()));
    let Ready { is_ready, reason, message } = overview.ready(programmed);
    let mut all = vec![
        condition(ConditionType::Accepted, accepted(status)),
        condition(ConditionType::ResolvedRefs, resolved_refs(status)),
    ];
    all.extend(healthy.map(|healthy| condition(ConditionType::Healthy, healthy)));
    all.extend([
        condition(
            ConditionType::Programmed,
            (programmed.is_true().into(), programmed.reason(), programmed.to_string()),
        ),
        condition(ConditionType::Ready, (is_ready.into(), reason, message)),
    ]);
    if !status.overlaps.is_empty() {
        let overlapping = (Status::True, "Shadowed", joined(&status.overlaps));
        all.push(condition(ConditionType::Overlapping, overlapping));
    }
    if let Some(used_up) = &overview.used_up {
        let reached = (Status::True, "QuotaUsedUp", used_up.clone());
        all.push(condition(ConditionType::LimitReached, reached));
    }
    all
}

fn accepted(status: &ObjectStatus) -> (Status, &'static str, String) {
    match &status.accepted {
        Err(refusal) => (Status::False, refusal.reason.as_str(), joined(&refusal.problems)),
        Ok(Acceptance::Disabled) => (Status::True, "Disabled", "switched off by enabled: false".to_owned()),
        Ok(Acceptance::Active) if status.warnings.is_empty() => (Status::True, "Accepted", String::new()),
        Ok(Acceptance::Active) => (Status::True, "AcceptedWithWarnings", joined(&status.warnings)),
    }
}

fn resolved_refs(status: &ObjectStatus) -> (Status, &'static str, String) {
    match &status.resolved_refs {
        Ok(()) => (Status::True, "ResolvedRefs", String::new()),
        Err(unresolved) => (Status::False, unresolved.reason.as_str(), joined(&unresolved.problems)),
    }
}

/// All problems on one line.
pub(crate) fn joined(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// The first `limit` bytes, cut between characters, with an ellipsis if something was cut.
pub fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        const ELLIPSIS: &str = "…";
        let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
    text
}

/// Whether it is written that this generation has been programmed. It stays so, unless it is refused now: a leader that starts
/// anew and knows no worker yet withdraws nothing.
pub fn has_been_programmed(written: &[Written], status: &ObjectStatus) -> bool {
    let says_so = |condition: &Written| {
        condition.type_ == ConditionType::Programmed.as_str()
            && condition.status == Status::True.as_str()
            && condition.observed_generation == Some(status.generation)
    };
    status.accepted.is_ok() && written.iter().any(says_so)
}

/// What to write, given what is written already. A condition keeps its time until its status flips. Those of other types are
/// kept, they are another writer's. Equal to `written`, its order aside, if nothing has to be written.
pub fn settle(written: &[Written], next: &[Condition], now: &Time) -> Vec<Written> {
    let ours = next.iter().map(|condition| {
        let old = written.iter().find(|old| old.type_ == condition.type_.as_str());
        settled(old, condition, now)
    });
    ours.chain(written.iter().filter(|old| !is_ours(old)).cloned()).collect()
}

/// Of a type that is written from here.
pub fn is_ours(written: &Written) -> bool {
    ConditionType::ALL.iter().any(|type_| type_.as_str() == written.type_)
}

fn settled(old: Option<&Written>, next: &Condition, now: &Time) -> Written {
    let status = next.status.as_str();
    let unflipped = old.filter(|old| old.status == status);
    Written {
        type_: next.type_.as_str().to_owned(),
        status: status.to_owned(),
        reason: next.reason.to_owned(),
        message: next.message.clone(),
        observed_generation: Some(next.observed_generation),
        last_transition_time: unflipped.map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;

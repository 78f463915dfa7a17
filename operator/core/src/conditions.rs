//! Status conditions as pure values, by the conventions of the Kubernetes API (`metav1.Condition`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as Written, Time};

use crate::programmed::Programmed;
use crate::{Acceptance, ObjectStatus, Problem};

/// A condition without its time, which only a writer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub type_: ConditionType,
    pub status: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// For people; at most [`MAX_MESSAGE`] bytes.
    pub message: String,
    pub observed_generation: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The object is understood and used as it is written.
    Accepted,
    /// Everything that it names exists.
    ResolvedRefs,
    /// Every counted worker has applied it.
    Programmed,
}

impl ConditionType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
        }
    }
}

/// The longest message in bytes, as in the schema of `metav1.Condition`.
pub const MAX_MESSAGE: usize = 32_768;

/// The conditions of an object, in the order in which people read them.
pub fn conditions(status: &ObjectStatus, programmed: &Programmed) -> [Condition; 3] {
    let condition = |type_, (status_is, reason, message): (bool, &'static str, String)| Condition {
        type_,
        status: status_is,
        reason,
        message: shortened(message, MAX_MESSAGE),
        observed_generation: status.generation,
    };
    [
        condition(ConditionType::Accepted, accepted(status)),
        condition(ConditionType::ResolvedRefs, resolved_refs(status)),
        condition(
            ConditionType::Programmed,
            (programmed.is_true(), programmed.reason(), programmed.to_string()),
        ),
    ]
}

fn accepted(status: &ObjectStatus) -> (bool, &'static str, String) {
    match &status.accepted {
        Err(refusal) => (false, refusal.reason.as_str(), joined(&refusal.problems)),
        Ok(Acceptance::Disabled) => (true, "Disabled", "switched off by enabled: false".to_owned()),
        Ok(Acceptance::Active) if status.warnings.is_empty() => (true, "Accepted", String::new()),
        Ok(Acceptance::Active) => (true, "AcceptedWithWarnings", joined(&status.warnings)),
    }
}

fn resolved_refs(status: &ObjectStatus) -> (bool, &'static str, String) {
    match &status.resolved_refs {
        Ok(()) => (true, "ResolvedRefs", String::new()),
        Err(unresolved) => (false, unresolved.reason.as_str(), joined(&unresolved.problems)),
    }
}

/// All problems on one line.
pub(crate) fn joined(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// The first `limit` bytes, cut between characters, with an ellipsis if something was cut.
pub(crate) fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        const ELLIPSIS: &str = "…";
        let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
    text
}

/// What to write, given what is written already. A condition keeps its time until its status flips, and `Programmed`, once
/// true for a generation, stays true for it: a leader that starts anew and knows no worker yet withdraws nothing.
/// Conditions of other types are kept, they are another writer's. Equal to `written` if nothing has to be written.
pub fn settle(written: &[Written], next: &[Condition], now: &Time) -> Vec<Written> {
    let ours = next.iter().map(|condition| {
        let old = written.iter().find(|old| old.type_ == condition.type_.as_str());
        match old {
            Some(old) if is_latched(old, condition) => old.clone(),
            _ => settled(old, condition, now),
        }
    });
    let foreign =
        written.iter().filter(|old| next.iter().all(|condition| condition.type_.as_str() != old.type_));
    ours.chain(foreign.cloned()).collect()
}

fn is_latched(old: &Written, next: &Condition) -> bool {
    next.type_ == ConditionType::Programmed
        && next.reason != Programmed::NotAccepted.reason()
        && old.status == "True"
        && old.observed_generation == Some(next.observed_generation)
}

fn settled(old: Option<&Written>, next: &Condition, now: &Time) -> Written {
    let status = if next.status { "True" } else { "False" };
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

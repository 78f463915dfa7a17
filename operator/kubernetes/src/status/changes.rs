//! In what the conditions that are shown and those that should be differ. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use operator_core::conditions::{ConditionType, Status};
use operator_core::healthy::{HealthyReason, Tally};

use crate::read::Present;

/// The kinds of changes between what is shown and what should be, by when they are to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Nothing has been said about this generation yet.
    pub(super) is_renewed: bool,
    /// All counted workers have it now.
    pub(super) is_reached: bool,
    /// The status of a condition, or the reason of Healthy.
    pub(super) is_flipped: bool,
    /// How far it is on its way to the workers.
    pub(super) is_progress: bool,
    /// That nobody has told of its targets, which workers do sooner or later.
    pub(super) is_unreported: bool,
    /// How many targets there are, as when something is scaled.
    pub(super) is_sized: bool,
    /// Other counts, and texts.
    pub(super) is_mere: bool,
}

impl Changes {
    /// Only what is said from here is compared; `conditions` has nothing else. `awaits_reports`: what is said of its targets
    /// isn't known yet, so neither is whether it is ready.
    pub(super) fn between(
        present: &Present,
        conditions: &[Condition],
        tally: &Tally,
        awaits_reports: bool,
    ) -> Self {
        let mut changes = Self {
            is_renewed: present.observed_generation != Some(present.generation),
            is_sized: total(&present.tally) != total(tally),
            is_mere: present.tally != *tally,
            ..Self::default()
        };
        for type_ in ConditionType::ALL {
            let (old, new) = (find(&present.conditions, type_), find(conditions, type_));
            if old != new {
                changes.add(type_, old, new, awaits_reports);
            }
        }
        // Counts wait for what they come with, so that they don't take it along before its time.
        changes.is_sized &= !changes.is_unreported && !changes.is_flipped;
        changes.is_mere &= !changes.is_unreported && !changes.is_flipped && !changes.is_sized;
        changes
    }

    pub(super) fn are_none(self) -> bool {
        self == Self::default()
    }

    fn add(
        &mut self,
        type_: ConditionType,
        old: Option<&Condition>,
        new: Option<&Condition>,
        awaits_reports: bool,
    ) {
        let is_flip = old.map(|old| &old.status) != new.map(|new| &new.status);
        let reason = new.map(|new| &*new.reason);
        let is_other = is_flip || old.map(|old| &*old.reason) != reason;
        let kind = match type_ {
            ConditionType::Healthy if is_other && reason == Some(HealthyReason::NotReported.as_str()) => {
                &mut self.is_unreported
            }
            ConditionType::Healthy if is_other => &mut self.is_flipped,
            ConditionType::Ready if is_flip && awaits_reports => &mut self.is_unreported,
            ConditionType::Programmed if new.is_some_and(|new| new.status == Status::True.as_str()) => {
                &mut self.is_reached
            }
            ConditionType::Programmed => &mut self.is_progress,
            _ if is_flip => &mut self.is_flipped,
            _ => &mut self.is_mere,
        };
        *kind = true;
    }
}

fn total(tally: &Tally) -> Option<u32> {
    tally.targets.as_ref().map(|counts| counts.total)
}

fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|one| one.type_ == type_.as_str())
}

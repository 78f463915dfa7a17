use crds::bounds::{MAX_COUNT, MAX_WORST};
use crds::{TargetCounts, TargetState, WorstTarget};
use serde::{Deserialize, Serialize};

use super::{Pool, UNTOLD};
use crate::reports::TargetHealth;

/// The figures in a status: the fields of [`crds::BackendStatus`] and [`crds::RouteStatus`] besides the conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<WorstTarget>,
}

impl Tally {
    /// Of backends that workers have as they are written.
    pub fn of(pools: &[Pool<'_>]) -> Self {
        let sum = |count: fn(&Pool<'_>) -> usize| number(pools.iter().map(count).sum());
        let counts = TargetCounts {
            total: sum(|pool| pool.targets.ids.len()),
            ready: sum(|pool| pool.ready()),
            ejected: sum(|pool| pool.told().filter(|target| target.open_breakers > 0).count()),
        };
        let TargetCounts { total, ready, .. } = counts;
        Self {
            ready: Some(format!("{ready}/{total}")),
            targets: Some(counts),
            routes: None,
            worst: worst(pools),
        }
    }
}

pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(MAX_COUNT).min(MAX_COUNT)
}

fn worst(pools: &[Pool<'_>]) -> Vec<WorstTarget> {
    let entry = |pool: &Pool<'_>, target: &TargetHealth| {
        let (state, workers, reason) = bad(target, pool.targets.are_checked)?;
        let id = format!("{}{}", pool.prefix, target.target);
        Some(WorstTarget { id, state, reason: reason.to_owned(), workers: number(workers) })
    };
    let mut worst: Vec<_> =
        pools.iter().flat_map(|pool| pool.told().filter_map(move |target| entry(pool, target))).collect();
    worst.sort_by(|one, other| (one.state, &one.id).cmp(&(other.state, &other.id)));
    worst.truncate(MAX_WORST as usize);
    worst
}

/// How a target is that isn't as it should be, how many workers say so, and why.
fn bad(target: &TargetHealth, is_checked: bool) -> Option<(TargetState, usize, &str)> {
    let reason = target.reason.as_deref().unwrap_or(UNTOLD);
    if is_checked && target.is_ready() == Some(false) {
        return Some((TargetState::Out, target.out, reason));
    }
    if is_checked && target.is_disputed() {
        return Some((TargetState::Disputed, target.out, reason));
    }
    (target.open_breakers > 0).then_some((
        TargetState::Ejected,
        target.open_breakers,
        "requests to it failed: its circuit breaker is open",
    ))
}

//! Whether the targets of a backend get traffic: the `Healthy` condition.

use crate::reports::{BackendHealth, TargetHealth};

/// The longest list of targets in a message.
const MAX_NAMED: usize = 10;

/// A verdict on the targets of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthy {
    /// `None`: nobody knows.
    pub status: Option<bool>,
    /// One CamelCase word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Healthy {
    /// As Kubernetes writes it.
    pub const fn status(&self) -> &'static str {
        match self.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }

    /// The verdict on a backend with so many targets. `is_checked`: it has a health check that is switched on. Reports about
    /// targets that it doesn't have any more may be among `health`, as workers lag behind; `has` tells.
    pub fn of(is_checked: bool, targets: usize, health: &BackendHealth, has: impl Fn(&str) -> bool) -> Self {
        if !is_checked {
            let message = "it has no health check that is switched on".to_owned();
            return Self { status: None, reason: "NotChecked", message };
        }
        let told: Vec<_> = health.targets.iter().filter(|target| has(&target.target)).collect();
        let with = |verdict| told.iter().filter(move |target| target.is_ready() == Some(verdict)).count();
        let (ready, out) = (with(true), with(false));
        let unknown = targets.saturating_sub(ready + out);
        let wrong: Vec<_> =
            told.iter().filter(|it| it.is_ready() == Some(false) || it.is_disputed()).collect();
        let counts = format!("{ready}/{targets} targets are ready");
        let (status, reason, message) = match (ready, wrong.is_empty()) {
            (0, false) => (Some(false), "NoHealthyTargets", format!("{counts}{}", named(&wrong))),
            (_, false) => (Some(false), "Degraded", format!("{counts}{}", named(&wrong))),
            _ if unknown > 0 => {
                (None, "NotReported", format!("{counts}, and no worker has told of {unknown} yet"))
            }
            _ if targets == 0 => (Some(false), "NoHealthyTargets", "it has no targets".to_owned()),
            _ => (Some(true), "AllTargetsHealthy", counts),
        };
        Self { status, reason, message }
    }
}

/// The first of them, with what is wrong.
fn named(wrong: &[&&TargetHealth]) -> String {
    let mut text = String::new();
    for target in wrong.iter().take(MAX_NAMED) {
        let TargetHealth { target, ready, out, reason, .. } = target;
        let reason = reason.as_deref().unwrap_or("its check fails");
        text.push_str(&format!("; {target}: {reason} ({out} of {} workers)", ready + out));
    }
    if let Some(more) = wrong.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids, workers for which each is ready, and for which it is out.
    fn health(targets: &[(&str, usize, usize)]) -> BackendHealth {
        let target = |(id, ready, out): &(&str, usize, usize)| TargetHealth {
            target: (*id).into(),
            ready: *ready,
            out: *out,
            open_breakers: 0,
            since: None,
            reason: (*out > 0).then(|| "status 503".into()),
        };
        BackendHealth { targets: targets.iter().map(target).collect() }
    }

    fn of(targets: usize, told: &[(&str, usize, usize)]) -> (&'static str, &'static str, String) {
        let healthy = Healthy::of(true, targets, &health(told), |id| id != "gone");
        (healthy.status(), healthy.reason, healthy.message)
    }

    #[test]
    fn a_backend_is_healthy_when_all_workers_say_so_of_all_targets() {
        let all = of(2, &[("a", 3, 0), ("b", 3, 0)]);
        assert_eq!(all, ("True", "AllTargetsHealthy", "2/2 targets are ready".to_owned()));
        let gone = of(1, &[("a", 3, 0), ("gone", 0, 3)]);
        assert_eq!(gone.1, "AllTargetsHealthy", "what it doesn't have any more doesn't count");
    }

    #[test]
    fn disagreement_and_a_target_that_is_out_are_told_with_counts() {
        let disputed = of(2, &[("a", 2, 1), ("b", 3, 0)]);
        let message = "2/2 targets are ready; a: status 503 (1 of 3 workers)".to_owned();
        assert_eq!(disputed, ("False", "Degraded", message));
        let out = of(2, &[("a", 0, 3), ("b", 3, 0)]);
        assert_eq!((out.1, &*out.2), ("Degraded", "1/2 targets are ready; a: status 503 (3 of 3 workers)"));
        let none = of(2, &[("a", 0, 3), ("b", 1, 1)]);
        assert_eq!((none.0, none.1), ("False", "NoHealthyTargets"));
        let many: Vec<_> = (0..12).map(|id| (["a", "b"][id % 2], 0, 1)).collect();
        assert!(of(12, &many).2.ends_with("; and 2 more"));
    }

    #[test]
    fn what_nobody_told_is_unknown() {
        let unknown = of(2, &[]);
        let message = "0/2 targets are ready, and no worker has told of 2 yet".to_owned();
        assert_eq!(unknown, ("Unknown", "NotReported", message));
        assert_eq!(of(2, &[("a", 1, 0)]).1, "NotReported");
        assert_eq!(of(0, &[]).1, "NoHealthyTargets");
        let unchecked = Healthy::of(false, 2, &health(&[]), |_| true);
        assert_eq!((unchecked.status(), unchecked.reason), ("Unknown", "NotChecked"));
    }
}

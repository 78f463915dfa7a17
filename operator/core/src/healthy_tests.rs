use super::*;
use crate::Targets;

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

fn targets(are_checked: bool, ids: &[&str]) -> Targets {
    let backend = "backend/default/users".parse().unwrap();
    Targets { backend, are_checked, ids: ids.iter().map(|id| (*id).into()).collect() }
}

fn pool<'a>(targets: &'a Targets, health: BackendHealth) -> Pool<'a> {
    Pool { targets, health, prefix: String::new() }
}

fn of(ids: &[&str], told: &[(&str, usize, usize)]) -> (&'static str, &'static str, String) {
    let healthy = Healthy::of(&[pool(&targets(true, ids), health(told))]);
    (healthy.reason.status().as_str(), healthy.reason.as_str(), healthy.message)
}

#[test]
fn a_backend_is_healthy_when_all_workers_say_so_of_all_targets() {
    let all = of(&["a", "b"], &[("a", 3, 0), ("b", 3, 0)]);
    assert_eq!(all, ("True", "AllTargetsHealthy", "2/2 targets are ready".to_owned()));
    let gone = of(&["a"], &[("a", 3, 0), ("gone", 0, 3)]);
    assert_eq!(gone.1, "AllTargetsHealthy", "what it doesn't have any more doesn't count");
}

#[test]
fn disagreement_and_a_target_that_is_out_are_told_with_counts() {
    let disputed = of(&["a", "b"], &[("a", 2, 1), ("b", 3, 0)]);
    let message = "2/2 targets are ready; a: status 503 (1 of 3 workers)".to_owned();
    assert_eq!(disputed, ("False", "Degraded", message));
    let out = of(&["a", "b"], &[("a", 0, 3), ("b", 3, 0)]);
    assert_eq!((out.1, &*out.2), ("Degraded", "1/2 targets are ready; a: status 503 (3 of 3 workers)"));
    let none = of(&["a", "b"], &[("a", 0, 3), ("b", 1, 1)]);
    assert_eq!((none.0, none.1), ("False", "NoHealthyTargets"));
    let ids: Vec<String> = (10..22).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let many: Vec<_> = ids.iter().map(|id| (*id, 0, 1)).collect();
    assert!(of(&ids, &many).2.ends_with("; and 2 more"));
}

#[test]
fn what_nobody_told_is_unknown() {
    let unknown = of(&["a", "b"], &[]);
    let message = "0/2 targets are ready, and no worker has told of 2 yet".to_owned();
    assert_eq!(unknown, ("Unknown", "NotReported", message));
    assert_eq!(of(&["a", "b"], &[("a", 1, 0)]).1, "NotReported");
    let unchecked = Healthy::of(&[pool(&targets(false, &["a"]), health(&[("a", 0, 1)]))]);
    assert_eq!(
        (unchecked.reason, unchecked.reason.status().as_str()),
        (HealthyReason::NotChecked, "Unknown")
    );
}

#[test]
fn without_targets_none_is_healthy_checked_or_not() {
    for are_checked in [true, false] {
        let healthy = Healthy::of(&[pool(&targets(are_checked, &[]), health(&[]))]);
        assert_eq!(healthy.reason, HealthyReason::NoHealthyTargets);
        let none = targets(are_checked, &[]);
        assert_eq!(Tally::of(&[pool(&none, health(&[]))]).ready.as_deref(), Some("0/0"));
    }
}

#[test]
fn the_tally_counts_what_there_is_and_names_the_worst_first() {
    let own = targets(true, &["a", "b", "c", "d", "e"]);
    let mut told = health(&[("a", 2, 1), ("b", 3, 0), ("c", 1, 2), ("gone", 0, 3)]);
    for target in &mut told.targets {
        target.open_breakers = usize::from(&*target.target == "b");
    }
    let tally = Tally::of(&[pool(&own, told)]);
    assert_eq!(tally.ready.as_deref(), Some("2/5"));
    let counts = tally.targets.unwrap();
    assert_eq!((counts.total, counts.ready, counts.ejected), (5, 2, 1));
    let worst: Vec<_> = tally
        .worst
        .iter()
        .map(|it| format!("{} {:?} {} {}", it.id, it.state, it.workers, it.reason))
        .collect();
    assert_eq!(
        worst,
        [
            "c Out 2 status 503",
            "a Disputed 1 status 503",
            "b Ejected 1 requests to it failed: its circuit breaker is open",
        ]
    );
}

#[test]
fn the_tally_names_no_more_than_a_status_may_hold() {
    let ids: Vec<String> = (10..40).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let many: Vec<_> = ids.iter().map(|id| (*id, 0, 1)).collect();
    let own = targets(true, &ids);
    let tally = Tally::of(&[pool(&own, health(&many))]);
    assert_eq!(tally.worst.len(), 16);
    assert_eq!(tally.ready.as_deref(), Some("0/30"));
}

#[test]
fn inline_backends_are_told_together_with_their_indices() {
    let (one, two) = (targets(true, &["a"]), targets(false, &["a"]));
    let first = Pool { prefix: "0/".to_owned(), ..pool(&one, health(&[("a", 0, 1)])) };
    let second = Pool { prefix: "1/".to_owned(), ..pool(&two, health(&[])) };
    let pools = [first, second];
    let healthy = Healthy::of(&pools);
    assert_eq!(healthy.reason, HealthyReason::Degraded);
    assert_eq!(healthy.message, "1/2 targets are ready; 0/a: status 503 (1 of 1 workers)");
    assert_eq!(Tally::of(&pools).worst[0].id, "0/a");
}

/// A status has the tally's fields under their names.
#[test]
fn the_tally_is_what_a_status_has() {
    let own = targets(true, &["a"]);
    let tally = Tally { routes: Some(3), ..Tally::of(&[pool(&own, health(&[("a", 0, 1)]))]) };
    let status: crds::BackendStatus = serde_json::from_value(serde_json::to_value(&tally).unwrap()).unwrap();
    let crds::BackendStatus { ready, targets, routes, worst, .. } = status;
    assert_eq!(Tally { ready, targets, routes, worst }, tally);
}

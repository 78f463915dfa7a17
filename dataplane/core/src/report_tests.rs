use super::*;

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn target(id: &str, standing: wire::TargetStanding) -> wire::TargetLevel {
    wire::TargetLevel {
        backend: "backend/default/users".to_owned(),
        target: id.to_owned(),
        standing: standing.into(),
        ..Default::default()
    }
}

fn levels(targets: &[(&str, wire::TargetStanding)]) -> Levels {
    let targets = targets.iter().map(|(id, standing)| target(id, *standing)).collect();
    Levels::new(wire::Node::default(), wire::Usage::default(), targets)
}

fn gone(id: &str) -> wire::TargetLevel {
    wire::TargetLevel { gone: true, ..target(id, NotChecked) }
}

use wire::TargetStanding::{In, NotChecked, Out};

/// A report that is taken at once.
fn told(reporting: &mut Reporting, levels: Levels, now: Duration) -> Option<wire::Report> {
    let report = reporting.next(levels, now)?;
    reporting.delivered(report.sequence, Delivery::Taken, now);
    Some(report)
}

#[test]
fn the_first_has_all_and_the_next_what_changed() {
    let mut reporting = Reporting::default();
    let first = told(&mut reporting, levels(&[("b", In), ("a", In), ("c", Out)]), at(0)).unwrap();
    assert_eq!((first.sequence, first.base), (1, 0));
    assert_eq!(first.targets, [target("a", In), target("b", In), target("c", Out)]);
    let next = told(&mut reporting, levels(&[("a", In), ("b", Out), ("d", In)]), at(2_000)).unwrap();
    assert_eq!((next.sequence, next.base), (2, 1));
    assert_eq!(next.targets, [target("b", Out), gone("c"), target("d", In)]);
    let last = told(&mut reporting, levels(&[]), at(4_000)).unwrap();
    assert_eq!(last.targets, [gone("a"), gone("b"), gone("d")]);
}

#[test]
fn changes_wait_and_their_absence_is_told_all_five() {
    let mut reporting = Reporting::default();
    assert!(told(&mut reporting, levels(&[("a", In)]), at(0)).is_some());
    assert_eq!(told(&mut reporting, levels(&[("a", Out)]), at(899)), None);
    // A look that comes a little early isn't lost.
    assert!(told(&mut reporting, levels(&[("a", Out)]), at(950)).is_some());
    let mut busier = levels(&[("a", Out)]);
    busier.usage.requests_per_second = 7.0;
    assert_eq!(told(&mut reporting, busier.clone(), at(5_949)), None, "usage alone is no news");
    let heartbeat = told(&mut reporting, busier, at(5_950)).unwrap();
    assert!(heartbeat.targets.is_empty());
    assert_eq!(heartbeat.usage.unwrap().requests_per_second, 7.0);
    let mut moved = levels(&[("a", Out)]);
    moved.node.settings_hash = "other".to_owned();
    assert!(told(&mut reporting, moved, at(7_000)).is_some());
}

#[test]
fn one_at_a_time_and_what_got_lost_is_told_again() {
    let mut reporting = Reporting::default();
    told(&mut reporting, levels(&[("a", In)]), at(0));
    let lost = reporting.next(levels(&[("a", Out)]), at(1_000)).unwrap();
    assert_eq!(reporting.next(levels(&[("a", In)]), at(9_000)), None, "one is under way");
    reporting.delivered(lost.sequence, Delivery::Failed, at(9_000));
    let again = reporting.next(levels(&[("a", In), ("b", In)]), at(9_000)).unwrap();
    // The lost one may have arrived, and then the leader has to hear that the target is back.
    assert_eq!((again.base, again.targets), (0, vec![target("a", In), target("b", In)]));
}

#[test]
fn a_gap_and_another_leader_get_all() {
    let mut reporting = Reporting::default();
    told(&mut reporting, levels(&[("a", In)]), at(0));
    let next = reporting.next(levels(&[("a", Out)]), at(1_000)).unwrap();
    reporting.delivered(next.sequence, Delivery::Gap, at(1_000));
    assert_eq!(reporting.next(levels(&[("a", Out)]), at(1_899)), None);
    let full = reporting.next(levels(&[("a", Out)]), at(2_000)).unwrap();
    assert_eq!((full.base, full.targets.len()), (0, 1));
    reporting.begin(at(2_100));
    reporting.delivered(full.sequence, Delivery::Taken, at(2_100));
    let other = reporting.next(levels(&[("a", Out)]), at(2_100)).unwrap();
    assert_eq!((other.base, other.targets.len()), (0, 1), "what the leader of before took doesn't count");
    assert!(other.sequence > full.sequence);
}

#[test]
fn a_leader_that_does_not_know_reports_is_left_alone_for_a_while() {
    let mut reporting = Reporting::default();
    let report = reporting.next(levels(&[]), at(0)).unwrap();
    reporting.delivered(report.sequence, Delivery::Unknown, at(100));
    assert_eq!(reporting.next(levels(&[]), at(60_099)), None);
    assert!(reporting.next(levels(&[]), at(60_100)).is_some());
}

#[test]
fn of_too_many_targets_the_bad_ones_are_told() {
    let mut targets: Vec<_> = (0..MAX_TARGETS).map(|id| target(&format!("{id:06}"), In)).collect();
    targets.push(target("z", Out));
    targets.push(wire::TargetLevel { breaker: wire::TargetBreaker::Open.into(), ..target("zz", NotChecked) });
    let levels = Levels::new(wire::Node::default(), wire::Usage::default(), targets);
    assert_eq!(levels.targets().len(), MAX_TARGETS);
    assert!(levels.targets().iter().any(|level| level.target == "z"));
    assert!(levels.targets().iter().any(|level| level.target == "zz"));
    assert!(levels.targets().is_sorted_by(|one, other| by_name(one, other).is_lt()));
}

#[test]
fn no_report_is_longer_than_a_leader_takes() {
    let reason = "x".repeat(500);
    let long = |id: usize| wire::TargetLevel { reason: reason.clone(), ..target(&format!("{id:06}"), Out) };
    let new = |targets| Levels::new(wire::Node::default(), wire::Usage::default(), targets);
    let mut reporting = Reporting::default();
    let all = reporting.next(new((0..MAX_TARGETS).map(long).collect()), at(0)).unwrap();
    assert!(all.targets.len() > MAX_TARGETS / 3, "{}", all.targets.len());
    assert!(all.encoded_len() <= MAX_REPORT_BYTES, "{}", all.encoded_len());

    let mut reporting = Reporting::default();
    let of =
        |from: usize| new((from..from + MAX_TARGETS).map(|id| target(&format!("{id:06}"), In)).collect());
    assert_eq!(told(&mut reporting, of(0), at(0)).unwrap().targets.len(), MAX_TARGETS);
    let moved = told(&mut reporting, of(MAX_TARGETS), at(5_000)).unwrap();
    assert_eq!((moved.base, moved.targets.len()), (0, MAX_TARGETS), "not also those that are gone");
}

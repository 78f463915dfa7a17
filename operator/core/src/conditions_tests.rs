use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as Written, Time};
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::healthy::{Healthy, Tally};
use crate::programmed::Verdict;
use crate::{Owner, Refusal, RefusalReason, Unresolved, UnresolvedReason};

fn status(generation: i64) -> ObjectStatus {
    ObjectStatus {
        key: "route/default/users".parse().unwrap(),
        owner: Owner::Kubernetes,
        generation,
        uid: String::new(),
        accepted: Ok(Acceptance::Active),
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        overlaps: Vec::new(),
        objects: Vec::new(),
        targets: Vec::new(),
        destinations: Vec::new(),
        backends: Vec::new(),
    }
}

fn of(status: ObjectStatus, programmed: &Programmed) -> Vec<Condition> {
    let verdict = Verdict { status: Arc::new(status), programmed: programmed.clone() };
    let overview = Overview {
        verdict,
        healthy: None,
        tally: Tally::default(),
        lacking: Vec::new(),
        awaits_reports: false,
        used_up: None,
    };
    conditions(&overview, programmed)
}

fn find<'a>(written: &'a [Written], type_: &str) -> &'a Written {
    written.iter().find(|one| one.type_ == type_).unwrap()
}

fn problem(message: &str) -> Problem {
    Problem { field: "spec.root".into(), message: message.into(), place: None }
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

const WAITING: Programmed = Programmed::Propagating { applied: 1, counted: 2 };

fn line(condition: &Condition) -> String {
    let Condition { type_, status, reason, message, .. } = condition;
    format!("{} {} {reason} {message}", type_.as_str(), status.as_str())
}

fn lines(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(line).collect()
}

#[test]
fn tell_what_became_of_an_object() {
    let refused = ObjectStatus {
        accepted: Err(Refusal {
            reason: RefusalReason::NotSupportedYet,
            problems: vec![problem("one"), problem("two")],
        }),
        resolved_refs: Err(Unresolved {
            reason: UnresolvedReason::BackendNotFound,
            problems: vec![problem("three")],
        }),
        ..status(4)
    };
    let told = of(refused, &Programmed::NotAccepted);
    assert!(told.iter().all(|condition| condition.observed_generation == 4));
    assert_eq!(
        lines(&told),
        [
            "Accepted False NotSupportedYet spec.root: one; spec.root: two",
            "ResolvedRefs False BackendNotFound spec.root: three",
            "Programmed False NotAccepted not accepted, see the Accepted condition",
            "Ready False NotAccepted see the Accepted condition",
        ]
    );
    assert_eq!(
        lines(&of(status(1), &Programmed::True)),
        [
            "Accepted True Accepted ",
            "ResolvedRefs True ResolvedRefs ",
            "Programmed True Programmed ",
            "Ready True Ready ",
        ]
    );
}

#[test]
fn what_is_on_its_way_is_not_ready() {
    let told = lines(&of(status(1), &WAITING));
    assert_eq!(
        told[2..],
        ["Programmed False Propagating 1/2", "Ready False NotProgrammed see the Programmed condition"]
    );
}

#[test]
fn health_is_told_as_it_is() {
    let healthy = Healthy { reason: crate::healthy::HealthyReason::NotReported, message: "0/1".to_owned() };
    let verdict = Verdict { status: Arc::new(status(1)), programmed: Programmed::True };
    let overview = Overview {
        verdict,
        healthy: Some(healthy),
        tally: Tally::default(),
        lacking: Vec::new(),
        awaits_reports: false,
        used_up: None,
    };
    assert_eq!(lines(&conditions(&overview, &Programmed::True))[2], "Healthy Unknown NotReported 0/1");
}

#[test]
fn warnings_and_disabled_are_accepted() {
    let warned = ObjectStatus { warnings: vec![problem("hm")], ..status(1) };
    let disabled = ObjectStatus { accepted: Ok(Acceptance::Disabled), ..status(1) };
    assert_eq!(line(&of(warned, &WAITING)[0]), "Accepted True AcceptedWithWarnings spec.root: hm");
    let told = lines(&of(disabled, &Programmed::True));
    assert_eq!(told[0], "Accepted True Disabled switched off by enabled: false");
    assert_eq!(told[3], "Ready True Disabled switched off by enabled: false");
}

#[test]
fn an_overlap_is_a_condition_only_while_there_is_one() {
    let overlapping = of(ObjectStatus { overlaps: vec![problem("hm")], ..status(1) }, &Programmed::True);
    assert_eq!(lines(&overlapping)[0], "Accepted True Accepted ", "it is used all the same");
    assert_eq!(lines(&overlapping)[4], "Overlapping True Shadowed spec.root: hm");
    let written = settle(&[], &overlapping, &at(10));
    assert_eq!(written.len(), 5);
    let free = settle(&written, &of(status(1), &Programmed::True), &at(20));
    assert_eq!(free, written[..4], "it is taken away");
}

#[test]
fn messages_are_cut_between_characters() {
    let long = problem(&"é".repeat(MAX_MESSAGE));
    let accepted = Err(Refusal { reason: RefusalReason::Invalid, problems: vec![long] });
    let told = of(ObjectStatus { accepted, ..status(1) }, &WAITING);
    let message = &told[0].message;
    assert!(message.len() <= MAX_MESSAGE && message.len() > MAX_MESSAGE - 4);
    assert!(message.ends_with("é…"));
    assert_eq!(shortened("short".into(), 5), "short");
}

#[test]
fn time_moves_on_flips_only() {
    let first = settle(&[], &of(status(1), &WAITING), &at(10));
    assert!(first.iter().all(|one| one.last_transition_time == at(10)));

    // Another message and generation, the same status: the time stays.
    let all = Programmed::Propagating { applied: 0, counted: 2 };
    let second = settle(&first, &of(status(2), &all), &at(20));
    assert!(
        second.iter().all(|one| one.last_transition_time == at(10) && one.observed_generation == Some(2))
    );
    assert_eq!(find(&second, "Programmed").message, "0/2");

    let third = settle(&second, &of(status(2), &Programmed::True), &at(30));
    let programmed = find(&third, "Programmed");
    assert_eq!((&programmed.status[..], &programmed.last_transition_time), ("True", &at(30)));
    assert_eq!(find(&third, "Accepted").last_transition_time, at(10));
    assert_eq!(settle(&third, &of(status(2), &Programmed::True), &at(40)), third);
}

#[test]
fn programmed_is_kept_for_its_generation() {
    let written = settle(&[], &of(status(1), &Programmed::True), &at(10));
    assert!(has_been_programmed(&written, &status(1)));
    assert!(!has_been_programmed(&written, &status(2)), "another generation");
    let accepted = Err(Refusal { reason: RefusalReason::Conflict, problems: Vec::new() });
    let refused = ObjectStatus { accepted, ..status(1) };
    assert!(!has_been_programmed(&written, &refused), "what is refused now isn't programmed");
    let waiting = settle(&[], &of(status(1), &WAITING), &at(10));
    assert!(!has_been_programmed(&waiting, &status(1)));
}

#[test]
fn conditions_of_others_are_kept() {
    let foreign = Written {
        type_: "Audited".into(),
        status: "False".into(),
        reason: "Seen".into(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: at(5),
    };
    let next = settle(std::slice::from_ref(&foreign), &of(status(1), &WAITING), &at(10));
    assert_eq!(next.len(), 5);
    assert_eq!(next[4], foreign);
}

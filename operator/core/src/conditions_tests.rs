use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as Written, Time};
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::{Owner, Refusal, RefusalReason, Unresolved, UnresolvedReason};

fn status(generation: i64) -> ObjectStatus {
    ObjectStatus {
        key: "route/default/users".parse().unwrap(),
        owner: Owner::Kubernetes,
        generation,
        accepted: Ok(Acceptance::Active),
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        objects: Vec::new(),
    }
}

fn problem(message: &str) -> Problem {
    Problem { field: "spec.root".into(), message: message.into(), place: None }
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

const WAITING: Programmed = Programmed::Propagating { applied: 1, counted: 2 };

fn line(condition: &Condition) -> String {
    format!("{} {} {} {}", condition.type_.as_str(), condition.status, condition.reason, condition.message)
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
    let told = conditions(&refused, &Programmed::NotAccepted);
    assert!(told.iter().all(|condition| condition.observed_generation == 4));
    assert_eq!(
        told.each_ref().map(line),
        [
            "Accepted false NotSupportedYet spec.root: one; spec.root: two",
            "ResolvedRefs false BackendNotFound spec.root: three",
            "Programmed false NotAccepted not accepted, see the Accepted condition",
        ]
    );
    let told = conditions(&status(1), &Programmed::True);
    assert_eq!(
        told.each_ref().map(line),
        ["Accepted true Accepted ", "ResolvedRefs true ResolvedRefs ", "Programmed true Programmed "]
    );
}

#[test]
fn warnings_and_disabled_are_accepted() {
    let warned = ObjectStatus { warnings: vec![problem("hm")], ..status(1) };
    let disabled = ObjectStatus { accepted: Ok(Acceptance::Disabled), ..status(1) };
    let reason = |status: &ObjectStatus| line(&conditions(status, &WAITING)[0]);
    assert_eq!(reason(&warned), "Accepted true AcceptedWithWarnings spec.root: hm");
    assert_eq!(reason(&disabled), "Accepted true Disabled switched off by enabled: false");
}

#[test]
fn messages_are_cut_between_characters() {
    let long = problem(&"é".repeat(MAX_MESSAGE));
    let accepted = Err(Refusal { reason: RefusalReason::Invalid, problems: vec![long] });
    let [accepted, ..] = conditions(&ObjectStatus { accepted, ..status(1) }, &WAITING);
    assert!(accepted.message.len() <= MAX_MESSAGE && accepted.message.len() > MAX_MESSAGE - 4);
    assert!(accepted.message.ends_with("é…"));
    assert_eq!(shortened("short".into(), 5), "short");
}

#[test]
fn time_moves_on_flips_only() {
    let first = settle(&[], &conditions(&status(1), &WAITING), &at(10));
    assert!(first.iter().all(|one| one.last_transition_time == at(10)));

    // Another message and generation, the same status: the time stays.
    let all = Programmed::Propagating { applied: 0, counted: 2 };
    let second = settle(&first, &conditions(&status(2), &all), &at(20));
    assert!(
        second.iter().all(|one| one.last_transition_time == at(10) && one.observed_generation == Some(2))
    );
    assert_eq!(second[2].message, "0/2");

    let third = settle(&second, &conditions(&status(2), &Programmed::True), &at(30));
    assert_eq!((&third[2].status[..], &third[2].last_transition_time), ("True", &at(30)));
    assert_eq!(third[0].last_transition_time, at(10));
    assert_eq!(settle(&third, &conditions(&status(2), &Programmed::True), &at(40)), third);
}

#[test]
fn programmed_is_latched_for_its_generation() {
    let written = settle(&[], &conditions(&status(1), &Programmed::True), &at(10));
    for later in [WAITING, Programmed::NoWorkers, Programmed::Held] {
        let next = settle(&written, &conditions(&status(1), &later), &at(20));
        assert_eq!(next[2], written[2], "{later:?} withdraws nothing");
        let next = settle(&written, &conditions(&status(2), &later), &at(20));
        assert_eq!((&next[2].status[..], next[2].observed_generation), ("False", Some(2)), "{later:?}");
    }
    let refused = settle(&written, &conditions(&status(1), &Programmed::NotAccepted), &at(20));
    assert_eq!(refused[2].status, "False", "what is refused now isn't programmed");
}

#[test]
fn conditions_of_others_are_kept() {
    let foreign = Written {
        type_: "Degraded".into(),
        status: "False".into(),
        reason: "Healthy".into(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: at(5),
    };
    let next = settle(std::slice::from_ref(&foreign), &conditions(&status(1), &WAITING), &at(10));
    assert_eq!(next.len(), 4);
    assert_eq!(next[3], foreign);
}

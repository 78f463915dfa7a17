use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(1),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

fn of(conditions: [[&str; 3]; 5]) -> Vec<Condition> {
    conditions.map(|[type_, status, reason]| condition(type_, status, reason, "")).to_vec()
}

fn told(before: &[Condition], after: &[Condition]) -> Vec<String> {
    let line =
        |flip: &Flip| format!("{} {}", if flip.is_warning { "Warning" } else { "Normal" }, flip.reason);
    flips(before, after).iter().map(line).collect()
}

fn good() -> Vec<Condition> {
    of([
        ["Accepted", "True", "Accepted"],
        ["ResolvedRefs", "True", "ResolvedRefs"],
        ["Healthy", "True", "AllTargetsHealthy"],
        ["Programmed", "True", "Programmed"],
        ["Ready", "True", "Ready"],
    ])
}

fn with(changes: &[[&str; 3]]) -> Vec<Condition> {
    let mut conditions = good();
    for [type_, status, reason] in changes {
        let changed = conditions.iter_mut().find(|one| one.type_ == *type_).unwrap();
        *changed = condition(type_, status, reason, "why");
    }
    conditions
}

#[test]
fn a_new_object_is_told_of_once_it_is_there() {
    assert_eq!(told(&[], &good()), ["Normal Programmed", "Normal Ready"]);
    let on_its_way = with(&[["Programmed", "False", "Propagating"], ["Ready", "False", "NotProgrammed"]]);
    assert!(told(&[], &on_its_way).is_empty());
    assert_eq!(told(&on_its_way, &good()), ["Normal Programmed", "Normal Ready"]);
    let refused = with(&[
        ["Accepted", "False", "Invalid"],
        ["Healthy", "Unknown", "NotAccepted"],
        ["Programmed", "False", "NotAccepted"],
        ["Ready", "False", "NotAccepted"],
    ]);
    assert_eq!(told(&[], &refused), ["Warning Invalid"]);
}

#[test]
fn what_stays_has_no_event() {
    assert!(told(&good(), &good()).is_empty());
    let mut other_text = good();
    other_text[2].message = "3/3".to_owned();
    other_text[0].reason = "AcceptedWithWarnings".to_owned();
    assert!(told(&good(), &other_text).is_empty());
}

#[test]
fn health_is_told_by_its_reason_and_not_twice() {
    let degraded = with(&[["Healthy", "False", "Degraded"], ["Ready", "True", "SomeTargetsNotReady"]]);
    assert_eq!(told(&good(), &degraded), ["Warning Degraded"]);
    let none = with(&[["Healthy", "False", "NoHealthyTargets"], ["Ready", "False", "NoHealthyTargets"]]);
    assert_eq!(told(&degraded, &none), ["Warning NoHealthyTargets"], "Ready says the same");
    assert_eq!(told(&none, &good()), ["Normal AllTargetsHealthy", "Normal Ready"]);
    let unknown = with(&[["Healthy", "Unknown", "NotReported"]]);
    assert_eq!(told(&good(), &unknown), ["Normal NotReported"]);
}

#[test]
fn an_event_is_about_its_object_and_has_bounds() {
    let key: Key = format!("backend/shop/{}", "a".repeat(253)).parse().unwrap();
    let write = Write {
        key,
        uid: "u".to_owned(),
        observed_generation: 1,
        tally: Default::default(),
        conditions: vec![condition("Accepted", "False", "Invalid", &"x".repeat(5000))],
        before: Vec::new(),
    };
    let flip = flips(&[], &write.conditions).remove(0);
    assert!(flip.note.starts_with("Accepted is False: xxx") && flip.note.len() <= 1024, "{}", flip.note);
    let made = event(&write, flip, "leader-0", Timestamp::UNIX_EPOCH);
    let name = made.metadata.name.unwrap();
    assert!(name.len() == 253 && name.ends_with(".0.invalid"), "{name}");
    let about = made.regarding.unwrap();
    assert_eq!((about.kind.as_deref(), about.uid.as_deref()), (Some("Backend"), Some("u")));
    assert_eq!(about.api_version.as_deref(), Some("komainu.dev/v1alpha1"));
    assert_eq!((made.metadata.namespace.as_deref(), made.type_.as_deref()), (Some("shop"), Some("Warning")));
}

use super::*;
use crate::EndpointConditions;

/// Endpoints by the last number of their address, and what is said of their readiness.
fn slice(endpoints: &[(u8, Option<bool>)]) -> SliceSpec {
    let endpoint = |(number, ready): &(u8, Option<bool>)| Endpoint {
        addresses: vec![format!("10.0.0.{number}")],
        conditions: EndpointConditions { ready: *ready, ..EndpointConditions::default() },
        ..Endpoint::default()
    };
    SliceSpec { endpoints: endpoints.iter().map(endpoint).collect(), ports: Vec::new() }
}

fn doubted(slice: &SliceSpec) -> Vec<bool> {
    slice.endpoints.iter().map(|endpoint| endpoint.doubted).collect()
}

/// Doubts after so long an outage, and when it ended.
fn after(outage: Duration) -> (Doubts, Instant) {
    let begun = Instant::now();
    let mut doubts = Doubts::default();
    doubts.away(begun);
    doubts.away(begun + outage / 2);
    let until = doubts.back(begun + outage);
    assert_eq!(until.is_some(), outage >= LEAST_AWAY);
    assert!(until.is_none_or(|until| until == begun + outage + DOUBT));
    (doubts, begun + outage)
}

#[test]
fn who_was_ready_before_a_long_outage_is_doubted_to_be_unready_after_it() {
    let (mut doubts, now) = after(LEAST_AWAY);
    let known = slice(&[(1, Some(true)), (2, None), (3, Some(false))]);
    let told =
        slice(&[(1, Some(false)), (2, Some(false)), (3, Some(false)), (4, Some(false)), (5, Some(true))]);
    let marked = doubts.judge(&told, Some(&known), now).unwrap();
    assert_eq!(doubted(&marked), [true, true, false, false, false]);
    // It stays so, whatever else happens to the slice.
    assert_eq!(doubts.judge(&marked, Some(&marked), now), None);
    assert_eq!(doubts.judge(&told, Some(&marked), now), Some(marked));
    assert_eq!(doubts.judge(&told, None, now), None, "a new slice");
}

#[test]
fn a_doubt_ends_when_the_pod_is_ready_or_ends_or_after_five_minutes() {
    let (mut doubts, now) = after(LEAST_AWAY);
    let known = slice(&[(1, Some(true)), (2, Some(true))]);
    let unready = slice(&[(1, Some(false)), (2, Some(false))]);
    let marked = doubts.judge(&unready, Some(&known), now).unwrap();
    let mut told = slice(&[(1, Some(true)), (2, Some(false))]);
    told.endpoints[1].conditions.terminating = Some(true);
    let mut others = doubts.clone();
    assert_eq!(others.judge(&told, Some(&marked), now), None);
    assert_eq!(others.judge(&unready, Some(&told), now), None, "both were told since");
    let last = now + DOUBT - Duration::from_millis(1);
    assert_eq!(doubts.judge(&marked, Some(&marked), last), None);
    assert_eq!(doubts.judge(&marked, Some(&marked), now + DOUBT), Some(unready));
}

#[test]
fn without_a_long_outage_unreadiness_is_believed() {
    let (known, told) = (slice(&[(1, Some(true))]), slice(&[(1, Some(false))]));
    let (mut short, now) = after(LEAST_AWAY - Duration::from_millis(1));
    assert_eq!(short.judge(&told, Some(&known), now), None);
    let mut never = Doubts::default();
    assert_eq!(never.back(now), None);
    assert_eq!(never.judge(&told, Some(&known), now), None);
}

#[test]
fn two_short_outages_are_no_long_one() {
    let (mut doubts, now) = after(LEAST_AWAY / 2);
    doubts.away(now + LEAST_AWAY);
    assert_eq!(doubts.back(now + LEAST_AWAY * 3 / 2), None);
}

#[test]
fn new_pods_are_believed() {
    let (mut doubts, now) = after(LEAST_AWAY);
    let known = slice(&[(1, Some(true)), (2, Some(false))]);
    let ready = slice(&[(1, Some(true)), (2, Some(true)), (3, Some(true))]);
    assert_eq!(doubts.judge(&ready, Some(&known), now), None);
    let unready = slice(&[(1, Some(false)), (2, Some(false)), (3, Some(false))]);
    let marked = doubts.judge(&unready, Some(&ready), now).unwrap();
    assert_eq!(doubted(&marked), [true, false, false]);
    // With the next outage all begin anew.
    doubts.away(now + DOUBT);
    assert_eq!(doubts.judge(&ready, Some(&marked), now + DOUBT), None);
    doubts.back(now + DOUBT + LEAST_AWAY);
    let marked = doubts.judge(&unready, Some(&ready), now + DOUBT + LEAST_AWAY).unwrap();
    assert_eq!(doubted(&marked), [true, true, true]);
}

#[test]
fn an_outage_soon_after_another_begins_anew_too() {
    let (mut doubts, now) = after(LEAST_AWAY);
    let (known, told) = (slice(&[(1, Some(false))]), slice(&[(1, Some(true))]));
    assert_eq!(doubts.judge(&told, Some(&known), now), None);
    assert_eq!(doubts.judge(&known, Some(&told), now), None, "its readiness was told since");
    doubts.away(now);
    doubts.back(now + LEAST_AWAY);
    assert!(doubts.judge(&known, Some(&told), now + LEAST_AWAY).is_some());
}

#[test]
fn what_is_told_late_in_a_long_outage_is_doubted_too() {
    let now = Instant::now();
    let mut doubts = Doubts::default();
    doubts.away(now);
    let (known, told) = (slice(&[(1, Some(true))]), slice(&[(1, Some(false))]));
    assert_eq!(doubts.judge(&told, Some(&known), now + LEAST_AWAY / 2), None);
    assert!(doubts.judge(&told, Some(&known), now + LEAST_AWAY).is_some());
}

#[test]
fn what_an_earlier_leader_doubted_is_doubted_on() {
    let now = Instant::now();
    let mut doubts = Doubts::inherited(now);
    assert_eq!(doubts.until(), Some(now + DOUBT));
    let mut known = slice(&[(1, Some(false))]);
    known.endpoints[0].doubted = true;
    let told = slice(&[(1, Some(false))]);
    assert_eq!(doubts.judge(&told, Some(&known), now), Some(known));
}

use std::time::Duration;

use super::*;
use crate::Warmth;
use crate::backend::Targets;
use crate::certificates::{Certificates, Lookup};
use crate::passwords::Passwords;

const KEY: &str = "backend/default/users";

pub(super) fn backend(count: usize, states: &BackendStates) -> CompiledBackend {
    let key: Key = KEY.parse().unwrap();
    let target = |index: usize| wire::Target {
        id: index.to_string(),
        hostname: "a.test".into(),
        port: 80,
        weight: 1,
        ..Default::default()
    };
    let endpoints = wire::Endpoints { targets: (0..count).map(target).collect() };
    let targets =
        Targets::compile(&key, &endpoints, states, &mut Lookup::new(&Certificates::default())).unwrap();
    let client = wire::ClientSettings {
        retries: Some(wire::Retries { count: 1, ..Default::default() }),
        breaker: Some(wire::Breaker { max_errors: 1, interval: 1000, server_errors: true }),
        ..Default::default()
    };
    let backend = wire::Backend { client: Some(client), root: "/".into(), ..Default::default() };
    CompiledBackend::compile(key, &backend, Arc::new(targets), states, &mut Passwords::default()).unwrap()
}

/// How many of the targets are kept from requests when all of them fail.
fn opened(count: usize) -> usize {
    let now = Moment::default();
    let backend = backend(count, &BackendStates::new());
    for target in backend.targets().iter().chain(backend.targets()) {
        if let Some(permit) = backend.admit(target, now) {
            backend.failed(target, permit, now);
        }
    }
    backend.targets().iter().filter(|target| backend.admit(target, now).is_none()).count()
}

#[test]
fn at_most_half_of_the_targets_are_ejected_and_one_always() {
    assert_eq!([1, 2, 3, 4, 5, 10].map(opened), [1, 1, 1, 2, 2, 5]);
}

#[test]
fn a_breaker_whose_time_is_over_makes_room_for_another() {
    let backend = backend(2, &BackendStates::new());
    let [one, two] = backend.targets() else { panic!("two") };
    let fail = |target, now| backend.failed(target, backend.admit(target, now).unwrap(), now);
    let now = Moment::default();
    assert!(fail(one, now) && !fail(two, now));
    assert!(backend.is_breaker_open(now));
    let later = now.after(Duration::from_secs(1));
    assert!(!backend.is_breaker_open(later) && fail(two, later));
}

#[test]
fn answers_from_500_are_errors() {
    let backend = backend(1, &BackendStates::new());
    let [target] = backend.targets() else { panic!("one") };
    let now = Moment::default();
    let answer = |status| backend.answered(target, backend.admit(target, now).unwrap(), status, || now);
    assert!(!answer(200) && !answer(499) && answer(500));
    assert!(backend.admit(target, now).is_none());
    let later = now.after(Duration::from_secs(1));
    assert_eq!(target.state.warmth.share(later), Warmth::FULL);
    let trial = backend.admit(target, later).unwrap();
    assert!(!backend.answered(target, trial, 200, || later));
    assert!(target.state.warmth.share(later) < Warmth::FULL, "it comes back slowly");
}

#[test]
fn a_target_that_came_back_is_given_up_sooner() {
    let states = BackendStates::new();
    let mut backend = backend(1, &states);
    backend.resilience.breaker =
        BreakerRule::parse(Some(&wire::Breaker { max_errors: 8, interval: 100_000, server_errors: true }))
            .unwrap();
    let [target] = backend.targets() else { panic!("one") };
    let errors = |now| (1..).find(|_| backend.failed(target, backend.admit(target, now).unwrap(), now));
    assert_eq!(errors(Moment::default()), Some(8));
    let back = Moment::default().after(Duration::from_secs(100));
    assert!(!backend.answered(target, backend.admit(target, back).unwrap(), 200, || back));
    assert_eq!(errors(back), Some(2), "it takes next to nothing of its share");
    let later = back.after(Duration::from_secs(100));
    assert!(!backend.answered(target, backend.admit(target, later).unwrap(), 200, || later));
    assert_eq!(errors(later.after(Warmth::RAMP)), Some(8), "warm");
}

#[test]
fn breakers_and_budget_outlive_the_backend() {
    let states = BackendStates::new();
    let old = backend(1, &states);
    let now = Moment::default();
    let [target] = old.targets() else { panic!("one") };
    old.failed(target, old.admit(target, now).unwrap(), now);
    while old.retries().unwrap().withdraw(now) {}
    let new = backend(1, &states);
    drop(old);
    states.forget_vanished();
    assert!(new.is_breaker_open(now) && !new.retries().unwrap().withdraw(now));
    drop(new);
    states.forget_vanished();
    let fresh = backend(1, &states);
    assert!(!fresh.is_breaker_open(now) && fresh.retries().unwrap().withdraw(now));
}

#[test]
fn nothing_is_on_that_isnt_set() {
    let states = BackendStates::new();
    let key: Key = KEY.parse().unwrap();
    let resilience = Resilience::compile(&key, Some(&wire::ClientSettings::default()), &states).unwrap();
    assert!(resilience.retries.is_none() && resilience.breaker.is_none());
}

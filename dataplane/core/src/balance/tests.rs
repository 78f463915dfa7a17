//! Which targets take requests, as a backend's pick shows it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dataplane_snapshot::wire;
use proptest::prelude::*;

use super::spread;
use crate::health::{Health, Standing};
use crate::sample::{self, Head, target};
use crate::{BackendStates, Choice, CompiledBackend, CompiledTarget, Location, Moment, Tried};

fn backend(targets: Vec<wire::Target>) -> CompiledBackend {
    sample::compiled_backend(&wire::Backend::default(), targets).unwrap()
}

fn backup(id: &str) -> wire::Target {
    wire::Target { backup: true, ..target(id, 1) }
}

fn of<'b>(backend: &'b CompiledBackend, id: &str) -> &'b CompiledTarget {
    backend.targets().iter().find(|target| &*target.id == id).unwrap()
}

fn sick(backend: &CompiledBackend, ids: &[&str]) {
    let out = Health { standing: Standing::Out, ..Health::default() };
    ids.iter().for_each(|id| of(backend, id).state.set_health(out));
}

fn open(backend: &CompiledBackend, ids: &[&str]) {
    ids.iter().for_each(|id| of(backend, id).state.forced.open.store(true, Relaxed));
}

/// How often each target is picked for a first try, at `now`.
fn shares_at(backend: &CompiledBackend, picks: u64, now: Moment) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for number in 0..picks {
        let choice = Choice { head: &Head::get("/"), tried: &Tried::default(), now, random: spread(number) };
        if let Some(target) = backend.pick(&choice) {
            *counts.entry(&*target.id).or_default() += 1;
        }
    }
    counts
}

fn shares(backend: &CompiledBackend, picks: u64) -> BTreeMap<&str, u64> {
    shares_at(backend, picks, Moment::default())
}

/// The targets that one request is sent to, try after try.
fn tries(backend: &CompiledBackend, count: usize) -> Vec<&str> {
    let mut tried = Tried::default();
    let mut ids = Vec::new();
    for number in 0..count {
        let random = spread(number as u64);
        let choice = Choice { head: &Head::get("/"), tried: &tried, now: Moment::default(), random };
        let Some(target) = backend.pick(&choice) else { break };
        ids.push(&*target.id);
        tried.add(target);
    }
    ids
}

#[test]
fn the_share_of_an_ineligible_target_goes_to_the_others_by_weight() {
    let backend = backend(vec![target("a", 1), target("b", 3), target("c", 2)]);
    open(&backend, &["b"]);
    assert_eq!(shares(&backend, 3000), BTreeMap::from([("a", 1000), ("c", 2000)]));
    sick(&backend, &["c"]);
    assert_eq!(shares(&backend, 100), BTreeMap::from([("a", 100)]));
}

#[test]
fn a_retry_prefers_targets_that_were_not_tried() {
    let backend = backend(vec![target("a", 1), target("b", 1), target("c", 1)]);
    let mut ids = tries(&backend, 3);
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(tries(&backend, 5).len(), 5, "all were tried, so any will do");
}

#[test]
fn backups_wait_until_no_primary_is_left() {
    let backend = backend(vec![backup("x"), target("a", 1), target("b", 1), backup("y")]);
    assert_eq!(shares(&backend, 10), BTreeMap::from([("a", 5), ("b", 5)]));
    sick(&backend, &["a"]);
    assert_eq!(shares(&backend, 10), BTreeMap::from([("b", 10)]));
    open(&backend, &["b"]);
    let backups = shares(&backend, 1000);
    assert_eq!(backups["x"] + backups["y"], 1000, "rather than a sick primary: {backups:?}");
    assert!(backups["x"].abs_diff(backups["y"]) < 100, "{backups:?}");
    sick(&backend, &["x", "y"]);
    assert_eq!(shares(&backend, 10), BTreeMap::new(), "b is healthy, so its open breaker stands");
}

#[test]
fn a_request_reaches_backups_once_every_primary_was_tried() {
    let both = backend(vec![target("a", 1), backup("x"), target("b", 1)]);
    let ids = tries(&both, 4);
    assert!(ids[..2].contains(&"a") && ids[..2].contains(&"b"), "{ids:?}");
    assert_eq!(ids[2], "x");
    assert!(["a", "b"].contains(&ids[3]), "all were tried: primaries again");
    let only = backend(vec![backup("x"), backup("y")]);
    assert_eq!(shares(&only, 10), BTreeMap::from([("x", 5), ("y", 5)]));
}

#[test]
fn targets_of_the_own_zone_go_first_while_one_is_available() {
    let states = BackendStates::at(Location { zone: "west-1".into(), ..Location::default() });
    let zoned = |id: &str, weight, zone: &str| wire::Target { zone: zone.into(), ..target(id, weight) };
    for policy in [wire::LoadBalancingPolicy::RoundRobin, wire::LoadBalancingPolicy::Random] {
        let load_balancing = Some(wire::LoadBalancing { policy: policy.into(), ..Default::default() });
        let wire = wire::Backend { load_balancing, ..wire::Backend::default() };
        let spare = wire::Target { backup: true, ..zoned("spare", 1, "west-1") };
        let targets = vec![
            zoned("far", 1, "west-2"),
            zoned("near", 1, "west-1"),
            zoned("nowhere", 1, ""),
            zoned("drained", 0, "west-1"),
            zoned("close", 2, "west-1"),
            spare,
        ];
        let backend = sample::compiled_backend_in(&states, &wire, targets).unwrap();
        let picked = |backend: &CompiledBackend| {
            shares(backend, 300).into_keys().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(picked(&backend), ["close", "near"]);
        sick(&backend, &["near"]);
        assert_eq!(picked(&backend), ["close"]);
        open(&backend, &["close"]);
        assert_eq!(picked(&backend), ["far", "nowhere"], "a primary of another zone goes before a backup");
    }
    let two = vec![zoned("far", 1, "west-2"), zoned("near", 1, "west-1")];
    let two = sample::compiled_backend_in(&states, &wire::Backend::default(), two).unwrap();
    assert_eq!(tries(&two, 3), ["near", "far", "near"]);
    // Who doesn't know where it is prefers nothing.
    let lost = backend(vec![zoned("a", 1, "west-1"), zoned("b", 1, "")]);
    assert_eq!(shares(&lost, 10), BTreeMap::from([("a", 5), ("b", 5)]));
}

#[test]
fn health_is_disbelieved_when_it_leaves_nothing() {
    let backend = backend(vec![target("a", 1), target("b", 1), target("c", 1)]);
    sick(&backend, &["a", "b"]);
    assert_eq!(shares(&backend, 9), BTreeMap::from([("c", 9)]));
    sick(&backend, &["c"]);
    assert_eq!(shares(&backend, 9), BTreeMap::from([("a", 3), ("b", 3), ("c", 3)]));
    open(&backend, &["a"]);
    assert_eq!(shares(&backend, 8), BTreeMap::from([("b", 4), ("c", 4)]), "an open breaker is respected");
}

#[test]
fn it_is_told_that_health_checks_are_disbelieved() {
    let wire = wire::Backend { panic_threshold: Some(60), ..wire::Backend::default() };
    let targets = vec![target("a", 1), target("b", 1), target("drained", 0), backup("spare")];
    let backend = sample::compiled_backend(&wire, targets).unwrap();
    let told = || backend.disbelieves_health(Moment::default());
    sick(&backend, &["a"]);
    assert!(!told(), "there is a backup");
    open(&backend, &["spare"]);
    assert!(told());
    assert_eq!(shares(&backend, 100), BTreeMap::from([("a", 50), ("b", 50)]));
    of(&backend, "a").state.set_health(Health { standing: Standing::In, ..Health::default() });
    assert!(!told(), "all are healthy");
}

#[test]
fn the_panic_threshold_is_a_share_of_the_targets() {
    let with = |panic_threshold| {
        let wire = wire::Backend { panic_threshold, ..wire::Backend::default() };
        let drained = target("d", 0);
        sample::compiled_backend(&wire, vec![target("a", 1), target("b", 1), target("c", 1), drained])
            .unwrap()
    };
    let half = with(Some(50));
    sick(&half, &["a"]);
    assert_eq!(shares(&half, 10), BTreeMap::from([("b", 5), ("c", 5)]), "two of three");
    sick(&half, &["b"]);
    assert_eq!(shares(&half, 9), BTreeMap::from([("a", 3), ("b", 3), ("c", 3)]), "one of three");
    let never = with(Some(0));
    sick(&never, &["a", "b", "c"]);
    assert_eq!(shares(&never, 9), BTreeMap::new());
}

#[test]
fn a_target_that_came_back_begins_with_a_small_share() {
    let backend = backend(vec![target("a", 1), target("b", 1)]);
    let back = Moment::from_micros(1_000_000);
    of(&backend, "a").state.warmth.begin(back);
    let share_after = |seconds| {
        let counts = shares_at(&backend, 10_000, back.after(Duration::from_secs(seconds)));
        counts["a"] as f64 / 5_000.0
    };
    assert!((0.07..0.12).contains(&share_after(0)), "{}", share_after(0));
    assert!((0.12..0.17).contains(&share_after(10)), "{}", share_after(10));
    assert!((0.95..1.05).contains(&share_after(60)), "{}", share_after(60));
}

#[test]
fn targets_that_all_came_back_serve_all_requests() {
    let backend = backend(vec![target("a", 1), target("b", 1)]);
    for target in backend.targets() {
        target.state.warmth.begin(Moment::default());
    }
    let counts = shares(&backend, 10_000);
    assert_eq!(counts["a"] + counts["b"], 10_000);
    assert!(counts["a"].abs_diff(counts["b"]) < 500, "{counts:?}");
}

#[derive(Clone, Debug)]
struct Given {
    weight: u32,
    backup: bool,
    sick: bool,
    open: bool,
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let one = (0_u32..4, any::<bool>(), any::<bool>(), prop::bool::weighted(0.3))
        .prop_map(|(weight, backup, sick, open)| Given { weight, backup, sick, open });
    prop::collection::vec(one, 0..7)
}

proptest! {
    /// Against the words of the documentation, target by target.
    #[test]
    fn every_pick_is_allowed_and_none_is_missed(given in given(), tries in 1_usize..5, random: u64) {
        let id = |index: usize| index.to_string();
        let targets = given.iter().enumerate().map(|(index, given)| wire::Target {
            backup: given.backup,
            ..target(&id(index), given.weight)
        });
        let backend = backend(targets.collect());
        for (target, given) in backend.targets().iter().zip(&given) {
            let standing = if given.sick { Standing::Out } else { Standing::NotChecked };
            target.state.set_health(Health { standing, ..Health::default() });
            target.state.forced.open.store(given.open, Relaxed);
        }
        let mut tried = Tried::default();
        for _ in 0..tries {
            let choice = Choice { head: &Head::get("/"), tried: &tried, now: Moment::default(), random };
            let picked = backend.pick(&choice);
            let fresh = |target: &&CompiledTarget| !tried.contains(target);
            let given_of = |target: &CompiledTarget| &given[usize::from(target.position)];
            let members = |backup: bool| {
                backend.targets().iter().filter(move |target| {
                    let given = given_of(target);
                    given.weight > 0 && given.backup == backup
                })
            };
            let eligible = |backup: bool| members(backup).filter(|t| !given_of(t).sick && !given_of(t).open);
            let Some(picked) = picked else {
                prop_assert!(eligible(false).chain(eligible(true)).next().is_none());
                break;
            };
            prop_assert!(picked.weight > 0 && !given_of(picked).open);
            let preferred = eligible(false).any(|target| fresh(&target));
            if preferred {
                prop_assert!(!picked.backup);
            }
            if eligible(picked.backup).any(|target| fresh(&target)) {
                prop_assert!(!tried.contains(picked));
            }
            if given_of(picked).sick {
                let all_sick = |backup| members(backup).all(|target| given_of(target).sick);
                prop_assert!(all_sick(picked.backup), "only in panic");
                prop_assert!(eligible(true).next().is_none());
            }
            tried.add(picked);
        }
    }
}

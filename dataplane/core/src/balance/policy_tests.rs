//! How each policy shares requests out, as a backend's pick shows it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dataplane_snapshot::wire::{self, LoadBalancingPolicy as Kind};
use proptest::prelude::*;

use super::spread;
use crate::health::{Health, Standing};
use crate::sample::{self, Head, target};
use crate::{Choice, CompiledBackend, CompiledTarget, Moment, Outcome, Tried};

fn with(balancing: wire::LoadBalancing, weights: &[u32]) -> CompiledBackend {
    let backend = wire::Backend { load_balancing: Some(balancing), ..wire::Backend::default() };
    let targets = weights.iter().enumerate().map(|(index, weight)| target(&format!("t{index}"), *weight));
    sample::compiled_backend(&backend, targets.collect()).unwrap()
}

fn of(kind: Kind, weights: &[u32]) -> CompiledBackend {
    with(wire::LoadBalancing { policy: kind.into(), ..Default::default() }, weights)
}

fn named(kind: Kind, name: &str, weights: &[u32]) -> CompiledBackend {
    let name = name.to_owned();
    with(wire::LoadBalancing { policy: kind.into(), name, ..Default::default() }, weights)
}

const START: Moment = Moment::from_micros(1_000_000);

fn pick<'b>(backend: &'b CompiledBackend, head: &Head, random: u64) -> &'b CompiledTarget {
    let (tried, random) = (&Tried::default(), spread(random));
    backend.pick(&Choice { head, tried, now: START, random }).unwrap()
}

/// How many of 10,000 requests each target gets.
fn shares(backend: &CompiledBackend) -> Vec<i64> {
    let head = Head::get("/");
    let mut counts = vec![0; backend.targets().len()];
    (0..10_000).for_each(|random| counts[usize::from(pick(backend, &head, random).position)] += 1);
    counts
}

/// About six standard deviations of a fair draw.
#[track_caller]
fn near(counts: &[i64], expected: &[i64]) {
    let fits = counts.iter().zip(expected).all(|(count, expected)| (count - expected).abs() <= 300);
    assert!(fits, "{counts:?} instead of {expected:?}");
}

fn sick(target: &CompiledTarget) {
    target.state.set_health(Health { standing: Standing::Out, ..Health::default() });
}

fn answers(target: &CompiledTarget, millis: u64) {
    target.state.latency.observe(START, Duration::from_millis(millis), Outcome::Answered);
}

#[test]
fn weights_count_for_every_policy_that_shares_out() {
    let weights = [1, 0, 3];
    near(&shares(&of(Kind::RoundRobin, &weights)), &[2500, 0, 7500]);
    near(&shares(&of(Kind::Random, &weights)), &[2500, 0, 7500]);
    near(&shares(&of(Kind::Sticky, &weights)), &[2500, 0, 7500]);
    near(&shares(&of(Kind::LeastConnections, &weights)), &[2500, 0, 7500]);
}

#[test]
fn a_policy_that_nobody_knows_is_refused() {
    let refused = |policy: i32, name: &str, ratio| {
        let balancing = wire::LoadBalancing { policy, name: name.to_owned(), ratio, ttl: 0 };
        let backend = wire::Backend { load_balancing: Some(balancing), ..wire::Backend::default() };
        sample::compiled_backend(&backend, vec![]).unwrap_err()
    };
    assert!(refused(99, "", 0.0).contains("99 is no load balancing"));
    assert!(refused(Kind::HeaderHash.into(), "", 0.0).contains("without a name"));
    assert!(refused(Kind::HeaderHash.into(), "a b", 0.0).contains("\"a b\" is not a name"));
    assert!(refused(Kind::Sticky.into(), "a;b", 0.0).contains("not a cookie name"));
    assert!(refused(Kind::WeightedBestResponseTime.into(), "", 1.0).contains("0 to 0.99"));
    assert!(refused(Kind::WeightedBestResponseTime.into(), "", f64::NAN).contains("0 to 0.99"));
}

#[test]
fn the_fastest_gets_all_or_its_ratio() {
    let best = of(Kind::BestResponseTime, &[1, 1, 1]);
    let ratio = wire::LoadBalancing {
        policy: Kind::WeightedBestResponseTime.into(),
        ratio: 0.5,
        ..Default::default()
    };
    let weighted = with(ratio, &[1, 1, 1]);
    for backend in [&best, &weighted] {
        [30, 10, 20].into_iter().zip(backend.targets()).for_each(|(millis, target)| answers(target, millis));
    }
    assert_eq!(shares(&best), [0, 10_000, 0]);
    near(&shares(&weighted), &[1667, 6667, 1667]);
    answers(&best.targets()[1], 500);
    assert_eq!(shares(&best), [0, 0, 10_000], "a slow answer counts at once");
    let (half, twice) = (of(Kind::BestResponseTime, &[2, 1]), of(Kind::BestResponseTime, &[2, 1]));
    answers(&half.targets()[0], 15);
    answers(&half.targets()[1], 10);
    assert_eq!(shares(&half), [10_000, 0], "15 ms with weight 2 is better than 10 ms with weight 1");
    answers(&twice.targets()[0], 25);
    answers(&twice.targets()[1], 10);
    assert_eq!(shares(&twice), [0, 10_000]);
}

#[test]
fn targets_without_an_answer_are_tried_one_by_one() {
    let backend = of(Kind::BestResponseTime, &[1, 1, 1]);
    let head = Head::get("/");
    let mut requests = Vec::new();
    let mut picked: Vec<_> = (0..6)
        .map(|random| {
            let target = pick(&backend, &head, random);
            requests.push(target.state.enter());
            target.position
        })
        .collect();
    picked[..3].sort_unstable();
    picked[3..].sort_unstable();
    assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn the_fewest_requests_in_flight_for_the_weight() {
    let backend = of(Kind::LeastConnections, &[1, 2, 1]);
    let head = Head::get("/");
    let requests: Vec<_> = (0..8).map(|random| pick(&backend, &head, random).state.enter()).collect();
    let in_flight = || backend.targets().iter().map(|target| target.state.in_flight()).collect::<Vec<_>>();
    assert_eq!(in_flight(), [2, 4, 2]);
    drop(requests);
    assert_eq!(in_flight(), [0, 0, 0]);
}

#[test]
fn two_choices_avoid_the_slowest_and_never_look_at_all() {
    let backend = of(Kind::PowerOfTwoRandomChoices, &[1, 1, 1]);
    backend.targets().iter().for_each(|target| answers(target, 10));
    answers(&backend.targets()[2], 50);
    let [a, b, slow] = shares(&backend)[..] else { panic!("three targets") };
    assert_eq!(slow, 0, "it loses against either of the others, and one of them is always looked at");
    near(&[a, b], &[5000, 5000]);
    let _busy: Vec<_> = (0..9).map(|_| backend.targets()[0].state.enter()).collect();
    let [busy, free, slow] = shares(&backend)[..] else { panic!("three targets") };
    near(&[busy, free, slow], &[0, 6667, 3333]);
    let one = of(Kind::PowerOfTwoRandomChoices, &[1, 0]);
    assert_eq!(shares(&one), [10_000, 0]);
}

#[test]
fn failover_goes_down_the_list() {
    let backend = of(Kind::NaiveFailover, &[0, 1, 5, 1]);
    assert_eq!(shares(&backend), [0, 10_000, 0, 0]);
    let mut tried = Tried::default();
    for expected in [1, 2, 3, 1] {
        let choice = Choice { head: &Head::get("/"), tried: &tried, now: START, random: 0 };
        let target = backend.pick(&choice).unwrap();
        assert_eq!(target.position, expected);
        tried.add(target);
    }
    sick(&backend.targets()[1]);
    assert_eq!(shares(&backend), [0, 0, 10_000, 0]);
}

#[test]
fn what_is_hashed_decides() {
    let client = of(Kind::IpAddressHash, &[1; 5]);
    let header = named(Kind::HeaderHash, "X-Key", &[1; 5]);
    let cookie = named(Kind::CookieHash, "key", &[1; 5]);
    let query = named(Kind::QueryHash, "key", &[1; 5]);
    let mut seen = BTreeMap::new();
    for value in 0..50 {
        let from = Head::get("/").from([10, 0, 0, value]);
        let with_header = Head::get("/").header("x-key", format!("{value}"));
        let with_cookie = Head::get("/").header("cookie", format!("a=b; key={value}"));
        let with_query = Head::get(&format!("/?a=b&key={value}"));
        for (kind, backend, head) in [
            ("client", &client, &from),
            ("header", &header, &with_header),
            ("cookie", &cookie, &with_cookie),
            ("query", &query, &with_query),
        ] {
            let first = pick(backend, head, 0).position;
            assert!((1..20).all(|random| pick(backend, head, random).position == first), "{kind} {value}");
            *seen.entry((kind, first)).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 20, "each gives every target some of its 50 values: {seen:?}");
    let encoded = pick(&query, &Head::get("/?key=a%20b"), 0).position;
    assert_eq!(pick(&query, &Head::get("/?key=a+b"), 0).position, encoded, "decoded");
    for backend in [&header, &cookie, &query] {
        assert_eq!(shares(backend), [2000; 5], "round robin without a value");
        let empty = Head::get("/?key=").header("x-key", "").header("cookie", "key=");
        let picked: Vec<_> = (0..5).map(|random| pick(backend, &empty, random).position).collect();
        assert_eq!(picked, [0, 1, 2, 3, 4], "round robin for an empty one");
    }
}

/// The target of each of `count` clients.
fn homes(backend: &CompiledBackend, count: u32) -> Vec<u16> {
    let home = |client: u32| pick(backend, &Head::get("/").from(client.to_be_bytes()), 0).position;
    (0..count).map(home).collect()
}

#[test]
fn a_lost_target_moves_its_own_keys_only_and_evenly() {
    let backend = of(Kind::IpAddressHash, &[1; 5]);
    let before = homes(&backend, 10_000);
    let count = |homes: &[u16], target: u16| homes.iter().filter(|home| **home == target).count() as i64;
    near(&(0..5).map(|target| count(&before, target)).collect::<Vec<_>>(), &[2000; 5]);
    sick(&backend.targets()[2]);
    let after = homes(&backend, 10_000);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == 2));
    near(&(0..5).map(|target| count(&after, target)).collect::<Vec<_>>(), &[2500, 2500, 0, 2500, 2500]);
}

#[test]
fn weights_share_keys_out() {
    let backend = of(Kind::IpAddressHash, &[1, 3, 0]);
    let homes = homes(&backend, 10_000);
    let of_first = homes.iter().filter(|home| **home == 0).count() as i64;
    near(&[of_first], &[2500]);
    assert!(!homes.contains(&2));
}

#[test]
fn a_key_does_not_flap_while_its_target_gets_warm() {
    let backend = of(Kind::IpAddressHash, &[1, 1]);
    let cold = &backend.targets()[0];
    cold.state.warmth.begin(START);
    let after = |seconds| {
        let now = START.after(Duration::from_secs(seconds));
        let home = |client: u32, random| {
            let head = Head::get("/").from(client.to_be_bytes());
            backend.pick(&Choice { head: &head, tried: &Tried::default(), now, random }).unwrap().position
        };
        (0..1000).map(|client| (home(client, 1), home(client, 2))).collect::<Vec<_>>()
    };
    let mut before = after(0);
    for seconds in [10, 30, 60] {
        let now = after(seconds);
        assert!(now.iter().all(|(one, other)| one == other));
        assert!(
            before.iter().zip(&now).all(|(before, now)| before == now || now.0 == 0),
            "only to the target"
        );
        before = now;
    }
    let cold = after(0).iter().filter(|(home, _)| *home == 0).count();
    assert!((20..90).contains(&cold), "{cold}");
}

#[test]
fn a_target_that_came_back_is_spared_by_every_policy() {
    for kind in [Kind::Random, Kind::BestResponseTime, Kind::LeastConnections, Kind::NaiveFailover] {
        let backend = of(kind, &[1, 1]);
        answers(&backend.targets()[0], 1);
        answers(&backend.targets()[1], 100);
        backend.targets()[0].state.warmth.begin(START);
        let cold = shares(&backend)[0];
        assert!((200..=700).contains(&cold), "{kind:?}: {cold}");
    }
}

fn cookie_of(backend: &CompiledBackend, head: &Head, target: &CompiledTarget) -> String {
    let mut out = Vec::new();
    backend.write_cookie(head, target, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_cookie_brings_a_client_back() {
    let balancing = wire::LoadBalancing {
        policy: Kind::Sticky.into(),
        name: "where".into(),
        ttl: 60,
        ..Default::default()
    };
    let backend = with(balancing, &[1; 4]);
    let fresh = Head::get("/");
    let home = pick(&backend, &fresh, 0);
    let field = cookie_of(&backend, &fresh, home);
    let (pair, attributes) = field.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Max-Age=60\r\n");
    let value = pair.strip_prefix("set-cookie: where=").unwrap();
    let client = Head::get("/").header("cookie", format!("a=1; where={value}"));
    assert!((0..20).all(|random| pick(&backend, &client, random).position == home.position));
    assert_eq!(cookie_of(&backend, &client, home), "", "the client has it");
    sick(home);
    let other = pick(&backend, &client, 1);
    assert_ne!(other.position, home.position);
    assert!(cookie_of(&backend, &client, other).starts_with("set-cookie: where="), "a new one");
    let unknown = Head::get("/").header("cookie", "where=0123456789abcdef");
    assert!(cookie_of(&backend, &unknown, other).starts_with("set-cookie: where="));
}

#[test]
fn a_cookie_follows_the_connection_and_the_settings() {
    let backend = of(Kind::Sticky, &[1]);
    let secured = Head { secured: true, ..Head::get("/") };
    let field = cookie_of(&backend, &secured, &backend.targets()[0]);
    assert!(field.starts_with("set-cookie: komainu-tracking-"), "{field}");
    assert!(field.ends_with("; SameSite=Lax; Secure\r\n"), "{field}");
    assert!(!field.contains("Max-Age"), "{field}");
    assert!(!field.contains("t0"), "the value doesn't tell the id: {field}");
    let round_robin = of(Kind::RoundRobin, &[1]);
    assert_eq!(cookie_of(&round_robin, &secured, &round_robin.targets()[0]), "");
}

#[test]
fn a_retry_leaves_the_target_of_the_cookie_or_the_hash() {
    for backend in [of(Kind::Sticky, &[1; 3]), of(Kind::IpAddressHash, &[1; 3])] {
        let home = pick(&backend, &Head::get("/"), 0);
        let head = Head::get("/");
        let field = cookie_of(&backend, &head, home);
        let cookie = field.trim_start_matches("set-cookie: ").split(';').next().unwrap_or_default();
        let client = head.header("cookie", cookie);
        let mut tried = Tried::default();
        tried.add(home);
        let choice = Choice { head: &client, tried: &tried, now: START, random: 0 };
        assert_ne!(backend.pick(&choice).unwrap().position, home.position);
    }
}

proptest! {
    /// Whatever the policy, only a target that is allowed is picked, and one is picked if one is allowed.
    #[test]
    fn no_policy_picks_what_is_not_a_candidate(
        policy in 0_i32..12,
        given in prop::collection::vec((0_u32..4, any::<bool>()), 0..6),
        random: u64,
    ) {
        let weights: Vec<_> = given.iter().map(|(weight, _)| *weight).collect();
        let balancing = wire::LoadBalancing { policy, name: "x".into(), ratio: 0.5, ttl: 0 };
        let backend = with(balancing, &weights);
        for (target, (_, open)) in backend.targets().iter().zip(&given) {
            target.state.forced.open.store(*open, Relaxed);
        }
        let head = Head::get("/?x=1");
        let picked = backend.pick(&Choice { head: &head, tried: &Tried::default(), now: START, random });
        let allowed = |target: &&CompiledTarget| target.weight > 0 && !given[usize::from(target.position)].1;
        match picked {
            Some(target) => prop_assert!(allowed(&target)),
            None => prop_assert!(!backend.targets().iter().any(|target| allowed(&target))),
        }
    }
}

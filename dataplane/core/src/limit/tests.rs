//! Several workers and whoever keeps what they count.

use std::collections::BTreeMap;
use std::time::Duration;

use dataplane_snapshot::Key;
use dataplane_snapshot::wire::{
    self, RateLimit, RateLimitKey, RateLimitPeriod, UsageAnswer, UsageCounts, UsagePush, UsageTotal,
};

use super::*;
use crate::Moment;
use crate::filter::RateLimits;
use crate::sample::Head;

/// 2026-11-30, noon.
const NOON: Duration = Duration::from_secs(1_796_040_000);
const PUSH_EVERY: Duration = Duration::from_secs(2);
const GAP: Duration = Duration::from_millis(1500);

fn limit(requests: u32, period: RateLimitPeriod) -> RateLimit {
    RateLimit { requests, period: period.into(), ..RateLimit::default() }
}

fn by(key: RateLimitKey, name: &str, limit: RateLimit) -> RateLimit {
    RateLimit { key: key.into(), name: name.to_owned(), ..limit }
}

fn at(since_noon: Duration) -> Instant {
    Instant { now: Moment::default().after(since_noon), calendar: Calendar::at(NOON + since_noon) }
}

struct Worker {
    id: usize,
    states: UsageStates,
    usage: std::sync::Arc<RouteUsage>,
    limits: Box<ActiveLimits>,
    meter: Meter,
}

impl Worker {
    fn new(id: usize, limits: &[RateLimit]) -> Self {
        let states = UsageStates::default();
        let key: Key = "route/default/a".parse().unwrap();
        let usage = states.route(&key);
        let limits = RateLimits::parse(&wire::RateLimits { limits: limits.to_vec() }).unwrap();
        let limits = states.limits(&usage, &limits).unwrap();
        Self { id, states, usage, limits, meter: Meter::default() }
    }

    /// A request that takes no time. Whether it passes.
    fn request(&self, head: &Head, at: Instant) -> Admission {
        let admission = self.limits.admit(head, at);
        let spent = Spent {
            received: 1,
            sent: 1,
            micros: 1,
            status: 200,
            verdict: Some(admission.verdict()),
            lane: 0,
        };
        self.usage.whole.spend(&spent);
        admission.spend(&spent);
        admission
    }

    fn passes(&self, head: &Head, at: Instant) -> bool {
        self.request(head, at).refused.is_none()
    }

    fn push(&mut self, keeper: &mut Keeper, at: Instant) {
        self.meter.collect(&self.states, at);
        let push = self.meter.push(&self.states, at);
        let answer = keeper.take(self.id, &push);
        self.meter.answered(&push, &answer, &self.states, at, GAP);
    }
}

/// Keeps of each worker what is further, and sums it.
#[derive(Default)]
struct Keeper {
    rows: BTreeMap<(String, String, String, usize), UsageCounts>,
    name: String,
}

impl Keeper {
    fn take(&mut self, worker: usize, push: &UsagePush) -> UsageAnswer {
        for UsageTotal { window, route, consumer, counts } in push.totals.clone() {
            let row = self.rows.entry((window, route, consumer, worker)).or_default();
            let counts = counts.unwrap_or_default();
            let progress = |of: &UsageCounts| of.requests + of.refused + of.admitted;
            if progress(&counts) > progress(row) {
                *row = counts;
            }
        }
        let mut sums: BTreeMap<_, UsageCounts> = BTreeMap::new();
        let mut workers = std::collections::BTreeSet::new();
        for ((window, route, consumer, worker), counts) in &self.rows {
            workers.insert(worker);
            let sum = sums.entry((window.clone(), route.clone(), consumer.clone())).or_default();
            *sum = sum.plus(counts);
        }
        let sums = sums.into_iter().map(|((window, route, consumer), counts)| UsageTotal {
            window,
            route,
            consumer,
            counts: Some(counts),
        });
        let workers = u32::try_from(workers.len()).unwrap();
        UsageAnswer { leader: self.name.clone(), workers, sums: sums.collect() }
    }

    fn requests(&self, window: &str, consumer: &str) -> u64 {
        let of = |(in_window, _, name, _): &&(String, String, String, usize)| {
            in_window == window && name == consumer
        };
        let route = |key: &&(String, String, String, usize)| key.1 == "route/default/a";
        self.rows.iter().filter(|(key, _)| of(key) && route(key)).map(|(_, counts)| counts.requests).sum()
    }
}

/// Requests per second come to each worker for so many seconds, evenly; `is_away` says when nobody takes a push. How many pass.
fn run(
    workers: &mut [Worker],
    keeper: &mut Keeper,
    rates: &[u64],
    seconds: u64,
    is_away: impl Fn(u64) -> bool,
) -> u64 {
    const STEP: u64 = 10;
    let head = Head::get("/a");
    let (mut passed, mut last) = (0, vec![0; workers.len()]);
    for millis in (0..seconds * 1000).step_by(usize::try_from(STEP).unwrap()) {
        let now = at(Duration::from_millis(millis));
        for (index, worker) in workers.iter_mut().enumerate() {
            let due = |millis: u64| millis * rates[index] / 1000;
            passed += (due(millis)..due(millis + STEP)).filter(|_| worker.passes(&head, now)).count() as u64;
            let since = millis - last[index];
            let is_due =
                since >= 2000 || since == 0 && millis == 0 || since >= 100 && worker.states.take_urgency();
            // They don't push in step.
            if !is_away(millis) && (is_due || millis == 300 * index as u64) {
                last[index] = millis;
                worker.push(keeper, now);
            }
        }
    }
    for worker in workers {
        worker.push(keeper, at(Duration::from_secs(seconds)));
    }
    passed
}

fn three(limit: RateLimit) -> Vec<Worker> {
    (0..3).map(|id| Worker::new(id, std::slice::from_ref(&limit))).collect()
}

#[test]
fn three_workers_keep_one_rate_however_requests_are_spread() {
    for rates in [[100, 100, 100], [250, 40, 10], [300, 0, 0]] {
        let mut workers = three(limit(100, RateLimitPeriod::Second));
        let mut keeper = Keeper::default();
        // They have been there for a while.
        for worker in &mut workers {
            worker.push(&mut keeper, at(Duration::ZERO));
        }
        let passed = run(&mut workers, &mut keeper, &rates, 60, |_| false);
        assert!((5700..=6300).contains(&passed), "{passed} of 6000 with {rates:?}");
        assert_eq!(keeper.requests("2026-11-30", ""), passed);
    }
}

#[test]
fn a_quota_is_used_up_and_not_passed_by_more_than_a_push_interval() {
    for rates in [[100, 100, 100], [250, 40, 10], [300, 0, 0]] {
        let mut workers = three(limit(10_000, RateLimitPeriod::Day));
        let mut keeper = Keeper::default();
        let passed = run(&mut workers, &mut keeper, &rates, 60, |_| false);
        let most = 10_000 + 300 * PUSH_EVERY.as_secs();
        assert!((10_000..=most).contains(&passed), "{passed} of 10,000 with {rates:?}");
        assert!(passed <= 10_060, "in fact far less: {passed} with {rates:?}");
        assert_eq!(keeper.requests("2026-11-30", ""), passed, "all that passed is counted");
        assert_eq!(keeper.requests("2026-11", ""), passed);
    }
}

#[test]
fn without_a_leader_no_more_passes_than_is_left() {
    let mut workers = three(limit(10_000, RateLimitPeriod::Day));
    let mut keeper = Keeper::default();
    let passed =
        run(&mut workers, &mut keeper, &[100, 100, 100], 60, |millis| (10_000..50_000).contains(&millis));
    // What the others had passed since their last push.
    assert!((10_000..=10_600).contains(&passed), "{passed}");
}

#[test]
fn another_leader_is_told_all() {
    let mut worker = Worker::new(1, &[limit(10, RateLimitPeriod::Day)]);
    let mut first = Keeper { name: "first".to_owned(), ..Keeper::default() };
    let head = Head::get("/a");
    (0..4).for_each(|_| assert!(worker.passes(&head, at(Duration::ZERO))));
    worker.push(&mut first, at(Duration::ZERO));
    assert_eq!(
        worker.meter.push(&worker.states, at(Duration::ZERO)).totals.len(),
        1,
        "nothing but that it lives"
    );
    let mut second = Keeper { name: "second".to_owned(), ..Keeper::default() };
    worker.push(&mut second, at(Duration::from_secs(2)));
    assert_eq!(second.requests("2026-11-30", ""), 0);
    assert!(worker.meter.has_news());
    worker.push(&mut second, at(Duration::from_secs(4)));
    assert_eq!((second.requests("2026-11-30", ""), second.requests("2026-11", "")), (4, 4));
    assert!(!worker.meter.has_news());
}

#[test]
fn a_push_that_nobody_took_is_told_again_and_what_is_over_is_forgotten() {
    let mut worker = Worker::new(1, &[limit(10, RateLimitPeriod::Day)]);
    let (head, midnight) = (Head::get("/a"), Duration::from_secs(12 * 3600));
    (0..10).for_each(|_| assert!(worker.passes(&head, at(Duration::ZERO))));
    assert!(!worker.passes(&head, at(midnight - Duration::from_secs(1))));
    worker.meter.collect(&worker.states, at(midnight - Duration::from_secs(1)));
    let lost = worker.meter.push(&worker.states, at(midnight - Duration::from_secs(1)));
    worker.meter.collect(&worker.states, at(midnight));
    assert!(worker.passes(&head, at(midnight)), "it is another day");
    let mut keeper = Keeper::default();
    assert!(
        worker.meter.is_over(at(midnight + Duration::from_secs(24 * 3600)))
            && !worker.meter.is_over(at(midnight))
    );
    worker.push(&mut keeper, at(midnight));
    for (window, requests) in [("2026-11-30", 10), ("2026-12-01", 1), ("2026-11", 10), ("2026-12", 1)] {
        assert_eq!(keeper.requests(window, ""), requests, "{window}");
    }
    // Also twice and late.
    keeper.take(1, &lost);
    assert_eq!(keeper.requests("2026-11-30", ""), 10);
    worker.push(&mut keeper, at(midnight + PUSH_EVERY));
    // Another leader is told what isn't over.
    let mut other = Keeper { name: "other".to_owned(), ..Keeper::default() };
    worker.push(&mut other, at(midnight + PUSH_EVERY));
    let totals = worker.meter.push(&worker.states, at(midnight + PUSH_EVERY)).totals;
    let windows: Vec<_> = totals.into_iter().skip(1).map(|total| total.window).collect();
    assert_eq!(windows, ["2026-12-01", "2026-12"]);
}

#[test]
fn consumers_are_told_apart_and_no_secret_is_shown() {
    let key = |kind, name: &str| by(kind, name, limit(2, RateLimitPeriod::Day));
    let worker = Worker::new(1, &[key(RateLimitKey::Header, "X-Api-Key")]);
    let of = |value: &str| Head::get("/a").header("x-api-key", value);
    let now = at(Duration::ZERO);
    assert!((0..2).all(|_| worker.passes(&of("one"), now)) && !worker.passes(&of("one"), now));
    assert!((0..2).all(|_| worker.passes(&of("two"), now)));
    assert!((0..2).all(|_| worker.passes(&Head::get("/a"), now)) && !worker.passes(&Head::get("/a"), now));
    let long = "x".repeat(5000);
    assert!(worker.passes(&of(&long), now) && worker.passes(&of(&format!("{long}y")), now));
    let names = |worker: &Worker| -> Vec<String> {
        let group = worker.usage.groups().remove(0);
        group.consumers.as_ref().unwrap().all().iter().map(|consumer| consumer.name.to_string()).collect()
    };
    let all = names(&worker);
    assert!(
        all.iter().all(|name| !name.ends_with(":one")) && all.contains(&"header:x-api-key=none".to_owned()),
        "{all:?}"
    );
    // printf one | sha256sum
    assert!(all.contains(&"header:x-api-key=sha256:7692c3ad3540bb80".to_owned()), "{all:?}");

    let worker = Worker::new(1, &[key(RateLimitKey::Cookie, "sid")]);
    let of = |value: &str| Head::get("/a").header("cookie", format!("a=b; sid={value}"));
    assert!((0..2).all(|_| worker.passes(&of("one"), now)) && !worker.passes(&of("one"), now));
    assert!(worker.passes(&of("two"), now));

    let worker = Worker::new(1, &[key(RateLimitKey::ClientAddress, "")]);
    let from = |ip: &str| Head { client: ip.parse().unwrap(), ..Head::get("/a") };
    assert!(worker.passes(&from("2001:db8::1"), now) && worker.passes(&from("2001:db8::ffff:2"), now));
    assert!(!worker.passes(&from("2001:db8::3"), now), "one client has the whole network");
    assert!(worker.passes(&from("2001:db8:0:1::3"), now) && worker.passes(&from("192.0.2.1"), now));
    let all = names(&worker);
    assert!(["2001:db8::/64", "192.0.2.1"].iter().all(|name| all.contains(&(*name).to_owned())), "{all:?}");
}

#[test]
fn what_one_limit_refuses_no_other_is_charged_for() {
    let worker = Worker::new(1, &[limit(1, RateLimitPeriod::Second), limit(3, RateLimitPeriod::Day)]);
    let head = Head::get("/a");
    for second in 0..3 {
        let now = at(Duration::from_secs(second));
        let state = worker.request(&head, now).state;
        assert_eq!((state.limit, state.remaining), (1, 0), "the one with least left");
        let refused = worker.request(&head, now);
        assert_eq!(refused.refused, Some(Exceeded { is_quota: false, retry_after: 1 }));
    }
    let last = worker.request(&head, at(Duration::from_secs(9)));
    assert_eq!(last.refused, Some(Exceeded { is_quota: true, retry_after: 12 * 3600 - 9 }));
    assert_eq!(last.state, LimitState { limit: 3, remaining: 0, reset: 12 * 3600 - 9 });
    let counts = worker.usage.whole.counts();
    assert_eq!((counts.requests, counts.refused), (3, 4));
}

#[test]
fn who_is_new_here_is_known_from_elsewhere() {
    let limits = [by(RateLimitKey::Header, "key", limit(9, RateLimitPeriod::Day))];
    let (mut one, mut two) = (Worker::new(1, &limits), Worker::new(2, &limits));
    let (mut keeper, head) = (Keeper::default(), Head::get("/a").header("key", "k"));
    two.push(&mut keeper, at(Duration::ZERO));
    one.push(&mut keeper, at(Duration::ZERO));
    while one.passes(&head, at(Duration::ZERO)) {
        one.push(&mut keeper, at(Duration::ZERO));
    }
    one.push(&mut keeper, at(Duration::ZERO));
    two.push(&mut keeper, at(PUSH_EVERY));
    assert!(!two.passes(&head, at(PUSH_EVERY)), "it has had all of its day");
    assert!(two.passes(&Head::get("/a").header("key", "l"), at(PUSH_EVERY)));
}

#[test]
fn limits_that_change_keep_what_has_passed() {
    let worker = Worker::new(1, &[limit(3, RateLimitPeriod::Day)]);
    let head = Head::get("/a");
    (0..3).for_each(|_| assert!(worker.passes(&head, at(Duration::ZERO))));
    let wider = wire::RateLimits { limits: vec![limit(4, RateLimitPeriod::Day)] };
    let wider = RateLimits::parse(&wider).unwrap();
    let limits = worker.states.limits(&worker.usage, &wider).unwrap();
    assert!(limits.admit(&head, at(Duration::ZERO)).refused.is_none());
    assert!(limits.admit(&head, at(Duration::ZERO)).refused.is_some());
}

#[test]
fn clients_are_told_of_the_limit_of_which_least_is_left() {
    let second = RateLimit { burst: 100, ..limit(1_000, RateLimitPeriod::Second) };
    let worker = Worker::new(1, &[second, limit(10, RateLimitPeriod::Day)]);
    let state = worker.request(&Head::get("/a"), at(Duration::ZERO)).state;
    assert_eq!((state.limit, state.remaining), (1_000, 99), "a tenth of it, and of the day nine tenths");
}

#[test]
fn who_waits_for_word_of_other_workers_may_come_again_soon() {
    let limits = [limit(100, RateLimitPeriod::Day)];
    let (mut one, mut two) = (Worker::new(1, &limits), Worker::new(2, &limits));
    let (mut keeper, head) = (Keeper::default(), Head::get("/a"));
    two.push(&mut keeper, at(Duration::ZERO));
    one.push(&mut keeper, at(Duration::ZERO));
    assert!(one.passes(&head, at(Duration::ZERO)));
    assert!(!one.states.take_urgency(), "there is enough left of what was granted");
    let refused = (0..100).find_map(|_| one.request(&head, at(Duration::ZERO)).refused);
    assert_eq!(refused, Some(Exceeded { is_quota: true, retry_after: 1 }));
    assert!(one.states.take_urgency() && !one.states.take_urgency());
    one.push(&mut keeper, at(Duration::ZERO));
    assert!(!one.passes(&head, at(Duration::ZERO)), "the other may have used what is left");
    one.push(&mut keeper, at(GAP));
    assert!(one.passes(&head, at(GAP)), "it had the time to tell");
}

#[test]
fn shares_stay_while_another_leader_hears_of_all() {
    let mut workers = three(limit(100, RateLimitPeriod::Second));
    let (mut first, mut other) =
        (Keeper::default(), Keeper { name: "other".to_owned(), ..Keeper::default() });
    first.name = "first".to_owned();
    run(&mut workers, &mut first, &[100, 100, 100], 20, |_| false);
    let share = |worker: &Worker| f64::from(worker.usage.whole.share()) / f64::from(WHOLE);
    for seconds in [22, 24, 26] {
        workers[0].push(&mut other, at(Duration::from_secs(seconds)));
        assert!((share(&workers[0]) - 1.0 / 3.0).abs() < 0.05, "{seconds}: {}", share(&workers[0]));
        assert!(workers[0].passes(&Head::get("/a"), at(Duration::from_secs(seconds))));
    }
}

#[test]
fn what_was_known_of_a_consumer_stays_while_an_answer_leaves_it_out() {
    let limits = [by(RateLimitKey::Header, "key", limit(9, RateLimitPeriod::Day))];
    let (mut one, mut two) = (Worker::new(1, &limits), Worker::new(2, &limits));
    let (mut keeper, head) = (Keeper::default(), Head::get("/a").header("key", "k"));
    assert!(one.passes(&head, at(Duration::ZERO)));
    (0..8).for_each(|_| assert!(two.passes(&head, at(Duration::ZERO))));
    two.push(&mut keeper, at(Duration::ZERO));
    one.push(&mut keeper, at(Duration::ZERO));
    assert!(!one.passes(&head, at(Duration::ZERO)));
    let push = one.meter.push(&one.states, at(PUSH_EVERY));
    let nothing = UsageAnswer { workers: 2, ..UsageAnswer::default() };
    one.meter.answered(&push, &nothing, &one.states, at(PUSH_EVERY), GAP);
    assert!(!one.passes(&head, at(PUSH_EVERY)));
}

#[test]
fn a_push_says_that_the_worker_is_alive_and_what_its_consumers_had() {
    let mut worker = Worker::new(1, &[by(RateLimitKey::Header, "x-api-key", limit(9, RateLimitPeriod::Day))]);
    for beat in 1..3 {
        assert!(worker.passes(&Head::get("/a").header("x-api-key", "one"), at(Duration::ZERO)));
        worker.meter.collect(&worker.states, at(Duration::ZERO));
        let push = worker.meter.push(&worker.states, at(Duration::ZERO));
        let alive = &push.totals[0];
        assert_eq!((&*alive.window, &*alive.route, &*alive.consumer), ("2026-11-30", "", ""));
        assert_eq!(alive.counts.unwrap().requests, beat);
        let of_consumer = push.totals.iter().find(|total| total.consumer.starts_with("header:x-api-key="));
        let counts = of_consumer.unwrap().counts.unwrap();
        assert_eq!(
            (counts.requests, counts.received, counts.sent, counts.status_2xx),
            (beat, beat, beat, beat)
        );
    }
}

fn spent(lane: usize) -> Spent {
    Spent { received: 1, sent: 1, micros: 1, status: 200, verdict: Some(Verdict::Passed), lane }
}

#[test]
fn each_thread_counts_somewhere() {
    let consumer = Consumer::new("x".into(), WHOLE).with_lanes(2);
    (0..7).for_each(|lane| consumer.spend(&spent(lane)));
    assert_eq!(consumer.counts().requests, 7);
}

#[test]
fn a_consumer_is_forgotten_when_little_is_lost_with_it() {
    let limits = |of: &[RateLimit]| {
        RateLimits::parse(&wire::RateLimits { limits: of.to_vec() }).unwrap().groups[0].limits
    };
    let (noon, tomorrow) = (at(Duration::ZERO), at(Duration::from_secs(24 * 3600)));
    let (none, day, month) = (
        limits(&[limit(9, RateLimitPeriod::Second)]),
        limits(&[limit(9, RateLimitPeriod::Day)]),
        limits(&[limit(9, RateLimitPeriod::Month)]),
    );
    let it = Consumer::new("x".into(), WHOLE);
    assert!(it.is_forgettable(day, noon, false));
    it.spend(&spent(0));
    assert!(!it.is_forgettable(day, noon, true), "it isn't collected");
    it.collect();
    assert!(it.is_forgettable(day, noon, false));

    it.day.take(9, WHOLE, noon.calendar.day());
    let is = |limits, at| [false, true].map(|is_full| it.is_forgettable(limits, at, is_full));
    assert_eq!(is(day, noon), [false, true], "what it used of the day is lost only where there is no room");
    assert_eq!((is(none, noon), is(month, noon), is(day, tomorrow)), ([true; 2], [true; 2], [true; 2]));
    it.month.take(9, WHOLE, noon.calendar.month());
    assert_eq!((is(month, noon), is(none, noon)), ([false, true], [true; 2]));

    let pace = |period| bucket::Pace::new(crate::filter::Rate { requests: 1, burst: 1 }, period, WHOLE);
    let after = |seconds| at(Duration::from_secs(seconds));
    let it = Consumer::new("x".into(), WHOLE);
    it.second.take(pace(1), noon.now);
    assert!(!it.is_forgettable(none, noon, true) && it.is_forgettable(none, after(1), false));
    it.minute.take(pace(60), noon.now);
    assert!(!it.is_forgettable(none, after(1), true) && it.is_forgettable(none, after(60), false));
}

#[test]
fn room_is_made_once_some_have_none() {
    let worker = Worker::new(1, &[by(RateLimitKey::Header, "key", limit(1, RateLimitPeriod::Day))]);
    let now = at(Duration::ZERO);
    let of = |number: usize| Head::get("/a").header("key", number.to_string());
    let known = |worker: &Worker| worker.usage.groups()[0].consumers.as_ref().unwrap().all().len();
    // Those without room share one, which may come once.
    let first = (0..).find(|number| !worker.passes(&of(*number), now)).unwrap();
    let before = known(&worker);
    assert_eq!(first, before, "all but one have room of their own, and it counts as one");
    worker.states.make_room(now);
    assert!(worker.passes(&of(first), now), "it has room of its own");
    assert!(!worker.passes(&of(0), now), "who was known stays known");
    assert_eq!(known(&worker), before + 1);
    worker.states.make_room(now);
    assert_eq!(known(&worker), before + 1, "and nobody lacks any");
}

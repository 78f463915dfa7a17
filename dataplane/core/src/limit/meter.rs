use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane_snapshot::wire::{
    MAX_PUSHED_TOTALS, OTHER_CONSUMERS, UsageAnswer, UsageCounts, UsagePush, UsageTotal,
};

use super::admit::Instant;
use super::bucket::WHOLE;
use super::calendar::{Calendar, Window};
use super::consumer::Consumer;
use super::demand::Demand;
use super::quota::Grant;
use super::route::{Group, RouteUsage, UsageStates};
use crate::filter::LimitKey;

/// The most totals that are kept, of all routes and windows; more consumers are counted as others.
const MAX_TOTALS: usize = 200_000;

/// What a process has counted per window, and what of it is known to its leader.
#[derive(Debug, Default)]
pub struct Meter {
    rows: BTreeMap<RowKey, Row>,
    /// How often it was asked for a push: a total like others, by which leaders know that the process is alive.
    beats: u64,
    /// When was counted what is collected next.
    calendar: Option<Calendar>,
    /// That took the last push.
    leader: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    window: Window,
    route: Arc<str>,
    consumer: Box<str>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    counts: UsageCounts,
    /// As the leader took it.
    known: UsageCounts,
}

/// What all workers have counted, by window, route and consumer.
struct Sums<'a>(BTreeMap<(&'a str, &'a str, &'a str), UsageCounts>);

/// What an answer is applied with.
struct Around<'a> {
    sums: &'a Sums<'a>,
    windows: [String; 2],
    workers: u32,
    at: Instant,
    gap: Duration,
}

impl Meter {
    /// Whether a window has ended since the last call of [`Self::collect`], which is to be called then.
    pub fn is_over(&self, at: Instant) -> bool {
        self.calendar.is_some_and(|last| last.day() != at.calendar.day())
    }

    /// Adds what was counted since the last call to the windows of that, and forgets who is gone.
    pub fn collect(&mut self, states: &UsageStates, at: Instant) {
        let of = self.calendar.replace(at.calendar).unwrap_or(at.calendar);
        for route in states.routes() {
            let name: Arc<str> = route.key.to_string().into();
            self.add(&name, "", route.whole.collect(), of);
            for group in route.groups() {
                let Some(consumers) = &group.consumers else { continue };
                for consumer in consumers.all() {
                    self.add(&name, &consumer.name, consumer.collect(), of);
                }
                group.tidy(at);
            }
        }
        states.forget_vanished();
        let (day, month) = (at.calendar.day(), at.calendar.month());
        let is_over = |window: Window| window != day && window != month;
        self.rows.retain(|key, row| !is_over(key.window) || row.is_news());
    }

    fn add(&mut self, route: &Arc<str>, consumer: &str, counted: UsageCounts, of: Calendar) {
        if counted == UsageCounts::default() {
            return;
        }
        for window in [of.day(), of.month()] {
            let key = |consumer: &str| RowKey { window, route: route.clone(), consumer: consumer.into() };
            let mut key_of = key(consumer);
            if self.rows.len() >= MAX_TOTALS && !consumer.is_empty() && !self.rows.contains_key(&key_of) {
                let label = consumer.split_once('=').map_or("address", |(label, _)| label);
                key_of = key(&format!("{label}={OTHER_CONSUMERS}"));
            }
            let row = self.rows.entry(key_of).or_default();
            row.counts = row.counts.plus(&counted);
        }
    }

    /// What the leader has to know.
    pub fn push(&mut self, states: &UsageStates, at: Instant) -> UsagePush {
        self.beats += 1;
        let alive = UsageTotal {
            window: at.calendar.day().to_string(),
            counts: Some(UsageCounts { requests: self.beats, ..UsageCounts::default() }),
            ..UsageTotal::default()
        };
        let news = self.rows.iter().filter(|(_, row)| row.is_news()).take(MAX_PUSHED_TOTALS - 1);
        let totals = news.map(|(key, row)| UsageTotal {
            window: key.window.to_string(),
            route: key.route.as_ref().to_owned(),
            consumer: key.consumer.as_ref().to_owned(),
            counts: Some(row.counts),
        });
        let limited = states.routes().into_iter().filter(|route| route.is_limited());
        UsagePush {
            member: None,
            totals: std::iter::once(alive).chain(totals).collect(),
            limited: limited.map(|route| route.key.to_string()).collect(),
            windows: windows(at).to_vec(),
        }
    }

    /// Whether there is more to push than what one push has room for.
    pub fn has_news(&self) -> bool {
        self.rows.values().any(Row::is_news)
    }

    /// Takes the answer to a push, given `gap` after the one before at the soonest. What all workers have counted says what this
    /// one may let pass from now on.
    pub fn answered(
        &mut self,
        push: &UsagePush,
        answer: &UsageAnswer,
        states: &UsageStates,
        at: Instant,
        gap: Duration,
    ) {
        let is_first = self.leader.is_empty();
        let is_another = self.leader != answer.leader;
        if is_another {
            // This one may have none of it.
            self.rows.values_mut().for_each(|row| row.known = UsageCounts::default());
            self.leader.clone_from(&answer.leader);
        }
        self.learn(push, at);
        if is_another && !is_first {
            each_limited(states, |consumer| consumer.demand(Demand::unsettle));
            if self.has_news() {
                // Its sums say little before it has been told all.
                return;
            }
        }
        let sums = Sums(
            answer
                .sums
                .iter()
                .map(|sum| ((&*sum.window, &*sum.route, &*sum.consumer), sum.counts.unwrap_or_default()))
                .collect(),
        );
        let workers = answer.workers.max(1);
        states.set_workers(workers);
        let around = Around { sums: &sums, windows: windows(at), workers, at, gap };
        for route in states.routes() {
            for group in route.groups() {
                self.balance(&route, &group, &around);
            }
        }
    }

    /// Notes what the leader has now.
    fn learn(&mut self, push: &UsagePush, at: Instant) {
        let windows: BTreeMap<String, Window> = self
            .rows
            .keys()
            .map(|key| key.window)
            .chain([at.calendar.day(), at.calendar.month()])
            .map(|window| (window.to_string(), window))
            .collect();
        for total in &push.totals {
            let Some(window) = windows.get(&total.window).copied() else { continue };
            let key = RowKey {
                window,
                route: total.route.as_str().into(),
                consumer: total.consumer.as_str().into(),
            };
            if let Some(row) = self.rows.get_mut(&key) {
                row.known = total.counts.unwrap_or_default();
            }
        }
    }

    fn balance(&self, route: &RouteUsage, group: &Group, around: &Around<'_>) {
        let Some(consumers) = &group.consumers else {
            return self.grant(route, group, &route.whole, around);
        };
        let here = consumers.all();
        here.iter().for_each(|consumer| self.grant(route, group, consumer, around));
        let limits = group.limits.limits;
        let of_route = route.key.to_string();
        let mut elsewhere: BTreeMap<Box<str>, [Option<u64>; 2]> = BTreeMap::new();
        for (at, (window, limit)) in around.windows.iter().zip([limits.day, limits.month]).enumerate() {
            let Some(limit) = limit else { continue };
            for (consumer, counts) in around.sums.of(window, &of_route) {
                if let Some(left) = elsewhere.entry(consumer.into()).or_default().get_mut(at) {
                    *left = Some(u64::from(limit).saturating_sub(counts.admitted));
                }
            }
        }
        group.know(elsewhere, around.at);
    }

    /// What this worker may let pass of one consumer's requests.
    fn grant(&self, route: &RouteUsage, group: &Group, consumer: &Consumer, around: &Around<'_>) {
        let Around { sums, windows: [day, month], workers, at, gap } = around;
        let calendar = at.calendar;
        let of_route = route.key.to_string();
        let own = |window: Window| {
            let key = RowKey { window, route: of_route.as_str().into(), consumer: consumer.name.clone() };
            self.rows.get(&key).map(|row| row.known).unwrap_or_default()
        };
        let all = |window: &str| sums.0.get(&(window, &*of_route, &*consumer.name)).copied();
        let of_month = own(calendar.month());
        let sum_of_month = match all(month) {
            Some(sum) => sum,
            // Of many consumers not all are told each time: what was known of this one stays.
            None if of_month != UsageCounts::default() => return,
            None => UsageCounts::default(),
        };
        let demanded = (demanded(&of_month), demanded(&sum_of_month));
        let is_route = group.limits.key == LimitKey::Route;
        let share = consumer.demand(|demand| {
            // Who comes with a key of its own usually comes to one worker alone.
            if !is_route {
                demand.begin_with(demanded.0, demanded.1);
            }
            demand.see(demanded.0, demanded.1, at.now, *gap);
            demand.share(*workers)
        });
        let even = (WHOLE / workers).max(1);
        let unknown = if is_route { even } else { WHOLE };
        consumer.set_share(share.unwrap_or(unknown));
        let quota = |limit: Option<u32>, window: Window, text: &str| {
            let own = own(window);
            let used = all(text).unwrap_or_default().admitted.max(own.admitted);
            let left = u64::from(limit?).saturating_sub(used);
            let others = used - own.admitted;
            Some(Grant { own: own.admitted, others, left, share: share.unwrap_or(even) })
        };
        // Nobody else has to be waited for by one alone.
        let patience = if *workers > 1 { *gap } else { Duration::ZERO };
        let limits = group.limits.limits;
        if let Some(grant) = quota(limits.day, calendar.day(), day) {
            consumer.day.grant(grant, calendar.day(), at.now, patience);
        }
        if let Some(grant) = quota(limits.month, calendar.month(), month) {
            consumer.month.grant(grant, calendar.month(), at.now, patience);
        }
    }
}

impl Row {
    fn is_news(&self) -> bool {
        self.counts != self.known
    }
}

impl<'a> Sums<'a> {
    /// The consumers of a route.
    fn of(&self, window: &'a str, route: &'a str) -> impl Iterator<Item = (&'a str, UsageCounts)> {
        let all = self.0.range((window, route, "")..);
        let own =
            all.take_while(move |((in_window, of_route, _), _)| *in_window == window && *of_route == route);
        own.map(|((_, _, consumer), counts)| (*consumer, *counts))
    }
}

/// What came to limits.
const fn demanded(counts: &UsageCounts) -> u64 {
    counts.admitted.saturating_add(counts.refused)
}

/// Those that have limits now.
fn each_limited(states: &UsageStates, does: impl Fn(&Consumer)) {
    for route in states.routes() {
        for group in route.groups() {
            match &group.consumers {
                None => does(&route.whole),
                Some(consumers) => consumers.all().iter().for_each(|consumer| does(consumer)),
            }
        }
    }
}

fn windows(at: Instant) -> [String; 2] {
    [at.calendar.day(), at.calendar.month()].map(|window| window.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_that_come_when_there_is_no_room_are_counted_together() {
        let mut meter = Meter::default();
        let (route, of) = (Arc::from("route/default/a"), Calendar::at(Duration::ZERO));
        let one = UsageCounts { requests: 1, ..UsageCounts::default() };
        let name = |number: usize| format!("header:k=sha256:{number}");
        // Each is in a day and in a month.
        (0..MAX_TOTALS / 2).for_each(|number| meter.add(&route, &name(number), one, of));
        for consumer in ["", &name(0), &name(MAX_TOTALS), &name(MAX_TOTALS + 1), "192.0.2.1"] {
            meter.add(&route, consumer, one, of);
        }
        let requests = |consumer: &str| {
            let key = RowKey { window: of.day(), route: route.clone(), consumer: consumer.into() };
            meter.rows.get(&key).map(|row| row.counts.requests)
        };
        let found = ["", &name(0), &name(1), "header:k=other", "address=other"].map(requests);
        assert_eq!(found, [Some(1), Some(2), Some(1), Some(2), Some(1)]);
        assert_eq!([&name(MAX_TOTALS), "192.0.2.1"].map(requests), [None, None]);
        let at = Instant { now: crate::Moment::default(), calendar: of };
        let push = meter.push(&UsageStates::default(), at);
        assert_eq!(push.totals.len(), MAX_PUSHED_TOTALS, "the rest comes later");
        assert!(meter.has_news());
    }
}

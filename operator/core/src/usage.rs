//! What workers count, without I/O: totals that only grow, so that whatever comes twice or late is harmless.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane_core::limit::Calendar;
use dataplane_snapshot::wire::{MAX_PUSHED_TOTALS, UsageAnswer, UsageCounts, UsagePush, UsageTotal};
use dataplane_snapshot::{Key, Kind};

/// What one process has counted of one consumer's requests to one route in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    pub of: UsageKey,
    /// The id of the process that counted.
    pub worker: String,
    pub counts: UsageCounts,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageKey {
    /// A day as in `2026-11-30`, or a month as in `2026-11`, of UTC.
    pub window: String,
    /// The route's key.
    pub route: String,
    /// Empty: all of the route's.
    pub consumer: String,
}

/// Of two counts of one process for the same key the one that is further: all of it grows with the requests.
pub const fn is_further(counts: &UsageCounts, than: &UsageCounts) -> bool {
    progress(counts) > progress(than)
}

/// The number that grows with everything that is counted.
pub const fn progress(counts: &UsageCounts) -> u64 {
    counts.requests.saturating_add(counts.refused).saturating_add(counts.admitted)
}

/// How many consumers of a route, those with the most requests, a worker is told of that hasn't asked for them.
pub const MAX_TOLD: usize = 1000;

/// How long after its last push a worker counts as one of those that share the limits. Longer than three pushes of workers that
/// push each 2 s, and than a leader takes to come back.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);

/// How long after it was last read what a worker has told is kept. Longer than the clocks of two workers differ.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 86_400);

/// The longest text of a key, in bytes.
const MAX_TEXT: usize = 1024;

/// Why a push isn't taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    #[error("not a push of usage: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("it has {0} totals, more than the {MAX_PUSHED_TOTALS} allowed")]
    Totals(usize),
    #[error("{0:?} is no window: it is a day as 2026-11-30, or a month as 2026-11")]
    Window(String),
    #[error("{0:?} isn't the key of a route")]
    Route(String),
    #[error("a consumer has a name of {0} bytes, more than the {MAX_TEXT} allowed")]
    Consumer(usize),
}

/// What one worker says that it has counted, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    pub rows: Vec<UsageRow>,
    /// Keys of routes of which it wants the sums.
    pub limited: Vec<String>,
    /// In which windows.
    pub windows: Vec<String>,
}

impl Push {
    /// `since_1970`: by the clock of whoever reads it.
    pub fn read(push: UsagePush, worker: &str, since_1970: Duration) -> Result<Self, PushError> {
        let UsagePush { member: _, totals, limited, windows } = push;
        if totals.len() > MAX_PUSHED_TOTALS {
            return Err(PushError::Totals(totals.len()));
        }
        for window in totals.iter().map(|total| &total.window).chain(&windows) {
            if !is_window(window) {
                return Err(PushError::Window(window.clone()));
            }
        }
        let row = |total: UsageTotal| {
            // Without a route it is the sign of life of the worker.
            if !(total.route.is_empty() && total.consumer.is_empty() || is_route(&total.route)) {
                return Err(PushError::Route(total.route));
            }
            if total.consumer.len() > MAX_TEXT {
                return Err(PushError::Consumer(total.consumer.len()));
            }
            let UsageTotal { window, route, consumer, counts } = total;
            let of = UsageKey { window, route, consumer };
            Ok(UsageRow { of, worker: worker.to_owned(), counts: counts.unwrap_or_default() })
        };
        // What a wrong clock counted is left out, so that it doesn't keep the rest out for ever.
        let kept = kept(since_1970);
        let near = totals.into_iter().filter(|total| kept.contains(&total.window));
        let rows = near.map(row).collect::<Result<_, _>>()?;
        let limited = limited.into_iter().filter(|route| is_route(route)).collect();
        Ok(Self { rows, limited, windows: windows.into_iter().take(2).collect() })
    }

    /// Leaves out what isn't about these routes.
    pub fn retain(&mut self, may: impl Fn(&Key) -> bool) {
        let may = |route: &str| route.is_empty() || route.parse().is_ok_and(|key| may(&key));
        self.rows.retain(|row| may(&row.of.route));
        self.limited.retain(|route| may(route));
    }

    /// What there is to read for the answer: by window the routes, and that of no name, by which workers show that they live.
    pub fn asks(&self) -> Asks {
        let routes = || std::iter::once(String::new()).chain(self.limited.iter().cloned()).collect();
        self.windows.iter().map(|window| (window.clone(), routes())).collect()
    }

    /// What the worker is told of `sums`, in which [`Self::asks`] are.
    pub fn answer(&self, sums: &Sums, leader: &str, workers: u32) -> UsageAnswer {
        let mut told: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for UsageRow { of: UsageKey { window, route, consumer }, .. } in &self.rows {
            told.entry((window, route)).or_default().push(consumer);
        }
        let mut answer = UsageAnswer { leader: leader.to_owned(), workers, sums: Vec::new() };
        let asks = self.asks();
        for (window, route) in
            asks.iter().flat_map(|(window, routes)| routes.iter().map(move |route| (window, route)))
        {
            let Some(consumers) = sums.of(window, route) else { continue };
            let asked = told.remove(&(&**window, &**route)).unwrap_or_default();
            answer.sums.extend(consumers.told(&asked).into_iter().map(|(consumer, counts)| UsageTotal {
                window: window.clone(),
                route: route.clone(),
                consumer: consumer.to_owned(),
                counts: Some(*counts),
            }));
        }
        answer
    }
}

/// What is to be read: routes by window.
pub type Asks = BTreeMap<String, BTreeSet<String>>;

/// What all workers have counted together of some routes.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// By window and route.
    consumers: BTreeMap<String, BTreeMap<String, Consumers>>,
    /// The signs of life of workers.
    beats: Vec<UsageRow>,
}

/// Those of one route in one window.
#[derive(Clone, Debug, Default)]
struct Consumers {
    counts: BTreeMap<String, UsageCounts>,
    /// The names of those with the most requests.
    busiest: Vec<String>,
}

impl Sums {
    pub fn new(rows: Vec<UsageRow>) -> Self {
        let (beats, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.of.route.is_empty());
        let mut new = Self { beats, ..Self::default() };
        for (UsageKey { window, route, consumer }, counts) in sums(rows.iter()) {
            let routes = new.consumers.entry(window.clone()).or_default();
            routes.entry(route.clone()).or_default().counts.insert(consumer.clone(), counts);
        }
        new.consumers.values_mut().flat_map(BTreeMap::values_mut).for_each(Consumers::rank);
        new
    }

    /// The signs of life in these windows.
    pub fn beats<'s>(&'s self, windows: &'s [String]) -> impl Iterator<Item = &'s UsageRow> {
        self.beats.iter().filter(|row| windows.contains(&row.of.window))
    }

    fn of(&self, window: &str, route: &str) -> Option<&Consumers> {
        self.consumers.get(window)?.get(route)
    }
}

impl Consumers {
    fn rank(&mut self) {
        let mut names: Vec<_> = self.counts.iter().collect();
        names.sort_by_key(|(_, counts)| Reverse(counts.requests));
        self.busiest = names.into_iter().take(MAX_TOLD).map(|(name, _)| name.clone()).collect();
    }

    /// The sum of all, of those that are `asked` for, and of the busiest.
    fn told(&self, asked: &[&str]) -> BTreeMap<&str, &UsageCounts> {
        let names = std::iter::once("").chain(asked.iter().copied());
        let names = names.chain(self.busiest.iter().map(String::as_str));
        names
            .filter_map(|name| self.counts.get_key_value(name))
            .map(|(name, counts)| (&**name, counts))
            .collect()
    }
}

/// What all workers have counted together.
pub fn sums<'r>(rows: impl Iterator<Item = &'r UsageRow>) -> BTreeMap<&'r UsageKey, UsageCounts> {
    let mut sums: BTreeMap<&UsageKey, UsageCounts> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry(&row.of).or_default();
        *sum = sum.plus(&row.counts);
    }
    sums
}

/// Which workers share the limits: those of which a store is told more and more. By window, as clocks differ at midnight.
#[derive(Clone, Debug, Default)]
pub struct Alive(BTreeMap<(String, String), Beat>);

#[derive(Clone, Copy, Debug)]
struct Beat {
    progress: u64,
    /// When it was last seen to have grown.
    grown: Duration,
    /// When it was last read.
    read: Duration,
}

impl Alive {
    /// Takes what was read for the route of no name. Gives how many live, at least 1. Times are measured from any fixed
    /// moment and never go back.
    pub fn count<'r>(
        &mut self,
        rows: impl Iterator<Item = &'r UsageRow>,
        pushing: &str,
        now: Duration,
    ) -> u32 {
        for UsageRow { of, worker, counts } in rows.filter(|row| row.of.route.is_empty()) {
            let new = Beat { progress: progress(counts), grown: now, read: now };
            // Of one that isn't known it isn't known either whether it still lives: for a while it counts.
            let beat = self.0.entry((of.window.clone(), worker.clone())).or_insert(new);
            let grows = beat.progress < new.progress || worker == pushing;
            *beat = if grows { new } else { Beat { grown: beat.grown, ..new } };
        }
        let since = |at: Duration| now.saturating_sub(at);
        // One that is silent is kept as long as somebody may ask for its window.
        self.0.retain(|_, beat| since(beat.read) < FORGOTTEN_AFTER);
        let live = self.0.iter().filter(|(_, beat)| since(beat.grown) < SILENT_AFTER);
        let live: BTreeSet<_> = live.map(|((_, worker), _)| worker).collect();
        u32::try_from(live.len()).unwrap_or(u32::MAX).max(1)
    }
}

/// The windows that were over some time ago: nothing is pushed for them any more. Of those of the last days and months.
pub fn over(since_1970: Duration) -> Vec<String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let at = |days: u32| Calendar::at(since_1970.saturating_sub(DAY * days));
    // Enough that a leader that was away for a month finds all; a month is kept until the one after it is over.
    let months = [62, 93, 124].map(|days| at(days).month().to_string());
    (KEPT_DAYS..KEPT_DAYS + 45).map(|days| at(days).day().to_string()).chain(months).collect()
}

/// How many days are kept, with today.
pub const KEPT_DAYS: u32 = 32;

/// The windows of which a store may have something that is kept: by clocks that are a day off, and by workers that had no
/// leader for days.
pub fn kept(since_1970: Duration) -> BTreeSet<String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let at = |days: u32| Calendar::at((since_1970 + DAY).saturating_sub(DAY * days));
    let days = (0..=KEPT_DAYS).map(|days| at(days).day().to_string());
    // A month is kept until the one after it is over.
    let months = (0..KEPT_DAYS + 31).map(|days| at(days).month().to_string());
    let over = over(since_1970);
    days.chain(months).filter(|window| !over.contains(window)).collect()
}

/// Whether it is the name of a day or a month.
pub fn is_window(text: &str) -> bool {
    let is_like = |pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                like => byte == like,
            })
    };
    is_like("0000-00") || is_like("0000-00-00")
}

fn is_route(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.parse().is_ok_and(|key: Key| key.kind() == Kind::Route)
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;

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

/// The most consumers of a route whose sums a worker is told that hasn't asked for them: those with the most requests.
pub const MAX_TOLD: usize = 1000;

/// How long after its last push a worker counts as one of those that share the limits. Longer than three pushes of workers that
/// push each 2 s, and than a leader takes to come back.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);

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
        let near = totals.into_iter().filter(|total| is_near(&total.window, since_1970));
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

    /// What there is to read for the answer: the routes, and that of no name, by which workers show that they live.
    pub fn asks(&self) -> Vec<String> {
        std::iter::once(String::new()).chain(self.limited.iter().cloned()).collect()
    }

    /// What the worker is told of `rows`, which were read for [`Self::asks`].
    pub fn answer(&self, rows: &[UsageRow], leader: &str, workers: u32) -> UsageAnswer {
        let told: BTreeSet<&UsageKey> = self.rows.iter().map(|row| &row.of).collect();
        let mut of_route: BTreeMap<(&str, &str), Vec<(&UsageKey, UsageCounts)>> = BTreeMap::new();
        let sums = sums(rows.iter().filter(|row| !row.of.route.is_empty()));
        for (key, counts) in sums {
            of_route.entry((&key.window, &key.route)).or_default().push((key, counts));
        }
        let mut answer = UsageAnswer { leader: leader.to_owned(), workers, sums: Vec::new() };
        for mut consumers in of_route.into_values() {
            consumers.sort_by_key(|(key, counts)| {
                (!key.consumer.is_empty() && !told.contains(key), Reverse(counts.requests))
            });
            let asked = consumers.iter().filter(|(key, _)| told.contains(key)).count() + 1;
            consumers.truncate(asked.max(MAX_TOLD));
            answer.sums.extend(consumers.into_iter().map(|(key, counts)| UsageTotal {
                window: key.window.clone(),
                route: key.route.clone(),
                consumer: key.consumer.clone(),
                counts: Some(counts),
            }));
        }
        answer
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

/// Which workers share the limits: those of which a store is told more and more.
#[derive(Clone, Debug, Default)]
pub struct Alive(BTreeMap<String, Beat>);

#[derive(Clone, Copy, Debug)]
struct Beat {
    progress: u64,
    /// When it was last seen to have grown.
    at: Option<Duration>,
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
        let beats = rows.filter(|row| row.of.route.is_empty());
        let mut told = BTreeSet::new();
        for UsageRow { worker, counts, .. } in beats {
            told.insert(worker.as_str());
            let progress = progress(counts);
            let known = self.0.get(worker.as_str());
            // Of one that isn't known it isn't known either whether it still lives: for a while it counts.
            let grows = known.is_none_or(|known| known.progress < progress) || worker == pushing;
            let at = if grows { Some(now) } else { known.and_then(|known| known.at) };
            self.0.insert(worker.clone(), Beat { progress, at });
        }
        let lives = |beat: &Beat| beat.at.is_some_and(|at| now.saturating_sub(at) < SILENT_AFTER);
        // Of one that is silent is kept what it has told, as long as the store has it.
        self.0.retain(|worker, beat| lives(beat) || told.contains(worker.as_str()));
        u32::try_from(self.0.values().filter(|beat| lives(beat)).count()).unwrap_or(u32::MAX).max(1)
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

/// Whether something may still be counted in it: by clocks that are a day off, and by workers that had no leader for days.
fn is_near(window: &str, since_1970: Duration) -> bool {
    const DAY: Duration = Duration::from_secs(86_400);
    let from = since_1970.saturating_sub(DAY * (KEPT_DAYS - 1));
    let names = |at: Duration| [Calendar::at(at).day().to_string(), Calendar::at(at).month().to_string()];
    (0..=KEPT_DAYS).any(|days| names(from + DAY * days).iter().any(|name| name == window))
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

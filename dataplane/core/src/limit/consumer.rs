use std::sync::{Mutex, PoisonError};

use dataplane_snapshot::wire::UsageCounts;

use super::admit::Instant;
use super::bucket::{Bucket, WHOLE};
use super::demand::Demand;
use super::quota::Quota;
use crate::atomic::{AtomicU64, Ordering};
use crate::filter::Limits;

/// One consumer of a route, or all of them: what its requests came to, and what its limits remember. On cache lines of its
/// own, as all threads count in it.
#[derive(Debug)]
#[repr(align(64))]
pub struct Consumer {
    /// As it is shown to people; empty: all of the route's.
    pub name: Box<str>,
    counts: Counts,
    /// Which of its requests come to this worker, of [`WHOLE`].
    share: AtomicU64,
    pub(super) second: Bucket,
    pub(super) minute: Bucket,
    pub(super) day: Quota,
    pub(super) month: Quota,
    /// What of the counts was collected. Never locked by a request, as the next.
    collected: Mutex<UsageCounts>,
    demand: Mutex<Demand>,
}

/// What became of a request that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// The status that was sent; 0: none was.
    pub status: u16,
    /// What the limits of the route said, if there were any and it came to them.
    pub verdict: Option<Verdict>,
}

/// What limits say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Refused,
}

#[derive(Debug, Default)]
struct Counts {
    admitted: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    micros: AtomicU64,
    /// By the hundreds, from 100 on.
    statuses: [AtomicU64; 5],
}

impl Consumer {
    pub(super) fn new(name: Box<str>, share: u32) -> Self {
        Self {
            name,
            share: AtomicU64::new(u64::from(share)),
            counts: Counts::default(),
            second: Bucket::default(),
            minute: Bucket::default(),
            day: Quota::default(),
            month: Quota::default(),
            collected: Mutex::default(),
            demand: Mutex::default(),
        }
    }

    /// Counts a request that has ended.
    pub fn spend(&self, spent: &Spent) {
        let add = |counter: &AtomicU64, by| _ = counter.fetch_add(by, Ordering::Relaxed);
        let Counts { admitted, requests, refused, received, sent, micros, statuses } = &self.counts;
        add(received, spent.received);
        add(sent, spent.sent);
        add(micros, spent.micros);
        if spent.verdict == Some(Verdict::Passed) {
            add(admitted, 1);
        }
        let is_refused = spent.verdict == Some(Verdict::Refused);
        let hundreds = usize::from(spent.status / 100);
        if let Some(counter) = hundreds.checked_sub(1).and_then(|at| statuses.get(at)).filter(|_| !is_refused)
        {
            add(counter, 1);
        }
        // Last: who sees it sees the others. Counts are told by how many requests they have.
        let last = if is_refused { refused } else { requests };
        last.fetch_add(1, Ordering::Release);
    }

    /// Since the process began.
    pub fn counts(&self) -> UsageCounts {
        let Counts { admitted, requests, refused, received, sent, micros, statuses } = &self.counts;
        let requests = requests.load(Ordering::Acquire);
        let refused = refused.load(Ordering::Acquire);
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [status_1xx, status_2xx, status_3xx, status_4xx, status_5xx] = statuses.each_ref().map(of);
        let (received, sent, micros, admitted) = (of(received), of(sent), of(micros), of(admitted));
        UsageCounts {
            requests,
            refused,
            received,
            sent,
            micros,
            status_1xx,
            status_2xx,
            status_3xx,
            status_4xx,
            status_5xx,
            admitted,
        }
    }

    /// What was counted since the last call.
    pub(super) fn collect(&self) -> UsageCounts {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.counts();
        let before = std::mem::replace(&mut *collected, now);
        less(&now, &before)
    }

    /// Little would be lost with it: its buckets are full, what it counted is collected, and of its quotas nothing is used, or
    /// there is no room (`is_full`), and what has passed is heard of again with the sums of all.
    pub(super) fn is_forgettable(&self, limits: Limits, at: Instant, is_full: bool) -> bool {
        let collected = *self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let day = limits.day.is_some() && self.day.is_used(at.calendar.day());
        let month = limits.month.is_some() && self.month.is_used(at.calendar.month());
        self.second.is_full(at.now)
            && self.minute.is_full(at.now)
            && self.counts() == collected
            && (is_full || !(day || month))
    }

    pub(super) fn demand<T>(&self, of: impl FnOnce(&mut Demand) -> T) -> T {
        of(&mut self.demand.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn share(&self) -> u32 {
        u32::try_from(self.share.load(Ordering::Relaxed)).unwrap_or(WHOLE)
    }

    pub(super) fn set_share(&self, share: u32) {
        self.share.store(u64::from(share), Ordering::Relaxed);
    }
}

fn less(counts: &UsageCounts, by: &UsageCounts) -> UsageCounts {
    with(counts, by, u64::saturating_sub)
}

pub(super) fn plus(counts: &UsageCounts, by: &UsageCounts) -> UsageCounts {
    with(counts, by, u64::saturating_add)
}

fn with(one: &UsageCounts, other: &UsageCounts, of: fn(u64, u64) -> u64) -> UsageCounts {
    UsageCounts {
        requests: of(one.requests, other.requests),
        refused: of(one.refused, other.refused),
        received: of(one.received, other.received),
        sent: of(one.sent, other.sent),
        micros: of(one.micros, other.micros),
        status_1xx: of(one.status_1xx, other.status_1xx),
        status_2xx: of(one.status_2xx, other.status_2xx),
        status_3xx: of(one.status_3xx, other.status_3xx),
        status_4xx: of(one.status_4xx, other.status_4xx),
        status_5xx: of(one.status_5xx, other.status_5xx),
        admitted: of(one.admitted, other.admitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_counted_once_and_collected_once() {
        let consumer = Consumer::new("".into(), WHOLE);
        let spent = Spent { received: 10, sent: 200, micros: 30, status: 204, verdict: None };
        consumer.spend(&spent);
        consumer.spend(&Spent { status: 0, verdict: Some(Verdict::Passed), ..spent });
        consumer.spend(&Spent { status: 429, verdict: Some(Verdict::Refused), ..spent });
        let all = UsageCounts {
            requests: 2,
            refused: 1,
            received: 30,
            sent: 600,
            micros: 90,
            status_2xx: 1,
            admitted: 1,
            ..UsageCounts::default()
        };
        assert_eq!((consumer.counts(), consumer.collect()), (all, all));
        assert_eq!(consumer.collect(), UsageCounts::default());
        consumer.spend(&Spent { status: 599, ..spent });
        let more = UsageCounts {
            requests: 1,
            received: 10,
            sent: 200,
            micros: 30,
            status_5xx: 1,
            ..UsageCounts::default()
        };
        assert_eq!(consumer.collect(), more);
    }
}

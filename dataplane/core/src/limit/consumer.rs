use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};

use dataplane_snapshot::wire::UsageCounts;

use super::admit::Instant;
use super::bucket::Bucket;
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
    /// One for each lane, so that threads don't wait for each other's.
    counts: Box<[Counts]>,
    /// Which of its requests come to this worker, of [`super::WHOLE`].
    share: AtomicU32,
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
    /// By which thread it is counted.
    pub lane: usize,
}

/// What limits say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Refused,
}

#[derive(Debug, Default)]
#[repr(align(64))]
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
            share: AtomicU32::new(share),
            counts: std::iter::once(Counts::default()).collect(),
            second: Bucket::default(),
            minute: Bucket::default(),
            day: Quota::default(),
            month: Quota::default(),
            collected: Mutex::default(),
            demand: Mutex::default(),
        }
    }

    /// For many requests of all threads.
    pub(super) fn with_lanes(self, lanes: usize) -> Self {
        Self { counts: (0..lanes.max(1)).map(|_| Counts::default()).collect(), ..self }
    }

    /// Counts a request that the limits let pass.
    pub(super) fn admit(&self) {
        if let Some(counts) = self.counts.first() {
            counts.admitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request that has ended.
    pub fn spend(&self, spent: &Spent) {
        let add = |counter: &AtomicU64, by| _ = counter.fetch_add(by, Ordering::Relaxed);
        let lane = self.counts.get(spent.lane % self.counts.len().max(1));
        let Some(Counts { requests, refused, received, sent, micros, statuses, .. }) = lane else { return };
        add(received, spent.received);
        add(sent, spent.sent);
        add(micros, spent.micros);
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
        self.counts.iter().fold(UsageCounts::default(), |sum, lane| sum.plus(&lane.read()))
    }

    /// What was counted since the last call.
    pub(super) fn collect(&self) -> UsageCounts {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.counts();
        let before = std::mem::replace(&mut *collected, now);
        now.less(&before)
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
        self.share.load(Ordering::Relaxed)
    }

    pub(super) fn set_share(&self, share: u32) {
        self.share.store(share, Ordering::Relaxed);
    }
}

impl Counts {
    fn read(&self) -> UsageCounts {
        let Self { admitted, requests, refused, received, sent, micros, statuses } = self;
        // First: see where they are counted.
        let requests = requests.load(Ordering::Acquire);
        let refused = refused.load(Ordering::Acquire);
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [status_1xx, status_2xx, status_3xx, status_4xx, status_5xx] = statuses.each_ref().map(of);
        UsageCounts {
            requests,
            refused,
            received: of(received),
            sent: of(sent),
            micros: of(micros),
            status_1xx,
            status_2xx,
            status_3xx,
            status_4xx,
            status_5xx,
            admitted: of(admitted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::WHOLE;
    use super::*;

    #[test]
    fn what_ended_is_counted_once_and_collected_once() {
        let consumer = Consumer::new("".into(), WHOLE).with_lanes(2);
        consumer.admit();
        let spent = Spent { received: 10, sent: 200, micros: 30, status: 204, verdict: None, lane: 0 };
        consumer.spend(&spent);
        consumer.spend(&Spent { status: 0, verdict: Some(Verdict::Passed), lane: 3, ..spent });
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

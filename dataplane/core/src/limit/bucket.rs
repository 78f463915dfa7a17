use crate::Moment;
use crate::atomic::{AtomicU64, Ordering::Relaxed};
use crate::filter::Rate;

/// The whole limit; a share is a part of it.
pub const WHOLE: u32 = 1 << 16;

const SECOND: u64 = 1_000_000_000;

/// Requests per time by the generic cell rate algorithm (ITU-T I.371): it remembers when the next request would be on time
/// if all came evenly, and refuses who is earlier than that by more than a burst allows.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Nanoseconds, on the scale of [`Moment`].
    due: AtomicU64,
}

/// A rate as a bucket needs it, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two requests, at this worker's share.
    interval: u64,
    /// How far ahead of time requests may be.
    ahead: u64,
}

/// What a bucket says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    /// How many more could come now.
    pub(super) remaining: u64,
    /// Nanoseconds until as many can come at once as ever.
    pub(super) full_in: u64,
    /// `None`: the request may pass. Nanoseconds until it might.
    pub(super) wait: Option<u64>,
}

impl Pace {
    /// `share` of [`WHOLE`], at least 1.
    pub(super) fn new(rate: Rate, period: u64, share: u32) -> Self {
        let period = u128::from(period * SECOND);
        let nanos = |nanos: u128| u64::try_from(nanos).unwrap_or(u64::MAX).max(1);
        let (requests, share) = (u128::from(rate.requests.max(1)), u128::from(share.clamp(1, WHOLE)));
        let interval = nanos(period * u128::from(WHOLE) / (requests * share));
        // The share of the burst at the share of the rate takes as long as the whole at the whole.
        let ahead = nanos(period * u128::from(rate.burst) / requests);
        // Who may send at all may send one.
        Self { interval, ahead: ahead.max(interval) }
    }
}

impl Bucket {
    /// Whether a request may pass now, without letting one pass.
    pub(super) fn look(&self, pace: Pace, now: Moment) -> Filled {
        filled(self.due.load(Relaxed), pace, nanos(now)).0
    }

    /// As if no request had ever passed.
    pub(super) fn is_full(&self, now: Moment) -> bool {
        self.due.load(Relaxed) <= nanos(now)
    }

    /// Lets a request pass if it may.
    pub(super) fn take(&self, pace: Pace, now: Moment) -> Filled {
        let mut due = self.due.load(Relaxed);
        loop {
            let (filled, next) = filled(due, pace, nanos(now));
            if filled.wait.is_some() {
                return filled;
            }
            match self.due.compare_exchange(due, next, Relaxed, Relaxed) {
                Ok(_) => return filled,
                Err(other) => due = other,
            }
        }
    }
}

/// What a request gets, and when the one after it is due if it passes.
fn filled(due: u64, pace: Pace, now: u64) -> (Filled, u64) {
    // One whose share has shrunk isn't punished for what it did with the larger one.
    let due = due.max(now).min(now.saturating_add(pace.ahead.saturating_add(pace.interval)));
    let next = due.saturating_add(pace.interval);
    let early = next - now;
    let remaining = pace.ahead.saturating_sub(early) / pace.interval;
    match early.checked_sub(pace.ahead).filter(|over| *over > 0) {
        Some(over) => (Filled { remaining: 0, full_in: due - now, wait: Some(over) }, due),
        None => (Filled { remaining, full_in: early, wait: None }, next),
    }
}

fn nanos(now: Moment) -> u64 {
    now.as_micros().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    /// How many of `per_second` evenly spaced requests pass in `seconds`.
    fn admitted(pace: Pace, per_second: u64, seconds: u64) -> u64 {
        let bucket = Bucket::default();
        let passes = |number: &u64| {
            let now = Moment::from_micros(1_000_000 + number * 1_000_000 / per_second);
            bucket.take(pace, now).wait.is_none()
        };
        (0..per_second * seconds).filter(passes).count() as u64
    }

    #[test]
    fn a_burst_passes_at_once_and_then_as_many_as_the_rate_allows() {
        let pace = Pace::new(Rate { requests: 10, burst: 3 }, 1, WHOLE);
        let bucket = Bucket::default();
        let all: Vec<_> = (0..4).map(|_| bucket.take(pace, at(5000))).collect();
        assert_eq!(all.iter().map(|filled| filled.remaining).collect::<Vec<_>>(), [2, 1, 0, 0]);
        assert_eq!(all[3].wait, Some(100_000_000), "one more each tenth of a second");
        assert_eq!(
            all.iter().map(|filled| filled.full_in / 1_000_000).collect::<Vec<_>>(),
            [100, 200, 300, 300]
        );
        assert!(!bucket.is_full(at(5299)) && bucket.is_full(at(5300)));
        assert!(bucket.look(pace, at(5099)).wait.is_some());
        assert!(bucket.look(pace, at(5100)).wait.is_none());
        assert_eq!(bucket.look(pace, at(5100)), bucket.look(pace, at(5100)), "looking takes nothing");
        assert!(bucket.take(pace, at(5100)).wait.is_none() && bucket.take(pace, at(5100)).wait.is_some());
        assert_eq!(bucket.look(pace, at(9000)).remaining, 2, "never more than the burst");
    }

    #[test]
    fn a_share_passes_its_part() {
        let rate = Rate { requests: 100, burst: 100 };
        assert_eq!(admitted(Pace::new(rate, 1, WHOLE), 1000, 60), 6099);
        let third = admitted(Pace::new(rate, 1, WHOLE / 3), 1000, 60);
        assert!((2030..=2034).contains(&third), "{third}");
        let few = Rate { requests: 6, burst: 1 };
        assert_eq!(admitted(Pace::new(few, 60, WHOLE), 10, 60), 6);
        assert_eq!(admitted(Pace::new(few, 60, WHOLE / 2), 10, 60), 3, "one is always possible");
    }

    #[test]
    fn who_gets_a_smaller_share_does_not_pay_for_the_larger_one() {
        let rate = Rate { requests: 60, burst: 60 };
        let (all, tiny) = (Pace::new(rate, 60, WHOLE), Pace::new(rate, 60, WHOLE / 100));
        let bucket = Bucket::default();
        while bucket.take(tiny, at(1)).wait.is_none() {}
        assert!(bucket.look(all, at(3001)).wait.is_none_or(|wait| wait <= 61_000_000_000));
    }

    #[test]
    fn no_rate_breaks_the_arithmetic() {
        for (requests, burst, period, share) in
            [(1, 1, 60, 1), (u32::MAX, u32::MAX, 60, WHOLE), (0, 0, 1, 0), (u32::MAX, 1, 1, u32::MAX)]
        {
            let pace = Pace::new(Rate { requests, burst }, period, share);
            assert!(Bucket::default().take(pace, Moment::from_micros(u64::MAX)).wait.is_none());
            assert!(Bucket::default().take(pace, Moment::default()).wait.is_none());
        }
    }
}

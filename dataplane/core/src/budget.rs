//! How much retries may add to what a backend has to do: without a bound, a backend that is slow from load gets the load
//! of its clients several times over.

use crate::Moment;
use crate::atomic::{AtomicU64, Ordering::Relaxed};

/// The retries of one backend, of all threads and over swaps of the router: in any ten seconds at most a fifth of the
/// requests, or ten a second where that is more.
///
/// Time is cut into windows of ten seconds. What the last one had counts by the part of it that still lies within ten
/// seconds, as if it had been spread evenly. The bound is exact within a window. At its turn, each thread whose clock still
/// was in the one before can take one retry more.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RetryBudget {
    requests: Windows,
    retries: Windows,
}

impl RetryBudget {
    /// Microseconds.
    const WINDOW: u64 = 10_000_000;
    /// Retries per hundred requests.
    const PERCENT: u64 = 20;
    /// Retries per window that are always possible.
    const FLOOR: u64 = 100;

    /// Counts a request, not its retries.
    #[inline]
    pub(crate) fn count_request(&self, now: Moment) {
        self.requests.add(now);
    }

    /// Takes one retry out; `false`: there is none left.
    pub(crate) fn withdraw(&self, now: Moment) -> bool {
        let most = (self.requests.sum(now) * Self::PERCENT / 100).max(Self::FLOOR);
        self.retries.add_within(now, most)
    }
}

/// How much was counted in this window and in the last one. Each is one word, the window's number and the count, at the
/// parity of its number.
#[derive(Debug, Default)]
struct Windows([AtomicU64; 2]);

const COUNT: u64 = (1 << 40) - 1;

impl Windows {
    /// The word for the window `number`.
    const fn slot(&self, number: u64) -> &AtomicU64 {
        let [even, odd] = &self.0;
        if number.is_multiple_of(2) { even } else { odd }
    }

    fn count(&self, number: u64) -> u64 {
        let word = self.slot(number).load(Relaxed);
        if word >> 40 == number & (u64::MAX >> 40) { word & COUNT } else { 0 }
    }

    /// The part of the last window's count that is within ten seconds of `now`.
    fn rest(&self, now: Moment) -> u64 {
        let (number, into) = place(now);
        let Some(last) = number.checked_sub(1) else { return 0 };
        // 40 and 24 bits.
        self.count(last) * (RetryBudget::WINDOW - into) / RetryBudget::WINDOW
    }

    fn sum(&self, now: Moment) -> u64 {
        self.count(place(now).0) + self.rest(now)
    }

    #[inline]
    fn add(&self, now: Moment) {
        let number = place(now).0;
        let slot = self.slot(number);
        let mut word = slot.load(Relaxed);
        // A thread that is late by two windows counts for the one that is there.
        while word >> 40 < number {
            match slot.compare_exchange_weak(word, number << 40 | 1, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
        slot.fetch_add(1, Relaxed);
    }

    /// Adds one if the sum stays within `most`.
    fn add_within(&self, now: Moment, most: u64) -> bool {
        let number = place(now).0;
        let slot = self.slot(number);
        let room = most.saturating_sub(self.rest(now));
        let mut word = slot.load(Relaxed);
        loop {
            let count = if word >> 40 < number { 0 } else { word & COUNT };
            if count >= room {
                return false;
            }
            let next = (word >> 40).max(number) << 40 | (count + 1);
            match slot.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
    }
}

/// The number of the window, which fits in 24 bits for five years, and the microseconds since its beginning.
const fn place(now: Moment) -> (u64, u64) {
    let micros = now.as_micros();
    let number = micros / RetryBudget::WINDOW;
    (if number > u64::MAX >> 40 { u64::MAX >> 40 } else { number }, micros % RetryBudget::WINDOW)
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

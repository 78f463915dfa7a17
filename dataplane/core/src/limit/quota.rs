use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::calendar::Window;
use crate::Moment;
use crate::atomic::{AtomicU64, Ordering::Relaxed};

/// The bits of a count; above them is the window.
const COUNT_BITS: u32 = 40;
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// Requests in a day or a month. This worker counts its own, up to what it may let pass before it hears of the others again.
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// Of this worker, in the window above it.
    passed: AtomicU64,
    /// What `passed` may come to.
    ceiling: AtomicU64,
    /// What `passed` may come to if no other worker lets any more pass.
    all: AtomicU64,
    /// What of `passed` the others know.
    known: AtomicU64,
    /// What the others had used at the last grant, and when that was. Never locked by a request.
    granted: Mutex<Option<Granted>>,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    window: Window,
    others: u64,
    at: Moment,
}

/// What a quota says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Of all workers, as far as this one knows.
    pub(super) remaining: u64,
    /// It may pass.
    pub(super) passes: bool,
    /// Others should hear soon of what has passed here.
    pub(super) is_urgent: bool,
}

/// What a worker is told about a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// What of this worker's own the others know.
    pub(super) own: u64,
    /// What the others have used, as far as is known.
    pub(super) others: u64,
    /// What is left for all workers.
    pub(super) left: u64,
    /// Of [`super::WHOLE`].
    pub(super) share: u32,
}

impl Quota {
    /// Whether a request may pass, without letting one pass. `limit` of all workers; `share` is what a worker takes of it
    /// before it has heard of the others.
    pub(super) fn look(&self, limit: u32, share: u32, window: Window) -> Counted {
        let passed = self.passed.load(Relaxed);
        self.counted(count_in(passed, window).unwrap_or_default(), limit, share, window)
    }

    /// Lets a request pass if it may.
    pub(super) fn take(&self, limit: u32, share: u32, window: Window) -> Counted {
        let mut word = self.passed.load(Relaxed);
        loop {
            let passed = count_in(word, window).unwrap_or_default();
            let counted = self.counted(passed, limit, share, window);
            if !counted.passes {
                return counted;
            }
            match self.passed.compare_exchange(word, pack(passed + 1, window), Relaxed, Relaxed) {
                Ok(_) => return Counted { remaining: counted.remaining.saturating_sub(1), ..counted },
                Err(other) => word = other,
            }
        }
    }

    /// What may pass from now on. Not more than before while the others haven't told what they have used, which they do every
    /// `patience`: it may be what is left.
    pub(super) fn grant(&self, grant: Grant, window: Window, now: Moment, patience: Duration) {
        let Grant { own, others, left, share } = grant;
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = granted.is_some_and(|last| {
            last.window == window && last.others == others && now.since(last.at) < patience
        });
        if is_early {
            self.known.store(pack(own, window), Relaxed);
            return;
        }
        *granted = Some(Granted { window, others, at: now });
        // Rounded up, so that the last ones are given to somebody.
        let part = (left * u64::from(share)).div_ceil(u64::from(super::WHOLE)).min(left);
        // What was counted elsewhere for this window, as when it began, or before a limit was there, has passed as well: more than
        // what is left must not.
        let mut word = self.passed.load(Relaxed);
        while count_in(word, window).unwrap_or_default() < own {
            match self.passed.compare_exchange(word, pack(own, window), Relaxed, Relaxed) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        self.ceiling.store(pack(own + part, window), Relaxed);
        self.all.store(pack(own + left, window), Relaxed);
        self.known.store(pack(own, window), Relaxed);
    }

    /// It has let requests pass in this window.
    pub(super) fn is_used(&self, window: Window) -> bool {
        count_in(self.passed.load(Relaxed), window).is_some_and(|count| count > 0)
    }

    fn counted(&self, passed: u64, limit: u32, share: u32, window: Window) -> Counted {
        let part = (u64::from(limit) * u64::from(share)).div_ceil(u64::from(super::WHOLE));
        // The limit may have been lowered since.
        let limit = u64::from(limit);
        let ceiling = count_in(self.ceiling.load(Relaxed), window).unwrap_or(part).min(limit);
        let all = count_in(self.all.load(Relaxed), window).unwrap_or(limit).min(limit);
        let known = count_in(self.known.load(Relaxed), window).unwrap_or_default();
        // Half of what may pass has.
        let is_half = passed.saturating_sub(known) * 2 >= ceiling.saturating_sub(known);
        Counted {
            remaining: all.saturating_sub(passed),
            passes: passed < ceiling,
            is_urgent: is_half && passed < all,
        }
    }
}

const fn pack(count: u64, window: Window) -> u64 {
    let count = if count > MOST { MOST } else { count };
    window.number() << COUNT_BITS | count
}

/// `None`: it is about another window.
fn count_in(word: u64, window: Window) -> Option<u64> {
    (word >> COUNT_BITS == window.number()).then_some(word & MOST)
}

#[cfg(test)]
mod tests {
    use super::super::WHOLE;
    use super::*;

    const TODAY: Window = Window::Day(20_000);
    const TOMORROW: Window = Window::Day(20_001);

    fn grant(quota: &Quota, own: u64, left: u64, share: u32) {
        quota.grant(Grant { own, others: 0, left, share }, TODAY, Moment::default(), Duration::ZERO);
    }

    fn pass_all(quota: &Quota, limit: u32, share: u32, window: Window) -> u64 {
        std::iter::from_fn(|| Some(quota.take(limit, share, window)).filter(|counted| counted.passes)).count()
            as u64
    }

    #[test]
    fn so_many_pass_in_each_window() {
        let quota = Quota::default();
        assert_eq!(pass_all(&quota, 10, WHOLE, TODAY), 10);
        assert_eq!(quota.look(10, WHOLE, TODAY), Counted { remaining: 0, passes: false, is_urgent: false });
        assert_eq!(quota.look(10, WHOLE, TOMORROW).remaining, 10);
        assert_eq!(pass_all(&quota, 10, WHOLE, TOMORROW), 10);
        assert_eq!(pass_all(&quota, 10, WHOLE, Window::Month(20_001)), 0, "a quota is of days or of months");
    }

    #[test]
    fn before_it_hears_of_others_a_worker_takes_its_share() {
        let quota = Quota::default();
        assert_eq!(pass_all(&quota, 10, WHOLE / 3, TODAY), 4);
        let counted = quota.look(10, WHOLE / 3, TODAY);
        assert_eq!(counted, Counted { remaining: 6, passes: false, is_urgent: true });
    }

    #[test]
    fn what_is_granted_passes_and_the_last_is_given_to_somebody() {
        let quota = Quota::default();
        assert_eq!(pass_all(&quota, 100, WHOLE / 2, TODAY), 50);
        grant(&quota, 40, 30, WHOLE / 2);
        assert_eq!(pass_all(&quota, 100, WHOLE, TODAY), 5, "40 and 15, of which 50 have passed");
        assert_eq!(quota.look(100, WHOLE, TODAY).remaining, 15);
        grant(&quota, 55, 1, 1);
        assert_eq!(pass_all(&quota, 100, WHOLE, TODAY), 1);
        grant(&quota, 56, 0, WHOLE);
        assert_eq!(quota.look(100, WHOLE, TODAY), Counted { remaining: 0, passes: false, is_urgent: false });
        assert_eq!(pass_all(&quota, 100, WHOLE, TOMORROW), 100, "a grant is of its window");
    }

    #[test]
    fn who_asks_again_before_the_others_have_told_gets_no_more() {
        let quota = Quota::default();
        let grant = |own: u64, others: u64, millis: u64| {
            let grant = Grant { own, others, left: 20 - own - others, share: WHOLE / 2 };
            quota.grant(grant, TODAY, Moment::from_micros(millis * 1000), Duration::from_secs(2));
            pass_all(&quota, 20, WHOLE / 2, TODAY)
        };
        assert_eq!(grant(0, 0, 0), 10);
        assert_eq!(grant(10, 0, 100), 0);
        assert!(quota.look(20, WHOLE / 2, TODAY).is_urgent);
        assert_eq!(grant(10, 6, 200), 2, "they have told");
        assert_eq!(grant(12, 6, 2199), 0);
        assert_eq!(grant(12, 6, 2200), 1, "they had time to tell");
    }

    #[test]
    fn what_is_known_to_have_passed_has_passed() {
        let quota = Quota::default();
        for _ in 0..3 {
            grant(&quota, 7, 0, WHOLE);
            assert_eq!(pass_all(&quota, 7, WHOLE, TODAY), 0);
            assert!(!quota.look(7, WHOLE, TODAY).is_urgent);
        }
        grant(&quota, 5, 3, WHOLE);
        assert_eq!(pass_all(&quota, 9, WHOLE, TODAY), 1);
    }

    #[test]
    fn it_is_urgent_from_half_of_the_grant_on() {
        let quota = Quota::default();
        grant(&quota, 0, 40, WHOLE);
        assert_eq!(pass_all(&quota, 100, WHOLE, TODAY), 40);
        grant(&quota, 40, 40, WHOLE / 2);
        let urgent: Vec<_> = (0..12).map(|_| quota.take(100, WHOLE, TODAY).is_urgent).collect();
        assert_eq!(urgent.iter().position(|urgent| *urgent), Some(10), "of 20");
    }

    #[test]
    fn counts_never_run_into_the_window() {
        assert_eq!(count_in(pack(u64::MAX, TODAY), TODAY), Some(MOST));
    }
}

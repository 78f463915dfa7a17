use super::calendar::Window;
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

    /// What may pass from now on.
    pub(super) fn grant(&self, grant: Grant, window: Window) {
        let Grant { own, left, share } = grant;
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
        let ceiling = count_in(self.ceiling.load(Relaxed), window).unwrap_or(part);
        let all = count_in(self.all.load(Relaxed), window).unwrap_or_else(|| u64::from(limit));
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
        quota.grant(Grant { own: 40, left: 30, share: WHOLE / 2 }, TODAY);
        assert_eq!(pass_all(&quota, 100, WHOLE, TODAY), 5, "40 and 15, of which 50 have passed");
        assert_eq!(quota.look(100, WHOLE, TODAY).remaining, 15);
        quota.grant(Grant { own: 55, left: 1, share: 1 }, TODAY);
        assert_eq!(pass_all(&quota, 100, WHOLE, TODAY), 1);
        quota.grant(Grant { own: 56, left: 0, share: WHOLE }, TODAY);
        assert_eq!(quota.look(100, WHOLE, TODAY), Counted { remaining: 0, passes: false, is_urgent: false });
        assert_eq!(pass_all(&quota, 100, WHOLE, TOMORROW), 100, "a grant is of its window");
    }

    #[test]
    fn what_is_known_to_have_passed_has_passed() {
        let quota = Quota::default();
        for _ in 0..3 {
            quota.grant(Grant { own: 7, left: 0, share: WHOLE }, TODAY);
            assert_eq!(pass_all(&quota, 7, WHOLE, TODAY), 0);
            assert!(!quota.look(7, WHOLE, TODAY).is_urgent);
        }
        quota.grant(Grant { own: 5, left: 3, share: WHOLE }, TODAY);
        assert_eq!(pass_all(&quota, 9, WHOLE, TODAY), 1);
    }

    #[test]
    fn it_is_urgent_from_half_of_the_grant_on() {
        let quota = Quota::default();
        quota.grant(Grant { own: 0, left: 40, share: WHOLE }, TODAY);
        assert_eq!(pass_all(&quota, 100, WHOLE, TODAY), 40);
        quota.grant(Grant { own: 40, left: 40, share: WHOLE / 2 }, TODAY);
        let urgent: Vec<_> = (0..12).map(|_| quota.take(100, WHOLE, TODAY).is_urgent).collect();
        assert_eq!(urgent.iter().position(|urgent| *urgent), Some(10), "of 20");
    }

    #[test]
    fn counts_never_run_into_the_window() {
        assert_eq!(count_in(pack(u64::MAX, TODAY), TODAY), Some(MOST));
    }
}

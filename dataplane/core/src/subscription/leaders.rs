use std::time::Duration;

/// Full jitter: a random part of a time that grows with each failure, so that workers that lost a leader at the same
/// moment don't come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The longest delay after the first failure.
    pub base: Duration,
    /// By how much it grows with each further one.
    pub factor: u32,
    /// The longest delay after any number of failures.
    pub cap: Duration,
}

impl Backoff {
    /// The delay after `failures` earlier failures in a row; `random` in [0, 1).
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let ceiling = self.base.saturating_mul(self.factor.saturating_pow(failures)).min(self.cap);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// A leader that failed this often isn't thought to be worse than one that failed still more often, so that one that was
/// down for long gets its turn.
const REMEMBERED: u32 = 3;

/// The leaders to choose from, with a memory of which ones work.
#[derive(Debug)]
pub(super) struct Leaders {
    /// Failures in a row, by leader.
    failures: Vec<u32>,
    current: usize,
    /// Failures in a row, of whichever leader.
    failures_in_all: u32,
    backoff: Backoff,
}

impl Leaders {
    pub(super) fn new(count: usize, backoff: Backoff) -> Self {
        Self { failures: vec![0; count], current: 0, failures_in_all: 0, backoff }
    }

    /// Begins with a random one, so that workers spread over the leaders.
    pub(super) fn begin(&mut self, random: f64) {
        let count = self.failures.len();
        self.current = (0..count).rev().find(|index| *index as f64 <= random * count as f64).unwrap_or(0);
    }

    pub(super) const fn current(&self) -> usize {
        self.current
    }

    pub(super) fn worked(&mut self, leader: usize) {
        self.failures_in_all = 0;
        if let Some(failures) = self.failures.get_mut(leader) {
            *failures = 0;
        }
    }

    /// Moves on to another leader if there is one: the one with the fewest failures, the next in order among equals.
    /// Gives the time to wait before.
    pub(super) fn failed(&mut self, leader: usize, random: f64) -> Duration {
        if let Some(failures) = self.failures.get_mut(leader) {
            *failures = (*failures + 1).min(REMEMBERED);
        }
        let count = self.failures.len();
        let others = (1..count).map(|step| (leader + step) % count);
        let best = others.min_by_key(|index| self.failures.get(*index).copied());
        self.current = best.unwrap_or(leader);
        let delay = self.backoff.delay(self.failures_in_all, random);
        self.failures_in_all = self.failures_in_all.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_millis(500), factor: 2, cap: Duration::from_secs(10) };

    #[test]
    fn a_delay_is_a_random_part_of_a_growing_time_with_a_cap() {
        assert_eq!(BACKOFF.delay(0, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(0, 0.5), Duration::from_millis(250));
        assert_eq!(BACKOFF.delay(3, 0.5), Duration::from_secs(2));
        assert_eq!(BACKOFF.delay(30, 0.5), Duration::from_secs(5));
        assert_eq!(Backoff { factor: 3, ..BACKOFF }.delay(2, 1.0), Duration::from_millis(4_500));
        assert_eq!(BACKOFF.delay(u32::MAX, 0.5), Duration::from_secs(5));
    }

    #[test]
    fn begins_anywhere() {
        let mut leaders = Leaders::new(3, BACKOFF);
        for (random, expected) in [(0.0, 0), (0.34, 1), (0.99, 2)] {
            leaders.begin(random);
            assert_eq!(leaders.current(), expected);
        }
    }

    #[test]
    fn prefers_the_ones_that_work() {
        let mut leaders = Leaders::new(3, BACKOFF);
        let mut next_after = |failed| {
            leaders.failed(failed, 0.0);
            leaders.current()
        };
        assert_eq!(next_after(0), 1);
        assert_eq!(next_after(1), 2);
        assert_eq!(next_after(1), 2, "0 and 2 are tried, 2 never failed");
        assert_eq!(next_after(2), 0, "each failed, 1 the most");
        for _ in 0..10 {
            next_after(0);
        }
        leaders.worked(2);
        leaders.failed(1, 0.0);
        assert_eq!(leaders.current(), 2);
        leaders.failed(2, 0.0);
        assert_ne!(leaders.current(), 2, "one that just failed isn't the next");
    }

    #[test]
    fn one_leader_stays() {
        let mut leaders = Leaders::new(1, BACKOFF);
        leaders.failed(0, 0.0);
        assert_eq!(leaders.current(), 0);
    }
}

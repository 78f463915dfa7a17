use std::time::{Duration, Instant};

/// Allows so many a second, and so many at once after a quiet time.
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) const fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// How many of `wanted` may be done now; they are taken.
    pub(super) fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.at = now;
        let mut taken = 0;
        while taken < wanted && self.tokens >= 1.0 {
            self.tokens -= 1.0;
            taken += 1;
        }
        taken
    }

    /// When one more is allowed.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let missing = (1.0 - self.tokens).max(0.0) / self.rate;
        now.max(self.at + Duration::from_secs_f64(missing))
    }
}

/// The same for one object among many, in one word: one each [`Self::EACH`], and [`Self::BURST`] at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    /// When it is as if nothing had been taken.
    full: Option<Instant>,
}

impl Allowance {
    const EACH: Duration = Duration::from_secs(5);
    /// Enough for what comes at once when something is made, scaled to nothing and back.
    const BURST: u32 = 6;

    pub(super) fn take(&mut self, now: Instant) {
        let from = self.full.map_or(now, |full| full.max(now));
        self.full = Some(from + Self::EACH);
    }

    /// When one more is allowed.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let least = self.full.and_then(|full| full.checked_sub(Self::EACH * (Self::BURST - 1)));
        least.map_or(now, |least| least.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_a_burst_and_then_one_now_and_then() {
        let start = Instant::now();
        let mut allowance = Allowance::default();
        for _ in 0..6 {
            assert_eq!(allowance.next(start), start);
            allowance.take(start);
        }
        assert_eq!(allowance.next(start), start + Duration::from_secs(5));
        allowance.take(start + Duration::from_secs(5));
        assert_eq!(allowance.next(start), start + Duration::from_secs(10));
        let later = start.checked_add(Duration::from_secs(90)).unwrap();
        for _ in 0..6 {
            assert_eq!(allowance.next(later), later);
            allowance.take(later);
        }
        assert_ne!(allowance.next(later), later);
    }
}

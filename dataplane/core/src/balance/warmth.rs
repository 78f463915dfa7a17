use std::time::Duration;

use crate::Moment;
use crate::atomic::{AtomicU64, Ordering::Relaxed};

/// How much of its share a target takes. All of it, but for the minute after it came back from being unhealthy or from an
/// open breaker: then it begins with a twentieth, and its share rises, slowly at first, with the square of time.
///
/// A target that is there from the beginning is warm, since a process that starts has to serve all requests at once.
#[derive(Debug, Default)]
pub struct Warmth {
    /// When the target came back, in microseconds; 0 if it never was away.
    since: AtomicU64,
}

impl Warmth {
    /// How long it takes to become warm. In the first 10 s a target takes less than a tenth of its weight, which is at
    /// most a sixth of its share.
    pub const RAMP: Duration = Duration::from_mins(1);
    /// The whole share, in the unit of [`Warmth::share`].
    pub const FULL: u32 = 1024;
    const FIRST: u32 = Self::FULL / 20;

    /// The target came back.
    pub fn begin(&self, now: Moment) {
        self.since.store(now.as_micros().max(1), Relaxed);
    }

    /// The part of its share that the target takes now, of [`Warmth::FULL`].
    #[inline]
    pub fn share(&self, now: Moment) -> u32 {
        match self.since.load(Relaxed) {
            0 => Self::FULL,
            since => rising(now.since(Moment::from_micros(since))),
        }
    }

    /// Whether the target takes a request that drew `random`.
    #[inline]
    pub(crate) fn takes(&self, now: Moment, random: u64) -> bool {
        let share = self.share(now);
        share == Self::FULL || random % u64::from(Self::FULL) < u64::from(share)
    }
}

fn rising(elapsed: Duration) -> u32 {
    let (rest, elapsed) = (u128::from(Warmth::FULL - Warmth::FIRST), elapsed.min(Warmth::RAMP).as_micros());
    let risen = rest * elapsed * elapsed / Warmth::RAMP.as_micros().pow(2);
    Warmth::FIRST.saturating_add(u32::try_from(risen).unwrap_or(Warmth::FULL)).min(Warmth::FULL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment::from_micros(7);

    fn share_after(elapsed: Duration) -> u32 {
        let warmth = Warmth::default();
        warmth.begin(START);
        warmth.share(START.after(elapsed))
    }

    #[test]
    fn rises_from_a_twentieth_to_all() {
        assert_eq!(Warmth::default().share(Moment::default()), Warmth::FULL, "there from the beginning");
        assert_eq!(share_after(Duration::ZERO), 51);
        assert_eq!(share_after(Duration::from_secs(10)), 51 + 973 / 36);
        assert_eq!(share_after(Duration::from_secs(30)), 51 + 973 / 4);
        assert_eq!(share_after(Warmth::RAMP), Warmth::FULL);
        assert_eq!(share_after(Duration::MAX), Warmth::FULL);
    }

    #[test]
    fn a_moment_of_zero_counts() {
        let warmth = Warmth::default();
        warmth.begin(Moment::default());
        assert!(warmth.share(Moment::default()) < Warmth::FULL);
    }

    proptest! {
        #[test]
        fn never_falls(earlier in 0_u64..70_000_000, more in 0_u64..70_000_000) {
            let of = |micros| share_after(Duration::from_micros(micros));
            prop_assert!(of(earlier) <= of(earlier + more));
        }
    }
}

use std::time::Duration;

/// When a name is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A shorter time to live counts as this one.
    pub min_ttl: Duration,
    /// A longer time to live counts as this one.
    pub max_ttl: Duration,
    /// How long the addresses of a name are kept that has none any more, as its servers say.
    pub hold: Duration,
}

/// Between two questions for a name that doesn't exist, and for one that nobody tells about.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(10);

impl Pace {
    /// After addresses that are good for `ttl`: a little before it is over, so that names that were asked for together
    /// aren't for ever.
    pub(super) fn answered(&self, ttl: Duration, random: u64) -> Duration {
        early(ttl.min(self.max_ttl).max(self.min_ttl), random)
    }

    /// After the word that there are none, which is good for `ttl` (RFC 2308).
    pub(super) fn denied(&self, ttl: Option<Duration>, random: u64) -> Duration {
        let (soonest, latest) = self.bounds();
        early(ttl.unwrap_or_default().clamp(soonest, latest), random)
    }

    /// After the last of `failures` look-ups in a row that brought nothing.
    pub(super) fn failed(&self, failures: u32, random: u64) -> Duration {
        let (soonest, latest) = self.bounds();
        let doubled = soonest.saturating_mul(1 << failures.saturating_sub(1).min(16));
        early(doubled.min(latest), random)
    }

    /// Who wants addresses to be asked for more often than every second wants the same of missing ones.
    fn bounds(&self) -> (Duration, Duration) {
        let soonest = SOONEST.min(self.min_ttl);
        (soonest, LATEST.min(self.max_ttl).max(soonest))
    }
}

/// `wait`, less a random part of up to a tenth.
fn early(wait: Duration, random: u64) -> Duration {
    let tenth = u64::try_from(wait.as_micros() / 10).unwrap_or(u64::MAX);
    wait.saturating_sub(Duration::from_micros(((u128::from(tenth) * u128::from(random)) >> 64) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const PACE: Pace = Pace { min_ttl: secs(1), max_ttl: secs(300), hold: secs(30) };

    #[test]
    fn a_time_to_live_counts_within_bounds_and_ends_a_little_early() {
        for (ttl, wait) in [(0, 1), (1, 1), (60, 60), (300, 300), (86_400, 300)] {
            assert_eq!(PACE.answered(secs(ttl), 0), secs(wait));
            let soonest = PACE.answered(secs(ttl), u64::MAX);
            assert!(soonest >= secs(wait) * 9 / 10 && soonest < secs(wait) * 91 / 100, "{soonest:?}");
        }
        assert_eq!(PACE.answered(Duration::MAX, 0), secs(300));
    }

    #[test]
    fn what_is_missing_is_asked_for_every_one_to_ten_seconds() {
        let denied = |ttl: Option<u64>| PACE.denied(ttl.map(secs), 0);
        assert_eq!([None, Some(0), Some(7), Some(3600)].map(denied), [1, 1, 7, 10].map(secs));
        assert_eq!(
            [1, 2, 4, 5, u32::MAX].map(|failures| PACE.failed(failures, 0)),
            [1, 2, 8, 10, 10].map(secs)
        );
        assert!(PACE.failed(1, u64::MAX) < secs(1));
        let slow = Pace { min_ttl: secs(60), ..PACE };
        assert_eq!((slow.denied(None, 0), slow.failed(9, 0)), (secs(1), secs(10)));
        let quick = Pace { min_ttl: Duration::from_millis(50), max_ttl: secs(2), ..PACE };
        assert_eq!((quick.denied(None, 0), quick.failed(9, 0)), (Duration::from_millis(50), secs(2)));
    }
}

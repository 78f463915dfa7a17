use std::time::Duration;

use crate::Stats;
use crate::stats::DURATION_BUCKETS;

/// What happened between two readings of [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    pub requests_per_second: f64,
    /// From the end of the request's head to the end of the response; zero without requests.
    pub mean: Duration,
    /// 99 of 100 requests took no longer. As exact as [`DURATION_BUCKETS`] are: within one it is taken to be even, and what
    /// took longer than the last bound counts as that.
    pub p99: Duration,
}

impl Recent {
    /// `elapsed` is the time between the readings.
    pub fn between(before: &Stats, after: &Stats, elapsed: Duration) -> Self {
        let mut counts = [0_u64; DURATION_BUCKETS.len() + 1];
        for ((count, after), before) in counts.iter_mut().zip(after.durations).zip(before.durations) {
            *count = after.saturating_sub(before);
        }
        let requests: u64 = counts.iter().sum();
        let micros = after.duration_micros.saturating_sub(before.duration_micros);
        let per_second = requests as f64 / elapsed.as_secs_f64();
        Self {
            requests_per_second: if per_second.is_finite() { per_second } else { 0.0 },
            mean: Duration::from_micros(micros.checked_div(requests).unwrap_or_default()),
            p99: percentile(&counts, 0.99),
        }
    }
}

fn percentile(counts: &[u64], share: f64) -> Duration {
    let wanted = share * counts.iter().sum::<u64>() as f64;
    let (mut seen, mut lower) = (0.0, 0_u64);
    for (index, count) in counts.iter().enumerate() {
        let upper = DURATION_BUCKETS.get(index).copied().unwrap_or(lower);
        let count = *count as f64;
        if count > 0.0 && seen + count >= wanted {
            let part = (wanted - seen) / count;
            return Duration::from_micros(lower + ((upper - lower) as f64 * part) as u64);
        }
        seen += count;
        lower = upper;
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(buckets: &[(usize, u64)], micros: u64) -> Stats {
        let mut stats = Stats { duration_micros: micros, ..Stats::default() };
        for (bucket, count) in buckets {
            stats.durations[*bucket] = *count;
        }
        stats
    }

    #[test]
    fn only_what_came_between_counts() {
        let before = stats(&[(0, 1_000), (13, 1_000)], 5_000_000);
        let after = stats(&[(0, 1_098), (3, 2), (13, 1_000)], 5_100_000);
        let recent = Recent::between(&before, &after, Duration::from_secs(2));
        assert_eq!(recent.requests_per_second, 50.0);
        assert_eq!(recent.mean, Duration::from_millis(1));
        // The 99th of 100 is in the middle of the two between 2.5 ms and 5 ms.
        assert_eq!(recent.p99, Duration::from_micros(3_750));
    }

    #[test]
    fn without_requests_all_is_zero() {
        let same = stats(&[(2, 7)], 9);
        assert_eq!(Recent::between(&same, &same, Duration::from_secs(1)), Recent::default());
        assert_eq!(Recent::between(&same, &same, Duration::ZERO), Recent::default());
        let slow = stats(&[(14, 1)], 90_000_000);
        let recent = Recent::between(&Stats::default(), &slow, Duration::from_secs(1));
        assert_eq!(recent.p99, Duration::from_secs(60), "the last bound");
    }
}

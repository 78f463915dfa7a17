use std::time::Duration;

/// How often a target is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    /// Percent of the interval by which a wait may be shorter, at most 100.
    jitter: u32,
}

impl Pace {
    /// The longest wait before a first probe.
    const SOON: Duration = Duration::from_secs(1);

    pub(super) fn new(interval: Duration, jitter: u32) -> Self {
        Self { interval, jitter: jitter.min(100) }
    }

    /// Before the first probe: soon, and spread, since many begin at once.
    pub fn first_wait(&self, random: u64) -> Duration {
        share(self.interval.min(Self::SOON), random)
    }

    /// From the beginning of one probe to that of the next: never longer than the interval.
    pub fn next_wait(&self, random: u64) -> Duration {
        self.interval - share(self.interval * self.jitter / 100, random)
    }
}

/// From nothing to all of `whole`, evenly.
fn share(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

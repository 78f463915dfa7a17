//! A circuit breaker per target: after errors in a row the target gets no requests for a while, then exactly one, whose
//! outcome decides. Otoroshi's Backends page names the two numbers, its code says that the errors come in a row and that
//! `sample_interval` is how long the breaker stays open.

use std::time::Duration;

use dataplane_snapshot::wire;

use crate::atomic::AtomicU64;
use crate::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::{Moment, Warmth};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// In a row, 1 to [`BreakerRule::MAX_ERRORS`].
    max_errors: u32,
    /// Errors that took longer to come together don't open it; and the time that it stays open.
    interval: Duration,
    server_errors: bool,
}

impl BreakerRule {
    pub const MAX_ERRORS: u32 = 1_000_000;

    /// `None`: no breaker.
    pub(crate) fn parse(breaker: Option<&wire::Breaker>) -> Result<Option<Self>, String> {
        let Some(wire::Breaker { max_errors, interval, server_errors }) = breaker else { return Ok(None) };
        if !(1..=Self::MAX_ERRORS).contains(max_errors) {
            return Err(format!("breaker: {max_errors} errors: 1 to {} are possible", Self::MAX_ERRORS));
        }
        let interval = Duration::from_millis(*interval);
        let rule = Self { max_errors: *max_errors, interval, server_errors: *server_errors };
        Ok((!interval.is_zero()).then_some(rule))
    }

    /// For a target that takes this much of its share, of [`Warmth::FULL`]: it takes as much longer to make as many errors. A
    /// quarter of them at least, as a few may be late ones of when it was away.
    pub(crate) fn for_share(self, share: u32) -> Self {
        let share = u64::from(share.max(Warmth::FULL / 4));
        let errors = (u64::from(self.max_errors) * share).div_ceil(u64::from(Warmth::FULL));
        Self { max_errors: u32::try_from(errors).unwrap_or(self.max_errors), ..self }
    }

    /// Whether an answer with this status is an error.
    pub(crate) const fn is_error(&self, status: u16) -> bool {
        self.server_errors && status >= 500
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    /// Nothing, until its time is over.
    Open,
    /// One request has been let through and isn't back yet.
    Trying,
}

/// The breaker of one target, shared by all threads.
///
/// One word, so that each change is one compare-and-swap: two bits of state, twenty for the errors in a row, and
/// milliseconds of [`Moment`]'s clock. All zero: closed, no error. Who holds the permit of a trial is the only one to
/// leave that state, so no change is ever made by a holder that came too late.
///
/// Who reads a state also sees what its writer did before: that the target has to warm up.
#[derive(Debug, Default)]
pub struct Breaker(AtomicU64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// The errors in a row and when the first came.
    Closed {
        errors: u32,
        since: u64,
    },
    Open {
        until: u64,
    },
    /// Since when.
    Trying {
        since: u64,
    },
}

const MILLIS: u64 = (1 << 42) - 1;
const ERRORS: u64 = (1 << 20) - 1;

impl Word {
    const fn pack(self) -> u64 {
        match self {
            Self::Closed { errors: 0, .. } => 0,
            Self::Closed { errors, since } => (errors as u64 & ERRORS) << 42 | (since & MILLIS),
            Self::Open { until } => 1 << 62 | (until & MILLIS),
            Self::Trying { since } => 2 << 62 | (since & MILLIS),
        }
    }

    const fn unpack(word: u64) -> Self {
        let millis = word & MILLIS;
        match word >> 62 {
            0 => Self::Closed { errors: (word >> 42 & ERRORS) as u32, since: millis },
            1 => Self::Open { until: millis },
            _ => Self::Trying { since: millis },
        }
    }
}

impl Breaker {
    fn load(&self) -> Word {
        Word::unpack(self.0.load(Acquire))
    }

    /// Puts `new` in the place of `old`, unless another thread was faster.
    fn replace(&self, old: Word, new: Word) -> bool {
        self.0.compare_exchange(old.pack(), new.pack(), AcqRel, Relaxed).is_ok()
    }

    pub fn state(&self) -> BreakerState {
        match self.load() {
            Word::Closed { .. } => BreakerState::Closed,
            Word::Open { .. } => BreakerState::Open,
            Word::Trying { .. } => BreakerState::Trying,
        }
    }

    /// Whether a request would be let through. Another thread may take the place of a trial in between.
    #[inline]
    pub fn admits(&self, now: Moment) -> bool {
        match self.load() {
            Word::Closed { .. } => true,
            Word::Open { until } => until <= millis(now),
            Word::Trying { .. } => false,
        }
    }

    /// Lets a request through, unless the breaker is open. The first one after its time is the trial.
    #[inline]
    pub(crate) fn enter(&self, now: Moment) -> Option<Permit<'_>> {
        match self.load() {
            Word::Closed { .. } => Some(Permit { trial: None }),
            open @ Word::Open { until } if until <= millis(now) => {
                let trying = Word::Trying { since: millis(now) };
                // Made only by the one who won: a permit that is dropped lets go of the trial.
                self.replace(open, trying).then(|| Permit { trial: Some((self, trying)) })
            }
            Word::Open { .. } | Word::Trying { .. } => None,
        }
    }

    /// The request of `permit` went well. A trial closes the breaker.
    #[inline]
    pub(crate) fn succeed(&self, mut permit: Permit<'_>) {
        if let Some((breaker, trying)) = permit.trial.take() {
            breaker.replace(trying, Word::Closed { errors: 0, since: 0 });
            return;
        }
        // Requests from before the breaker opened say nothing about the target of now.
        while let closed @ Word::Closed { errors: 1.., .. } = self.load() {
            if self.replace(closed, Word::Closed { errors: 0, since: 0 }) {
                break;
            }
        }
    }

    /// The request of `permit` failed. `true`: that opened the breaker. It is opened only if `may_open`, which is asked
    /// at most once per call.
    pub(crate) fn fail(
        &self,
        mut permit: Permit<'_>,
        rule: &BreakerRule,
        now: Moment,
        may_open: impl FnOnce() -> bool,
    ) -> bool {
        let open = Word::Open { until: millis(now.after(rule.interval)) };
        if let Some((breaker, trying)) = permit.trial.take() {
            return breaker.replace(trying, open);
        }
        let now = millis(now);
        let window = u64::try_from(rule.interval.as_millis()).unwrap_or(u64::MAX);
        let mut may_open = Some(may_open);
        let mut allowed = false;
        while let closed @ Word::Closed { errors, since } = self.load() {
            let runs = errors > 0 && now.saturating_sub(since) < window;
            let (errors, since) = if runs { (errors.saturating_add(1), since) } else { (1, now) };
            let enough = errors >= rule.max_errors;
            if enough && let Some(ask) = may_open.take() {
                allowed = ask();
            }
            let opens = enough && allowed;
            let errors = errors.min(rule.max_errors);
            if self.replace(closed, if opens { open } else { Word::Closed { errors, since } }) {
                return opens;
            }
        }
        false
    }
}

/// Leave to send one request to a target. Dropped without a word, it leaves the place of a trial to the next request.
#[derive(Debug)]
pub struct Permit<'t> {
    trial: Option<(&'t Breaker, Word)>,
}

impl Permit<'_> {
    /// Where there is no breaker.
    pub(crate) const FREE: Self = Self { trial: None };

    /// The request decides whether the breaker closes.
    pub(crate) const fn is_trial(&self) -> bool {
        self.trial.is_some()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some((breaker, trying @ Word::Trying { since })) = self.trial {
            breaker.replace(trying, Word::Open { until: since });
        }
    }
}

const fn millis(moment: Moment) -> u64 {
    let millis = moment.as_micros() / 1000;
    if millis > MILLIS { MILLIS } else { millis }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

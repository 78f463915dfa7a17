//! When a request that failed is sent again (Otoroshi's Backends page: `retries`, `retry_initial_delay`,
//! `sample_interval`, `backoff_factor`).

use std::time::Duration;

use dataplane_snapshot::wire;

/// How often and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryRule {
    /// 1 to [`RetryRule::MAX_RETRIES`], beyond the first try.
    count: u32,
    initial_delay: Duration,
    interval: Duration,
    backoff_factor: u32,
    non_idempotent: bool,
    statuses: Box<[u16]>,
}

/// How a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No byte of the request reached the target.
    Unsent,
    /// The target may have seen the request and gave no answer.
    Unanswered,
    /// The target answered with this status.
    Answered(u16),
}

impl RetryRule {
    pub const MAX_RETRIES: u32 = 100;

    /// `None`: no retries.
    pub(crate) fn parse(retries: Option<&wire::Retries>) -> Result<Option<Self>, String> {
        let Some(retries) = retries else { return Ok(None) };
        if retries.count > Self::MAX_RETRIES {
            return Err(format!("{} retries: at most {} are possible", retries.count, Self::MAX_RETRIES));
        }
        let status = |status: &u32| {
            let known = u16::try_from(*status).ok().filter(|status| (100..=599).contains(status));
            known.ok_or_else(|| format!("retries: {status} is no status"))
        };
        let rule = Self {
            count: retries.count,
            initial_delay: Duration::from_millis(retries.initial_delay),
            interval: Duration::from_millis(retries.interval),
            backoff_factor: retries.backoff_factor.max(1),
            non_idempotent: retries.non_idempotent,
            statuses: retries.statuses.iter().map(status).collect::<Result<_, _>>()?,
        };
        Ok((rule.count > 0).then_some(rule))
    }

    /// How often at most.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether a request that a target may have seen can be sent again. `idempotent`: its method is (RFC 9110 section
    /// 9.2.2).
    pub const fn repeats(&self, idempotent: bool) -> bool {
        idempotent || self.non_idempotent
    }

    /// Whether an answer with this status is a failure.
    #[inline]
    fn is_failure(&self, status: u16) -> bool {
        status >= 400 && self.statuses.contains(&status)
    }

    /// Whether a request is sent again after `fault`. `idempotent` is asked only if it matters.
    #[inline]
    pub fn allows(&self, fault: Fault, idempotent: impl FnOnce() -> bool) -> bool {
        match fault {
            Fault::Unsent => true,
            Fault::Unanswered => self.repeats(idempotent()),
            Fault::Answered(status) => self.is_failure(status) && self.repeats(idempotent()),
        }
    }

    /// The wait before the retry `nth`, from 1: the first after the initial delay, the second after the interval, each
    /// further one after `backoff_factor` times as long. `random` shortens it by up to a half, so that requests that
    /// failed together don't come back together.
    pub fn delay(&self, nth: u32, random: u64) -> Duration {
        let whole = match nth.checked_sub(2) {
            None => self.initial_delay,
            Some(steps) => self.interval.saturating_mul(self.backoff_factor.saturating_pow(steps)),
        };
        let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
        let half = micros / 2;
        // Uniform in half..=whole: what is added is less than the width of the span, which fits.
        let added = (u128::from(random) * u128::from(micros - half + 1)) >> 64;
        Duration::from_micros(half + added as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(change: impl FnOnce(&mut wire::Retries)) -> RetryRule {
        let mut retries = wire::Retries {
            count: 5,
            initial_delay: 50,
            interval: 2000,
            backoff_factor: 3,
            non_idempotent: false,
            statuses: vec![502, 503],
        };
        change(&mut retries);
        RetryRule::parse(Some(&retries)).unwrap().unwrap()
    }

    #[test]
    fn the_first_delay_is_the_initial_one_and_then_the_interval_grows() {
        let rule = rule(|_| {});
        let whole = |nth| rule.delay(nth, u64::MAX).as_millis();
        assert_eq!([1, 2, 3, 4].map(whole), [50, 2000, 6000, 18_000]);
        let half = |nth| rule.delay(nth, 0).as_millis();
        assert_eq!([1, 2, 3, 4].map(half), [25, 1000, 3000, 9000]);
    }

    #[test]
    fn what_may_have_been_done_is_done_again_only_if_that_does_no_harm() {
        let rule = rule(|_| {});
        for (fault, idempotent, allowed) in [
            (Fault::Unsent, true, true),
            (Fault::Unsent, false, true),
            (Fault::Unanswered, true, true),
            (Fault::Unanswered, false, false),
            (Fault::Answered(503), true, true),
            (Fault::Answered(503), false, false),
            (Fault::Answered(500), true, false),
            (Fault::Answered(200), true, false),
        ] {
            assert_eq!(rule.allows(fault, || idempotent), allowed, "{fault:?} {idempotent}");
        }
        let daring = self::rule(|retries| retries.non_idempotent = true);
        assert!(daring.allows(Fault::Unanswered, || false) && daring.allows(Fault::Answered(503), || false));
        assert!(!daring.allows(Fault::Answered(500), || false));
    }

    #[test]
    fn none_is_no_rule_and_nonsense_is_refused() {
        let parse = |retries: wire::Retries| RetryRule::parse(Some(&retries));
        assert_eq!(RetryRule::parse(None), Ok(None));
        assert_eq!(parse(wire::Retries::default()), Ok(None));
        assert!(parse(wire::Retries { count: 101, ..Default::default() }).is_err());
        assert!(parse(wire::Retries { count: 1, statuses: vec![99], ..Default::default() }).is_err());
        assert!(parse(wire::Retries { count: 1, statuses: vec![70_000], ..Default::default() }).is_err());
    }

    proptest! {
        #[test]
        fn a_delay_is_between_half_and_whole(
            nth in 1..=100_u32,
            random: u64,
            (initial, interval, factor) in (0..=u64::MAX / 1000, 0..=u64::MAX / 1000, 0..=u32::MAX),
        ) {
            let rule = rule(|retries| {
                (retries.initial_delay, retries.interval, retries.backoff_factor) = (initial, interval, factor);
            });
            let (least, most) = (rule.delay(nth, 0), rule.delay(nth, u64::MAX));
            let delay = rule.delay(nth, random);
            prop_assert!(least <= delay && delay <= most);
            prop_assert!(most.as_micros() / 2 <= least.as_micros());
            prop_assert!(nth < 3 || rule.delay(nth - 1, u64::MAX) <= most, "it never shrinks");
        }
    }
}

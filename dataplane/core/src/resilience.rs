//! What a backend does about targets that fail: retries with their budget, and circuit breakers.

use std::sync::Arc;

use dataplane_snapshot::{Key, wire};

use crate::breaker::{BreakerRule, Permit};
use crate::budget::RetryBudget;
use crate::retry::RetryRule;
use crate::{BackendStates, CompiledBackend, CompiledTarget, Moment};

#[derive(Clone, Debug, Default)]
pub(crate) struct Resilience {
    retries: Option<Retries>,
    breaker: Option<BreakerRule>,
}

/// The retries of a backend.
#[derive(Clone, Debug)]
pub struct Retries {
    pub rule: RetryRule,
    budget: Arc<RetryBudget>,
}

impl Retries {
    /// Counts a request that may be sent again. What retries it may have is a part of all requests.
    #[inline]
    pub fn count_request(&self, now: Moment) {
        self.budget.count_request(now);
    }

    /// Takes a retry out of the backend's budget; `false`: there is none left.
    pub fn withdraw(&self, now: Moment) -> bool {
        self.budget.withdraw(now)
    }
}

impl Resilience {
    /// `backend` is the key under which the budget is kept.
    pub(crate) fn compile(
        backend: &Key,
        client: Option<&wire::ClientSettings>,
        states: &BackendStates,
    ) -> Result<Self, String> {
        let Some(client) = client else { return Ok(Self::default()) };
        let rule = RetryRule::parse(client.retries.as_ref())?;
        let retries = rule.map(|rule| Retries { rule, budget: states.budget(backend) });
        Ok(Self { retries, breaker: BreakerRule::parse(client.breaker.as_ref())? })
    }
}

impl CompiledBackend {
    /// `None`: a request that failed isn't sent again.
    #[inline]
    pub const fn retries(&self) -> Option<&Retries> {
        self.resilience.retries.as_ref()
    }

    /// Leave to send a request to `target`; `None`: its circuit breaker is open.
    #[inline]
    pub fn admit<'t>(&self, target: &'t CompiledTarget, now: Moment) -> Option<Permit<'t>> {
        match &self.resilience.breaker {
            None => Some(Permit::FREE),
            Some(_) => target.state.breaker.enter(now),
        }
    }

    /// The request of `permit` was answered with `status`. `true`: that opened the target's circuit breaker. `now` is
    /// asked for only if it matters.
    #[inline]
    pub fn answered(
        &self,
        target: &CompiledTarget,
        permit: Permit<'_>,
        status: u16,
        now: impl FnOnce() -> Moment,
    ) -> bool {
        match &self.resilience.breaker {
            Some(rule) if rule.is_error(status) => self.failed(target, permit, now()),
            Some(_) => {
                if permit.is_trial() {
                    // Before the breaker closes, or a thread that sees it closed could give the target its whole share.
                    target.state.warmth.begin(now());
                }
                target.state.breaker.succeed(permit);
                false
            }
            None => false,
        }
    }

    /// The request of `permit` wasn't answered, by the target's fault. `true`: that opened its circuit breaker.
    pub fn failed(&self, target: &CompiledTarget, permit: Permit<'_>, now: Moment) -> bool {
        let Some(rule) = &self.resilience.breaker else { return false };
        let rule = rule.for_share(target.state.warmth.share(now));
        target.state.breaker.fail(permit, &rule, now, || self.may_open(target, now))
    }

    /// Whether some target with a share is kept from requests by its circuit breaker.
    pub fn is_breaker_open(&self, now: Moment) -> bool {
        self.resilience.breaker.is_some()
            && self.targets().iter().any(|target| !target.state.breaker.admits(now))
    }

    /// At most half of the targets are kept from requests by their breakers at a time, one of them always: what is wrong
    /// with all of them isn't made better by having fewer. Two threads that open at the same moment may exceed it.
    fn may_open(&self, target: &CompiledTarget, now: Moment) -> bool {
        let open =
            |other: &&CompiledTarget| other.position != target.position && !other.state.breaker.admits(now);
        self.targets().iter().filter(open).count() < (self.targets().len() / 2).max(1)
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

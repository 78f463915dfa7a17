//! Limits per Day or Month, which are counted in the state store.

use dataplane_snapshot::wire::{Filter, FilterSettings, RateLimit, RateLimitPeriod};

use super::findings::{Field, Findings};

/// Refuses them where there are several stores: each would let as many requests through.
pub(super) fn check(filters: &[Filter], separate_stores: u32, findings: &mut Findings) {
    if separate_stores <= 1 {
        return;
    }
    let at = Field::SPEC.name("filters");
    let at = at.name("rateLimits");
    // They are in the order of the spec, one for each.
    for (index, limit) in filters.iter().flat_map(limits).enumerate() {
        let period = match limit.period() {
            RateLimitPeriod::Day => "Day",
            RateLimitPeriod::Month => "Month",
            RateLimitPeriod::Unspecified | RateLimitPeriod::Second | RateLimitPeriod::Minute => continue,
        };
        let message = format!(
            "a limit per {period} is counted in the state store, and with cluster.leader.replicas={separate_stores} each \
             leader has its own: give store.url of Redis, PostgreSQL or Cassandra, or write limits per Second or Minute"
        );
        findings.invalid(&at.index(index).name("per"), message);
    }
}

fn limits(filter: &Filter) -> &[RateLimit] {
    match &filter.settings {
        Some(FilterSettings::RateLimits(rate_limits)) => &rate_limits.limits,
        _ => &[],
    }
}

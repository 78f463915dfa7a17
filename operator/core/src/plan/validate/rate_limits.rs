use crds::bounds::{MAX_CONDITION_NAME, MAX_RATE, MAX_RATE_LIMITS};
use crds::{RateLimit, RateLimitKeyType, RateLimitPeriod, RouteFilters};
use dataplane_core::{Place, filter};
use dataplane_snapshot::wire::{self, ConditionKind, Filter, FilterKind, FilterSettings};

use super::bounds::{count, length, number};
use super::filters::good;
use super::syntax;
use crate::plan::findings::{Field, Findings};

/// `at` is where the filters are.
pub(super) fn rate_limits(filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let specs = &filters.rate_limits;
    if specs.is_empty() {
        return None;
    }
    let at = at.name("rateLimits");
    let before = findings.count();
    count(specs.len(), MAX_RATE_LIMITS, &at, findings);
    let each = specs.iter().enumerate();
    let limits = each.map(|(index, spec)| limit(spec, &at.index(index), findings)).collect();
    let settings = wire::RateLimits { limits };
    repeated(&settings.limits, &at, findings);
    if findings.count() == before {
        good(filter::RateLimits::parse(&settings), &at, findings);
    }
    Some(FilterSettings::RateLimits(settings).of(FilterKind::RateLimits))
}

fn limit(spec: &RateLimit, at: &Field<'_>, findings: &mut Findings) -> wire::RateLimit {
    let RateLimit { requests, per, burst, .. } = *spec;
    number(requests, 1, MAX_RATE, &at.name("requests"), findings);
    if let Some(burst) = burst {
        let at = at.name("burst");
        match per {
            RateLimitPeriod::Day | RateLimitPeriod::Month => {
                findings.invalid(&at, "only goes with per: Second or Minute: leave it out");
            }
            RateLimitPeriod::Second | RateLimitPeriod::Minute => {
                number(burst, 1, requests.clamp(1, MAX_RATE), &at, findings);
            }
        }
    }
    let (key, name) = key(spec, &at.name("key"), findings);
    wire::RateLimit {
        requests,
        period: match per {
            RateLimitPeriod::Second => wire::RateLimitPeriod::Second,
            RateLimitPeriod::Minute => wire::RateLimitPeriod::Minute,
            RateLimitPeriod::Day => wire::RateLimitPeriod::Day,
            RateLimitPeriod::Month => wire::RateLimitPeriod::Month,
        }
        .into(),
        burst: burst.unwrap_or_default(),
        key: key.into(),
        name,
    }
}

/// The name as it is on the wire, empty where there is none.
fn key(spec: &RateLimit, at: &Field<'_>, findings: &mut Findings) -> (wire::RateLimitKey, String) {
    let Some(key) = &spec.key else { return (wire::RateLimitKey::Route, String::new()) };
    let at = at.name("name");
    let (kind, place, example) = match key.type_ {
        RateLimitKeyType::ClientAddress => {
            if key.name.is_some() {
                findings.invalid(&at, "only goes with type Header or Cookie: leave it out");
            }
            return (wire::RateLimitKey::ClientAddress, String::new());
        }
        RateLimitKeyType::Header => {
            (wire::RateLimitKey::Header, Place::Header, "header, for instance x-api-key")
        }
        RateLimitKeyType::Cookie => {
            (wire::RateLimitKey::Cookie, Place::Cookie, "cookie, for instance session")
        }
    };
    let name = key.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        findings.invalid(&at, format!("write the name of the {example}"));
    } else if let Err(error) = syntax::condition(place, ConditionKind::Present, name, "") {
        findings.invalid(&at, error.to_string());
    }
    length(name, MAX_CONDITION_NAME, &at, findings);
    let name = if place == Place::Header { name.to_ascii_lowercase() } else { name.to_owned() };
    (kind, name)
}

/// Workers count each key once in a period.
fn repeated(limits: &[wire::RateLimit], at: &Field<'_>, findings: &mut Findings) {
    let about = |limit: &wire::RateLimit| (limit.period, limit.key, limit.name.clone());
    // One whose name is missing is about nothing yet.
    let is_whole = |limit: &wire::RateLimit| {
        let is_named = matches!(limit.key(), wire::RateLimitKey::Header | wire::RateLimitKey::Cookie);
        !is_named || !limit.name.is_empty()
    };
    for (index, limit) in limits.iter().enumerate().filter(|(_, limit)| is_whole(limit)) {
        let mut earlier = limits.iter().take(index);
        if let Some(first) = earlier.position(|earlier| about(earlier) == about(limit)) {
            let message =
                format!("has the key and the period of rateLimits[{first}]: write only one of them");
            findings.invalid(&at.index(index), message);
        }
    }
}

//! Which limits of Routes are used up for now, by what all workers have counted, without I/O.

use std::collections::BTreeMap;

use crds::{RateLimit, RateLimitKey, RateLimitKeyType, RateLimitPeriod, RouteSpec};
use dataplane_core::limit::Calendar;
use dataplane_snapshot::Key;

use crate::usage::{UsageRow, sums};

/// By Route, which of its limits per day or month are used up: a sentence. It is the same as long as they are, so that it is
/// written seldom.
pub type UsedUp = BTreeMap<Key, String>;

/// Whether it has limits per day or month.
pub fn has_quotas(route: &RouteSpec) -> bool {
    quotas(route).next().is_some()
}

/// `rows` are those of the day and the month of now.
pub fn used_up<'a>(
    routes: impl Iterator<Item = (&'a Key, &'a RouteSpec)>,
    rows: &[UsageRow],
    now: Calendar,
) -> UsedUp {
    let (day, month) = (now.day().to_string(), now.month().to_string());
    let mut counted: BTreeMap<(&str, &str), Vec<(&str, u64)>> = BTreeMap::new();
    for (key, counts) in sums(rows.iter()) {
        counted.entry((&key.route, &key.window)).or_default().push((&key.consumer, counts.admitted));
    }
    let mut used = UsedUp::new();
    for (key, route) in routes {
        let name = key.to_string();
        let is_used = |limit: &&RateLimit| {
            let window = if limit.per == RateLimitPeriod::Day { &day } else { &month };
            let consumers = counted.get(&(&*name, &**window)).into_iter().flatten();
            let mut own = consumers.filter(|(consumer, _)| is_of(limit.key.as_ref(), consumer));
            own.any(|(_, admitted)| *admitted >= u64::from(limit.requests))
        };
        let all: Vec<_> = quotas(route).filter(is_used).map(sentence).collect();
        if !all.is_empty() {
            used.insert(key.clone(), all.join("; "));
        }
    }
    used
}

fn quotas(route: &RouteSpec) -> impl Iterator<Item = &RateLimit> {
    let limits = route.filters.iter().flat_map(|filters| &filters.rate_limits);
    limits.filter(|limit| matches!(limit.per, RateLimitPeriod::Day | RateLimitPeriod::Month))
}

/// Whether a consumer of this name is told apart by this key; see [`dataplane_core::filter::LimitKey::label`].
fn is_of(key: Option<&RateLimitKey>, consumer: &str) -> bool {
    let is_labelled = |kind: &str, name: &str| {
        let rest = consumer.strip_prefix(kind).and_then(|rest| rest.strip_prefix(':'));
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('='))
    };
    let Some(RateLimitKey { type_, name }) = key else { return consumer.is_empty() };
    let name = name.as_deref().unwrap_or_default();
    match type_ {
        RateLimitKeyType::Header => is_labelled("header", &name.to_ascii_lowercase()),
        RateLimitKeyType::Cookie => is_labelled("cookie", name),
        RateLimitKeyType::ClientAddress => {
            let is_other_key = ["header:", "cookie:"].iter().any(|kind| consumer.starts_with(kind));
            !consumer.is_empty() && !is_other_key
        }
    }
}

fn sentence(limit: &RateLimit) -> String {
    let RateLimit { requests, per, key, .. } = limit;
    let window = if *per == RateLimitPeriod::Day { "day" } else { "month" };
    match key.as_ref().map(|key| (key.type_, key.name.as_deref().unwrap_or_default())) {
        None => format!("all {requests} requests of the {window} are used"),
        Some((RateLimitKeyType::ClientAddress, _)) => {
            format!("a client address has used all its {requests} requests of the {window}")
        }
        Some((RateLimitKeyType::Header, name)) => {
            format!("a consumer by the header {name} has used all its {requests} requests of the {window}")
        }
        Some((RateLimitKeyType::Cookie, name)) => {
            format!("a consumer by the cookie {name} has used all its {requests} requests of the {window}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dataplane_snapshot::wire::UsageCounts;

    use super::*;
    use crate::usage::UsageKey;

    fn route(limits: &str) -> RouteSpec {
        serde_json::from_str(&format!(r#"{{"matches":[{{}}],"filters":{{"rateLimits":{limits}}}}}"#)).unwrap()
    }

    fn row(window: &str, consumer: &str, worker: &str, admitted: u64) -> UsageRow {
        let of =
            UsageKey { window: window.into(), route: "route/default/a".into(), consumer: consumer.into() };
        UsageRow { of, worker: worker.into(), counts: UsageCounts { admitted, ..UsageCounts::default() } }
    }

    #[test]
    fn a_route_says_which_of_its_limits_are_used_up() {
        let key: Key = "route/default/a".parse().unwrap();
        let spec = route(
            r#"[{"requests":10,"per":"Day"},{"requests":90,"per":"Month"},{"requests":1,"per":"Second"},
                {"requests":5,"per":"Day","key":{"type":"Header","name":"x-api-key"}},
                {"requests":4,"per":"Day","key":{"type":"ClientAddress"}}]"#,
        );
        assert!(has_quotas(&spec) && !has_quotas(&route(r#"[{"requests":1,"per":"Minute"}]"#)));
        let now = Calendar::at(Duration::from_secs(1_796_000_000));
        let said = |rows: &[UsageRow]| used_up([(&key, &spec)].into_iter(), rows, now).remove(&key);
        let (day, month) = ("2026-11-30", "2026-11");
        assert_eq!(said(&[row(day, "", "v", 4), row(day, "", "w", 5), row(month, "", "w", 89)]), None);
        let all = "all 10 requests of the day are used";
        assert_eq!(said(&[row(day, "", "v", 4), row(day, "", "w", 6)]).as_deref(), Some(all));
        let of_month = "all 90 requests of the month are used";
        assert_eq!(said(&[row(month, "", "w", 90)]).as_deref(), Some(of_month));
        assert_eq!(said(&[row("2026-11-29", "", "w", 90)]), None, "that was yesterday");
        let header = "a consumer by the header x-api-key has used all its 5 requests of the day";
        assert_eq!(said(&[row(day, "header:x-api-key=sha256:00", "w", 5)]).as_deref(), Some(header));
        let address = "a client address has used all its 4 requests of the day";
        assert_eq!(said(&[row(day, "192.0.2.1", "w", 4)]).as_deref(), Some(address));
        assert_eq!(said(&[row(day, "header:x-api=sha256:00", "w", 9)]), None, "another header");
        assert_eq!(said(&[row(day, "header:x-api-key=sha256:00", "w", 4)]), None, "it is no address");
        let both = said(&[row(day, "192.0.2.1", "w", 9), row(month, "", "w", 99)]);
        assert_eq!(both, Some(format!("{of_month}; {address}")));
    }
}

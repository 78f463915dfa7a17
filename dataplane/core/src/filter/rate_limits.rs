use std::collections::BTreeMap;

use dataplane_snapshot::wire::{self, RateLimitKey, RateLimitPeriod};

use super::FilterError;
use super::header::is_token;

/// How many requests a route takes, of all workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// One per key.
    pub groups: Box<[LimitGroup]>,
}

/// The limits of those that are told apart by one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitGroup {
    pub key: LimitKey,
    pub limits: Limits,
}

/// At most one per period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub second: Option<Rate>,
    pub minute: Option<Rate>,
    /// Requests in a day of UTC.
    pub day: Option<u32>,
    /// Requests in a month of UTC.
    pub month: Option<u32>,
}

/// So many requests in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// From 1 on.
    pub requests: u32,
    /// From 1 to `requests`.
    pub burst: u32,
}

/// What tells consumers apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKey {
    /// Nothing: all requests of the route are counted together.
    Route,
    ClientAddress,
    /// In lower case.
    Header(Box<str>),
    Cookie(Box<str>),
}

impl RateLimits {
    pub fn parse(given: &wire::RateLimits) -> Result<Self, FilterError> {
        let mut groups: BTreeMap<LimitKey, Limits> = BTreeMap::new();
        for limit in &given.limits {
            let limits = groups.entry(LimitKey::parse(limit)?).or_default();
            if limits.put(limit)?.is_some() {
                return Err(FilterError::LimitTwice);
            }
        }
        let groups = groups.into_iter().map(|(key, limits)| LimitGroup { key, limits });
        Ok(Self { groups: groups.collect() })
    }
}

impl LimitKey {
    /// What the names of consumers begin with that this key tells apart; those by address are their addresses.
    pub fn label(&self) -> String {
        match self {
            Self::Route => String::new(),
            Self::ClientAddress => "address".to_owned(),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
        }
    }

    fn parse(limit: &wire::RateLimit) -> Result<Self, FilterError> {
        let name = &*limit.name;
        let kind = RateLimitKey::try_from(limit.key).map_err(|_| FilterError::LimitKey(limit.key))?;
        match (kind, name.is_empty()) {
            (RateLimitKey::Route, true) => Ok(Self::Route),
            (RateLimitKey::ClientAddress, true) => Ok(Self::ClientAddress),
            (RateLimitKey::Route | RateLimitKey::ClientAddress, false) => {
                Err(FilterError::LimitName(name.to_owned()))
            }
            (RateLimitKey::Header | RateLimitKey::Cookie, true) => Err(FilterError::LimitNoName),
            // The names of cookies are tokens, too (RFC 6265, 4.1.1).
            (RateLimitKey::Header | RateLimitKey::Cookie, false) if !name.bytes().all(is_token) => {
                Err(FilterError::HeaderName(name.to_owned()))
            }
            (RateLimitKey::Header, false) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            (RateLimitKey::Cookie, false) => Ok(Self::Cookie(name.into())),
        }
    }
}

impl Limits {
    /// Gives what was there.
    fn put(&mut self, limit: &wire::RateLimit) -> Result<Option<()>, FilterError> {
        let wire::RateLimit { requests, burst, .. } = *limit;
        if requests == 0 {
            return Err(FilterError::Limit(0));
        }
        if burst > requests {
            return Err(FilterError::Burst { burst, requests });
        }
        let rate = |usual: u32| Rate { requests, burst: if burst == 0 { usual.max(1) } else { burst } };
        let had = match limit.period() {
            RateLimitPeriod::Second => self.second.replace(rate(requests)).map(drop),
            RateLimitPeriod::Minute => self.minute.replace(rate(requests / 6)).map(drop),
            RateLimitPeriod::Day => self.day.replace(requests).map(drop),
            RateLimitPeriod::Month => self.month.replace(requests).map(drop),
            RateLimitPeriod::Unspecified => return Err(FilterError::LimitPeriod(limit.period)),
        };
        Ok(had)
    }

    /// Counted over days or months.
    pub const fn has_quota(&self) -> bool {
        self.day.is_some() || self.month.is_some()
    }
}

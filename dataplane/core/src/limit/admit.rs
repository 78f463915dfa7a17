use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use super::bucket::{Filled, Pace};
use super::calendar::Calendar;
use super::consumer::{Consumer, Spent, Verdict};
use super::quota::Counted;
use super::route::{ActiveLimits, Group};
use crate::atomic::Ordering::Relaxed;
use crate::cookie;
use crate::filter::{LimitKey, Limits};
use crate::{Moment, RequestHead};

/// Seconds.
const MINUTE: u64 = 60;
/// The longest value that is kept as it is, in bytes; of a longer one its digest is.
const MAX_VALUE: usize = 128;
/// How soon a request may come again that is refused until the workers have heard of each other, in seconds.
const SOON: u64 = 1;

/// When it is asked whether a request may pass.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    pub now: Moment,
    pub calendar: Calendar,
}

/// What the limits say about a request.
#[derive(Debug, Default)]
pub struct Admission {
    /// Whose requests it is one of, besides the route's as a whole.
    consumers: SmallVec<[Arc<Consumer>; 1]>,
    /// The limit that is closest, or that refuses.
    pub state: LimitState,
    /// It may not pass.
    pub refused: Option<Exceeded>,
}

/// A limit as a client is told of it (draft-ietf-httpapi-ratelimit-headers-03).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitState {
    /// In a period, of all workers.
    pub limit: u64,
    pub remaining: u64,
    /// Seconds until all of it is there again.
    pub reset: u64,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Of a day or a month.
    pub is_quota: bool,
    /// Seconds until it may come again, at least 1.
    pub retry_after: u64,
}

/// What one limit says.
struct Said {
    state: LimitState,
    refused: Option<Exceeded>,
}

impl ActiveLimits {
    /// Whether a request may pass. If it may, it has.
    pub fn admit<H: RequestHead>(&self, head: &H, at: Instant) -> Admission {
        let mut admission = Admission::default();
        let unknown = self.shared.even_share();
        let mut found: SmallVec<[(Limits, Arc<Consumer>); 2]> = SmallVec::new();
        // None of them is charged for what another one refuses, and who is refused takes no room behind that.
        for group in &self.groups {
            let (limits, consumer) = (group.limits.limits, self.consumer(group, head));
            each(limits, &consumer, |limit| limit.say(false, unknown, at), &mut admission);
            found.push((limits, consumer));
            if admission.refused.is_some() {
                break;
            }
        }
        if admission.refused.is_none() {
            let mut taken = Admission::default();
            for (limits, consumer) in &found {
                each(*limits, consumer, |limit| limit.say(true, unknown, at), &mut taken);
            }
            admission = taken;
        }
        if found.iter().any(|(limits, consumer)| is_urgent(*limits, consumer, unknown, at)) {
            self.shared.is_urgent.store(true, Relaxed);
        }
        let is_crowded = |group: &Arc<Group>, consumer| {
            group.consumers.as_ref().is_some_and(|consumers| consumers.lack_room_for(consumer))
        };
        if self.groups.iter().zip(&found).any(|(group, (_, consumer))| is_crowded(group, consumer)) {
            self.shared.is_crowded.store(true, Relaxed);
        }
        let apart = found.into_iter().map(|(_, consumer)| consumer);
        admission.consumers = apart.filter(|consumer| !Arc::ptr_eq(consumer, &self.whole)).collect();
        if admission.refused.is_none() {
            // At once, so that the others hear of it while it lasts.
            self.whole.admit();
            admission.consumers.iter().for_each(|consumer| consumer.admit());
        }
        admission
    }

    fn consumer<H: RequestHead>(&self, group: &Group, head: &H) -> Arc<Consumer> {
        let Some(consumers) = &group.consumers else { return self.whole.clone() };
        let find = |value: &[u8], name: &dyn Fn() -> String| {
            consumers.find(value, || group.consumer(name(), self.shared.even_share()))
        };
        match &group.limits.key {
            LimitKey::Route => self.whole.clone(),
            LimitKey::ClientAddress => match head.client_ip() {
                IpAddr::V4(ip) => find(&ip.octets(), &|| ip.to_string()),
                IpAddr::V6(ip) => {
                    let network = u128::from(ip) >> 64 << 64;
                    let name = || format!("{}/64", std::net::Ipv6Addr::from(network));
                    find(&network.to_be_bytes()[..8], &name)
                }
            },
            LimitKey::Header(name) => {
                let value = head.header(name).next().unwrap_or_default();
                kept(value, |short| find(short, &|| shown(&group.limits.key, value)))
            }
            LimitKey::Cookie(name) => {
                let found =
                    head.header("cookie").find_map(|field| cookie::values(field, name.as_bytes()).next());
                let value = found.unwrap_or_default();
                kept(value, |short| find(short, &|| shown(&group.limits.key, value)))
            }
        }
    }
}

/// A long value isn't kept.
fn kept<T>(value: &[u8], of: impl FnOnce(&[u8]) -> T) -> T {
    if value.len() > MAX_VALUE { of(&Sha256::digest(value)) } else { of(value) }
}

/// Values of headers and cookies may be credentials: people see a digest.
fn shown(key: &LimitKey, value: &[u8]) -> String {
    let label = key.label();
    if value.is_empty() {
        return format!("{label}=none");
    }
    let digest = Sha256::digest(value);
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{label}=sha256:{hex}")
}

/// One limit of one consumer.
struct Limit<'c> {
    consumer: &'c Consumer,
    kind: LimitOf,
}

enum LimitOf {
    Second(crate::filter::Rate),
    Minute(crate::filter::Rate),
    Day(u32),
    Month(u32),
}

/// Asks all limits until one refuses.
fn each(limits: Limits, consumer: &Consumer, say: impl Fn(&Limit<'_>) -> Said, admission: &mut Admission) {
    let Limits { second, minute, day, month } = limits;
    let kinds = [
        second.map(LimitOf::Second),
        minute.map(LimitOf::Minute),
        day.map(LimitOf::Day),
        month.map(LimitOf::Month),
    ];
    for kind in kinds.into_iter().flatten() {
        if admission.refused.is_some() {
            return;
        }
        let verdict = say(&Limit { consumer, kind });
        let is_first = admission.state.limit == 0;
        // The one of which least is left, in proportion.
        let left =
            |state: &LimitState, other: &LimitState| u128::from(state.remaining) * u128::from(other.limit);
        if is_first
            || verdict.refused.is_some()
            || left(&verdict.state, &admission.state) < left(&admission.state, &verdict.state)
        {
            admission.state = verdict.state;
        }
        admission.refused = verdict.refused;
    }
}

fn is_urgent(limits: Limits, consumer: &Consumer, unknown: u32, at: Instant) -> bool {
    let day = limits.day.map(|limit| consumer.day.look(limit, unknown, at.calendar.day()));
    let month = limits.month.map(|limit| consumer.month.look(limit, unknown, at.calendar.month()));
    [day, month].into_iter().flatten().any(|counted| counted.is_urgent)
}

impl Limit<'_> {
    /// `takes`: the request passes if it may.
    fn say(&self, takes: bool, unknown: u32, Instant { now, calendar }: Instant) -> Said {
        let consumer = self.consumer;
        match self.kind {
            LimitOf::Second(rate) => {
                let pace = Pace::new(rate, 1, consumer.share());
                let bucket = &consumer.second;
                of_rate(rate.requests, if takes { bucket.take(pace, now) } else { bucket.look(pace, now) })
            }
            LimitOf::Minute(rate) => {
                let pace = Pace::new(rate, MINUTE, consumer.share());
                let bucket = &consumer.minute;
                of_rate(rate.requests, if takes { bucket.take(pace, now) } else { bucket.look(pace, now) })
            }
            LimitOf::Day(limit) => {
                let (quota, day) = (&consumer.day, calendar.day());
                let counted =
                    if takes { quota.take(limit, unknown, day) } else { quota.look(limit, unknown, day) };
                of_quota(limit, calendar.left(day), counted)
            }
            LimitOf::Month(limit) => {
                let (quota, month) = (&consumer.month, calendar.month());
                let counted =
                    if takes { quota.take(limit, unknown, month) } else { quota.look(limit, unknown, month) };
                of_quota(limit, calendar.left(month), counted)
            }
        }
    }
}

fn of_rate(requests: u32, filled: Filled) -> Said {
    let seconds = |nanos: u64| nanos.div_ceil(1_000_000_000).max(1);
    Said {
        state: LimitState {
            limit: u64::from(requests),
            remaining: filled.remaining,
            reset: seconds(filled.full_in),
        },
        refused: filled.wait.map(|wait| Exceeded { is_quota: false, retry_after: seconds(wait) }),
    }
}

fn of_quota(requests: u32, left: u64, counted: Counted) -> Said {
    let retry_after = if counted.remaining > 0 { SOON } else { left };
    Said {
        state: LimitState { limit: u64::from(requests), remaining: counted.remaining, reset: left },
        refused: (!counted.passes).then_some(Exceeded { is_quota: true, retry_after }),
    }
}

impl Admission {
    pub const fn verdict(&self) -> Verdict {
        if self.refused.is_some() { Verdict::Refused } else { Verdict::Passed }
    }

    /// Counts the request, which has ended, for its consumers besides the route.
    pub fn spend(&self, spent: &Spent) {
        self.consumers.iter().for_each(|consumer| consumer.spend(spent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_up_to_a_length_and_longer_ones_as_digests() {
        let length = |value: &[u8]| kept(value, <[u8]>::len);
        assert_eq!([length(&[7; MAX_VALUE]), length(&[7; MAX_VALUE + 1])], [MAX_VALUE, 32]);
    }
}

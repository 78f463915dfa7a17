use std::net::IpAddr;
use std::time::Duration;

use super::Pace;
use crate::Moment;

/// What was said about one kind of addresses of a name, A or AAAA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// At least one, good for so long.
    Addresses { ips: Vec<IpAddr>, ttl: Duration },
    /// There are none, said by somebody who knows: for so long, if they say that.
    Denied { ttl: Option<Duration> },
    /// Nobody who knows answered, and why.
    Failed(String),
}

/// What was said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub v4: Said,
    pub v6: Said,
    /// A name that comes first in the order of search may be meant, as nobody could tell about it.
    pub doubtful: bool,
}

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// In the order of their numbers.
    ips: Vec<IpAddr>,
    /// Since when it has no addresses, although some are still kept.
    denied: Option<Moment>,
    /// In a row.
    failures: u32,
    trouble: Option<String>,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The addresses aren't what they were.
    pub changed: bool,
    /// Until the next question.
    pub wait: Duration,
}

/// What a whole answer comes to.
enum Whole {
    Found { ips: Vec<IpAddr>, ttl: Duration, partly: Option<String> },
    Denied(Option<Duration>),
    Failed(String),
}

impl Answer {
    /// Of one who knows nothing of the name.
    pub fn failed(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { v4: Said::Failed(reason.clone()), v6: Said::Failed(reason), doubtful: false }
    }

    /// It has addresses.
    pub const fn is_found(&self) -> bool {
        matches!(self.v4, Said::Addresses { .. }) || matches!(self.v6, Said::Addresses { .. })
    }

    /// There are none, of neither kind.
    pub const fn is_denied(&self) -> bool {
        matches!((&self.v4, &self.v6), (Said::Denied { .. }, Said::Denied { .. }))
    }

    /// With `kept` in the place of what nobody could tell.
    fn whole(self, kept: &[IpAddr]) -> Whole {
        match (&self.v4, &self.v6) {
            (Said::Denied { ttl: v4 }, Said::Denied { ttl: v6 }) => return Whole::Denied(*v4.min(v6)),
            (Said::Failed(reason), Said::Denied { .. } | Said::Failed(_))
            | (Said::Denied { .. }, Said::Failed(reason)) => return Whole::Failed(reason.clone()),
            (Said::Addresses { .. }, _) | (_, Said::Addresses { .. }) => {}
        }
        if self.doubtful && !kept.is_empty() {
            return Whole::Failed(
                "a name that comes before it in the order of search can't be looked up".into(),
            );
        }
        let (mut ips, mut ttl, mut partly) = (Vec::new(), Duration::MAX, None);
        for (said, of_kind) in [(self.v4, IpAddr::is_ipv4 as fn(&IpAddr) -> bool), (self.v6, IpAddr::is_ipv6)]
        {
            match said {
                Said::Addresses { ips: said, ttl: until } => {
                    ips.extend(said);
                    ttl = ttl.min(until);
                }
                Said::Denied { .. } => {}
                Said::Failed(reason) => {
                    let before = ips.len();
                    ips.extend(kept.iter().filter(|ip| of_kind(ip)));
                    // A server that never tells about one kind does no harm.
                    partly = partly.or((ips.len() > before).then_some(reason));
                }
            }
        }
        ips.sort_unstable();
        ips.dedup();
        Whole::Found { ips, ttl, partly }
    }
}

impl Known {
    pub fn ips(&self) -> &[IpAddr] {
        &self.ips
    }

    /// Why what is known isn't what was last answered; `None`: it is.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Follows an answer that came `now`.
    ///
    /// What can't be looked up keeps its addresses. What is said to have none keeps them for [`Pace::hold`], in which somebody
    /// may notice and mend it, and loses them then: they may be others' by now.
    pub fn follow(&mut self, answer: Answer, now: Moment, pace: &Pace, random: u64) -> Step {
        match answer.whole(&self.ips) {
            Whole::Found { ips, ttl, partly } => {
                self.denied = None;
                self.failures = if partly.is_some() { self.failures.saturating_add(1) } else { 0 };
                let wait = match &partly {
                    None => pace.answered(ttl, random),
                    Some(_) => pace.failed(self.failures, random),
                };
                self.trouble = partly;
                let changed = self.ips != ips;
                self.ips = ips;
                Step { changed, wait }
            }
            Whole::Denied(ttl) => {
                self.failures = 0;
                self.trouble = Some("there is no such name, or it has no addresses".to_owned());
                let wait = pace.denied(ttl, random);
                let since = *self.denied.get_or_insert(now);
                let left = pace.hold.saturating_sub(now.since(since));
                if self.ips.is_empty() || left.is_zero() {
                    let changed = !self.ips.is_empty();
                    self.ips.clear();
                    return Step { changed, wait };
                }
                Step { changed: false, wait: wait.min(left) }
            }
            Whole::Failed(reason) => {
                self.failures = self.failures.saturating_add(1);
                self.trouble = Some(reason);
                Step { changed: false, wait: pace.failed(self.failures, random) }
            }
        }
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;

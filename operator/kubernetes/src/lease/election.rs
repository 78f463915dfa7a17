//! Who writes, by what a Lease says. Pure: time is an argument, and nobody's clock is compared with anybody else's.

use std::time::Duration;

/// How long a holder that doesn't renew is waited for.
pub(crate) const DURATION: Duration = Duration::from_secs(15);
/// A holder that hasn't renewed for this time stops to count itself as one, before anybody else takes over.
const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// How often the Lease is looked at and renewed.
pub(crate) const PERIOD: Duration = Duration::from_secs(2);

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Empty: it was released.
    pub(crate) holder: String,
    /// How long to wait for the holder.
    pub(crate) duration: Duration,
    /// When it was renewed by the holder's clock: that it changes tells that the holder lives.
    pub(crate) renewed: String,
}

/// What to do with the Lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write oneself in: nobody holds it, or who did is silent.
    Take,
    /// Write the time in.
    Renew,
    /// Somebody else holds it.
    Follow,
}

/// One candidate's view.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    me: String,
    seen: Record,
    /// When [`Self::seen`] became what it is, by this process's clock.
    since: Duration,
    /// The beginning of the last write of its own that succeeded.
    renewed: Option<Duration>,
    /// It has taken the Lease since it began, or since somebody else had it.
    is_written: bool,
}

impl Election {
    pub(crate) const fn new(me: String) -> Self {
        let seen = Record { holder: String::new(), duration: Duration::ZERO, renewed: String::new() };
        Self { me, seen, since: Duration::ZERO, renewed: None, is_written: false }
    }

    /// The Lease says this; `None`: there is none.
    pub(crate) fn observe(&mut self, record: Option<Record>, now: Duration) -> Step {
        let record = record.unwrap_or_default();
        if record != self.seen {
            self.seen = record;
            self.since = now;
        }
        if self.seen.holder == self.me {
            // A process before this one had the same name, and may still write: this one's time is another one.
            return if self.is_written { Step::Renew } else { Step::Take };
        }
        (self.renewed, self.is_written) = (None, false);
        let is_silent = now.saturating_sub(self.since) >= self.seen.duration;
        if self.seen.holder.is_empty() || is_silent { Step::Take } else { Step::Follow }
    }

    /// A write of its own, begun at this time, succeeded.
    pub(crate) const fn written(&mut self, begun: Duration) {
        (self.renewed, self.is_written) = (Some(begun), true);
    }

    pub(crate) fn is_holder(&self, now: Duration) -> bool {
        self.renewed.is_some_and(|renewed| now.saturating_sub(renewed) < RENEW_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn held(holder: &str, renewed: u64) -> Option<Record> {
        Some(Record { holder: holder.to_owned(), duration: DURATION, renewed: renewed.to_string() })
    }

    #[test]
    fn takes_what_nobody_holds_and_renews_it() {
        let mut me = Election::new("me".to_owned());
        assert_eq!(me.observe(None, at(0)), Step::Take);
        assert!(!me.is_holder(at(0)), "not before it is written");
        me.written(at(0));
        assert!(me.is_holder(at(9)));
        assert_eq!(me.observe(held("me", 1), at(2)), Step::Renew);
        assert!(!me.is_holder(at(10)), "the API server may be away, and others take over 5 s later");
        me.written(at(2));
        assert!(me.is_holder(at(11)));
    }

    #[test]
    fn follows_a_holder_until_it_is_silent() {
        let mut me = Election::new("me".to_owned());
        assert_eq!(
            me.observe(held("other", 1), at(100)),
            Step::Follow,
            "it may live, whatever its clock says"
        );
        assert_eq!(me.observe(held("other", 1), at(114)), Step::Follow);
        assert_eq!(me.observe(held("other", 2), at(115)), Step::Follow, "it lives");
        assert_eq!(me.observe(held("other", 2), at(129)), Step::Follow);
        assert_eq!(me.observe(held("other", 2), at(130)), Step::Take);
    }

    #[test]
    fn who_was_restarted_takes_what_its_name_holds() {
        let mut me = Election::new("me".to_owned());
        assert_eq!(me.observe(held("me", 1), at(0)), Step::Take, "the process before may still write");
        assert_eq!(me.observe(held("me", 1), at(1)), Step::Take);
        me.written(at(1));
        assert_eq!(me.observe(held("me", 2), at(2)), Step::Renew);
    }

    #[test]
    fn takes_at_once_what_was_released() {
        let mut me = Election::new("me".to_owned());
        assert_eq!(me.observe(held("other", 1), at(0)), Step::Follow);
        assert_eq!(me.observe(held("", 2), at(1)), Step::Take);
    }

    #[test]
    fn who_lost_it_isnt_the_holder_any_more() {
        let mut me = Election::new("me".to_owned());
        me.written(at(0));
        assert_eq!(me.observe(held("other", 5), at(3)), Step::Follow);
        assert!(!me.is_holder(at(3)));
    }
}

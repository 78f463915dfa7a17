use std::fmt;
use std::time::Duration;

use super::Reporter;
use crate::session::MemberStatus;

/// A worker that has lacked the current state for this long isn't just about to apply it.
pub const BEHIND_AFTER: Duration = Duration::from_secs(5);

/// A worker reports at least all 5 s; after this time without a report something is wrong with it.
pub const SILENT_AFTER: Duration = Duration::from_secs(15);

/// How a member stands, at one glance: by the worst thing that there is to say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Colour {
    Green,
    /// It serves, and somebody should have a look.
    Orange,
    /// It doesn't serve what it should.
    Red,
}

impl Colour {
    pub const ALL: [Self; 3] = [Self::Green, Self::Orange, Self::Red];

    /// The word of JSON, metrics and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Orange => "orange",
            Self::Red => "red",
        }
    }
}

/// What is wrong with a member. Its text is a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    Lost { silent_for: Duration },
    Refused,
    NothingApplied,
    Behind { since: Duration },
    Rejects { objects: usize },
    NoReport { since: Duration },
    OtherSettings,
    SameName,
}

impl Trouble {
    pub const fn colour(&self) -> Colour {
        match self {
            Self::Lost { .. } | Self::Refused | Self::NothingApplied => Colour::Red,
            Self::Behind { .. }
            | Self::Rejects { .. }
            | Self::NoReport { .. }
            | Self::OtherSettings
            | Self::SameName => Colour::Orange,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { silent_for } => write!(f, "not heard of for {} s", silent_for.as_secs()),
            Self::Refused => f.write_str("refused a state as a whole and serves the one before"),
            Self::NothingApplied => f.write_str("has nothing in service yet"),
            Self::Behind { since } => write!(f, "has lacked the current state for {} s", since.as_secs()),
            Self::Rejects { objects: 1 } => f.write_str("can't use 1 object"),
            Self::Rejects { objects } => write!(f, "can't use {objects} objects"),
            Self::NoReport { since } => write!(f, "hasn't reported for {} s", since.as_secs()),
            Self::OtherSettings => f.write_str("has other cluster settings than this leader"),
            Self::SameName => f.write_str("shares its name with another worker"),
        }
    }
}

/// All that is wrong with a worker, of which `reporter` is what it last said. A worker that never reported is an older one,
/// and is judged by the rest. `settings_hash` is the leader's own; empty: it isn't known.
pub fn troubles(
    member: &MemberStatus,
    reporter: Option<&Reporter>,
    settings_hash: &str,
    now: Duration,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if member.lost {
        troubles.push(Trouble::Lost { silent_for: member.silent_for });
    }
    if member.refused.is_some() {
        troubles.push(Trouble::Refused);
    }
    match &member.applied {
        None => troubles.push(Trouble::NothingApplied),
        Some(applied) => {
            if member.behind_for >= BEHIND_AFTER {
                troubles.push(Trouble::Behind { since: member.behind_for });
            }
            if !applied.rejected.is_empty() {
                troubles.push(Trouble::Rejects { objects: applied.rejected.len() });
            }
        }
    }
    if let Some(reporter) = reporter {
        let since = now.saturating_sub(reporter.at);
        if since >= SILENT_AFTER && !member.lost {
            troubles.push(Trouble::NoReport { since });
        }
        let hash = &*reporter.node.settings_hash;
        if !hash.is_empty() && !settings_hash.is_empty() && hash != settings_hash {
            troubles.push(Trouble::OtherSettings);
        }
    }
    if member.same_name {
        troubles.push(Trouble::SameName);
    }
    troubles
}

/// The colour of a member about which there is this to say.
pub fn colour(troubles: &[Trouble]) -> Colour {
    troubles.iter().map(Trouble::colour).max().unwrap_or(Colour::Green)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dataplane_snapshot::wire::{Node, Usage};
    use dataplane_snapshot::{AsOf, Root, Scope};

    use super::*;
    use crate::programmed::Applied;
    use crate::session::Identity;

    fn member() -> MemberStatus {
        let applied = Applied {
            root: Root([1; 32]),
            as_of: AsOf::default(),
            rejected: BTreeMap::new(),
            more_rejected: false,
        };
        MemberStatus {
            identity: Identity {
                id: "w".into(),
                name: "w".into(),
                version: "1".into(),
                scope: Scope::default(),
                client: None,
                pod: None,
            },
            silent_for: Duration::ZERO,
            lost: false,
            applied: Some(applied),
            refused: None,
            behind_for: Duration::ZERO,
            elsewhere: false,
            same_name: false,
        }
    }

    fn of(member: &MemberStatus, reporter: Option<&Reporter>, now: Duration) -> (Colour, Vec<String>) {
        let troubles = troubles(member, reporter, "mine", now);
        (colour(&troubles), troubles.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_member_is_as_bad_as_the_worst_that_is_said_of_it() {
        let now = Duration::from_secs(100);
        assert_eq!(of(&member(), None, now), (Colour::Green, vec![]));
        let mut bad = member();
        bad.same_name = true;
        bad.behind_for = BEHIND_AFTER;
        let told = ["has lacked the current state for 5 s", "shares its name with another worker"];
        assert_eq!(of(&bad, None, now), (Colour::Orange, told.map(str::to_owned).to_vec()));
        bad.refused = Some("too long".to_owned());
        assert_eq!(of(&bad, None, now).0, Colour::Red);
        let mut lost = member();
        (lost.lost, lost.silent_for) = (true, Duration::from_secs(12));
        assert_eq!(of(&lost, None, now), (Colour::Red, vec!["not heard of for 12 s".to_owned()]));
        let empty = MemberStatus { applied: None, ..member() };
        assert_eq!(of(&empty, None, now).0, Colour::Red);
        let mut rejecting = member();
        let rejected = BTreeMap::from([("route/a/b".parse().unwrap(), "bad".to_owned())]);
        rejecting.applied.as_mut().unwrap().rejected = rejected;
        assert_eq!(of(&rejecting, None, now), (Colour::Orange, vec!["can't use 1 object".to_owned()]));
    }

    #[test]
    fn its_reports_are_to_come_and_its_settings_to_be_the_leader_s() {
        let at = Duration::from_secs(10);
        let reporter = |hash: &str| Reporter {
            number: 1,
            wants_all: false,
            sequence: 1,
            at,
            from: None,
            node: Node { settings_hash: hash.to_owned(), ..Default::default() },
            usage: Usage::default(),
        };
        let judged = |hash: &str, now| of(&member(), Some(&reporter(hash)), now);
        let just_late = at + SILENT_AFTER;
        assert_eq!(judged("mine", just_late - Duration::from_millis(1)), (Colour::Green, vec![]));
        assert_eq!(judged("mine", just_late).1, ["hasn't reported for 15 s"]);
        assert_eq!(judged("other", at).1, ["has other cluster settings than this leader"]);
        assert_eq!(judged("", at).0, Colour::Green, "it didn't say");
    }
}

use std::time::Duration;

/// So many held polls in a row must fail, each with leaders that answer the unheld poll after it, until it is the holding
/// that fails. Fewer may be a leader that restarts.
pub(super) const CUTS: u32 = 3;

/// Whether polls are held. There are intermediaries that cut a request which is idle for some seconds; one that is answered at
/// once passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// They are; the last `cuts` of them failed.
    Held { cuts: u32 },
    /// They aren't, until then.
    Plain { until: Duration },
    /// One is held again, to see whether it passes now; `cut`: it didn't.
    Trial { cut: bool },
}

impl Holding {
    pub(super) const fn is_plain(self) -> bool {
        !matches!(self, Self::Held { .. })
    }

    /// Whether the next poll may be held.
    pub(super) fn try_hold(&mut self, now: Duration) -> bool {
        if matches!(self, Self::Plain { until } if *until <= now) {
            *self = Self::Trial { cut: false };
        }
        !matches!(self, Self::Plain { .. })
    }

    pub(super) const fn answered(&mut self, was_held: bool, now: Duration, retry: Duration) {
        match self {
            Self::Held { .. } | Self::Trial { .. } if was_held => *self = Self::Held { cuts: 0 },
            Self::Held { cuts: CUTS.. } | Self::Trial { cut: true } => {
                *self = Self::Plain { until: now.saturating_add(retry) };
            }
            _ => {}
        }
    }

    /// No answer came, or none of a leader. If that happens to a poll that isn't held, holding isn't the reason.
    pub(super) const fn failed(&mut self, was_held: bool) {
        match self {
            Self::Held { cuts } => *cuts = if was_held { cuts.saturating_add(1) } else { 0 },
            Self::Trial { cut } => *cut = was_held,
            Self::Plain { .. } => {}
        }
    }
}

//! Absence must be proved: a list that lacks many objects may be wrong, and a wrong list must not empty the gateway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dataplane_snapshot::{Key, Kind};

/// How long a suspicious list waits for a second one that says the same.
pub const PROOF: Duration = Duration::from_secs(30);
/// Below so many known objects a list is believed at once: whoever has three objects may well delete two.
pub const FEWEST: usize = 10;

/// What to do with the objects that a full list lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absence {
    /// Gone: drop them.
    pub gone: Vec<Key>,
    /// Keep them; list again at `list_again`, and they are gone if they are absent then too.
    pub unproved: Vec<Key>,
    pub list_again: Option<Instant>,
}

/// Watches what full lists of a source lack. Only a full list is shown to it: a failed one, or one of a kind that the server
/// doesn't know, says nothing about what exists, and a deletion that was watched needs no proof ([`Self::settled`]).
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Since when an object has been missing from every full list.
    absent: BTreeMap<Key, Instant>,
}

impl Guard {
    /// Judges a full list of one kind. `known` are the keys of that kind that the source has, those unproved included.
    pub fn full_list<'a>(
        &mut self,
        kind: Kind,
        known: impl IntoIterator<Item = &'a Key>,
        is_listed: impl Fn(&Key) -> bool,
        now: Instant,
    ) -> Absence {
        let mut count = 0_usize;
        let absent: Vec<Key> =
            known.into_iter().inspect(|_| count += 1).filter(|key| !is_listed(key)).cloned().collect();
        let earlier = self.forget_kind(kind);
        if count < FEWEST || absent.len() * 2 <= count {
            return Absence { gone: absent, ..Absence::default() };
        }
        let mut absence = Absence::default();
        for key in absent {
            let since = earlier.get(&key).copied().unwrap_or(now);
            if now.saturating_duration_since(since) >= PROOF {
                absence.gone.push(key);
                continue;
            }
            let proof = since + PROOF;
            absence.list_again = Some(absence.list_again.map_or(proof, |soonest| soonest.min(proof)));
            self.absent.insert(key.clone(), since);
            absence.unproved.push(key);
        }
        absence
    }

    /// The deletion of `key` was watched, or it was seen again.
    pub fn settled(&mut self, key: &Key) {
        self.absent.remove(key);
    }

    /// How many objects are missing from the newest list and kept all the same.
    pub fn unproved(&self) -> usize {
        self.absent.len()
    }

    /// Takes what was absent of `kind`.
    fn forget_kind(&mut self, kind: Kind) -> BTreeMap<Key, Instant> {
        let (of_kind, rest) =
            std::mem::take(&mut self.absent).into_iter().partition(|(key, _)| key.kind() == kind);
        self.absent = rest;
        of_kind
    }
}

#[cfg(test)]
#[path = "absence_tests.rs"]
mod tests;

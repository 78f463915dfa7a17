use std::collections::BTreeMap;

use crate::Kind;

/// One life of a source. A store that is restored from a backup, or a new cluster, begins a new epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    pub id: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub created_at: u64,
}

/// How much of one source has been seen: its epoch and, per watched kind, a number that only grows within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAsOf {
    pub epoch: Epoch,
    pub revisions: BTreeMap<Kind, u64>,
}

/// The as-of vector of a snapshot: per source, how much of it has been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsOf(pub BTreeMap<String, SourceAsOf>);

/// How an offered as-of relates to the one already applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    Same,
    Newer,
    /// Lower in at least one entry: whoever sent it lags behind, and what it sent is refused (StaleLeader).
    Stale,
}

impl AsOf {
    /// How `offered` relates to `self`. A source that only one of the two knows doesn't decide: sources are added and
    /// removed by configuration, not by time.
    pub fn recency_of(&self, offered: &Self) -> Recency {
        let mut newer = false;
        for (source, seen) in &self.0 {
            let Some(offer) = offered.0.get(source) else { continue };
            match seen.recency_of(offer) {
                Recency::Stale => return Recency::Stale,
                Recency::Newer => newer = true,
                Recency::Same => {}
            }
        }
        newer |= offered.0.keys().any(|source| !self.0.contains_key(source));
        if newer { Recency::Newer } else { Recency::Same }
    }

    /// The later of both in every entry. For two snapshots of equal content.
    pub fn merge(&mut self, other: &Self) {
        for (source, theirs) in &other.0 {
            match self.0.get_mut(source) {
                None => {
                    self.0.insert(source.clone(), theirs.clone());
                }
                Some(ours) => ours.merge(theirs),
            }
        }
    }

    /// Whether everything that `write` had seen has been seen here too: what "applied" means for a write.
    pub fn covers(&self, write: &Self) -> bool {
        write.0.iter().all(|(source, written)| {
            self.0.get(source).is_some_and(|seen| written.recency_of(seen) != Recency::Stale)
        })
    }
}

impl SourceAsOf {
    fn recency_of(&self, offer: &Self) -> Recency {
        if self.epoch.id != offer.epoch.id {
            // Two epochs of one instant are told apart by their ids, so that every worker decides alike.
            let (ours, theirs) =
                ((self.epoch.created_at, &self.epoch.id), (offer.epoch.created_at, &offer.epoch.id));
            return if theirs > ours { Recency::Newer } else { Recency::Stale };
        }
        let revision = |of: &Self, kind| of.revisions.get(&kind).copied().unwrap_or(0);
        let pairs = Kind::ALL.map(|kind| (revision(self, kind), revision(offer, kind)));
        if pairs.iter().any(|(ours, theirs)| theirs < ours) {
            Recency::Stale
        } else if pairs.iter().any(|(ours, theirs)| theirs > ours) {
            Recency::Newer
        } else {
            Recency::Same
        }
    }

    fn merge(&mut self, other: &Self) {
        if self.epoch != other.epoch {
            if self.recency_of(other) == Recency::Newer {
                *self = other.clone();
            }
            return;
        }
        for (kind, revision) in &other.revisions {
            let ours = self.revisions.entry(*kind).or_default();
            *ours = (*ours).max(*revision);
        }
    }
}

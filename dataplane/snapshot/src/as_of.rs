use std::collections::BTreeMap;

use crate::Kind;

/// One life of a source. A store that is restored from a backup, or a new cluster, begins a new epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Up to a dot it is the same for all lives of one source: see [`Self::lineage`].
    pub id: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub created_at: u64,
}

impl Epoch {
    /// What the lives of one source have in common. Of two epochs with one lineage the later is what the source is now; leaders
    /// that have stores of their own have no lineage in common, and the times of their epochs say nothing about what they have.
    pub fn lineage(&self) -> &str {
        self.id.split_once('.').map_or(&*self.id, |(lineage, _)| lineage)
    }

    /// The epoch that follows this one in the life of its source. `unique` has no dot.
    #[must_use]
    pub fn successor(&self, unique: &str, created_at: u64) -> Self {
        Self { id: format!("{}.{unique}", self.lineage()), created_at }
    }
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
    /// Not lower, but a source is another one that began before: it may have more or less, which nobody can tell. It is
    /// refused as long as there may be a leader that knows the later one.
    Earlier,
}

impl AsOf {
    /// How `offered` relates to `self`. A source that only one of the two knows doesn't decide: sources are added and
    /// removed by configuration, not by time.
    pub fn recency_of(&self, offered: &Self) -> Recency {
        let (mut newer, mut earlier) = (false, false);
        for (source, seen) in &self.0 {
            let Some(offer) = offered.0.get(source) else { continue };
            match seen.recency_of(offer) {
                Recency::Stale => return Recency::Stale,
                Recency::Earlier => earlier = true,
                Recency::Newer => newer = true,
                Recency::Same => {}
            }
        }
        newer |= offered.0.keys().any(|source| !self.0.contains_key(source));
        match (earlier, newer) {
            (true, _) => Recency::Earlier,
            (false, true) => Recency::Newer,
            (false, false) => Recency::Same,
        }
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

    /// Whether everything that `write` had seen has been seen here too: what "applied" means for a write. What has been seen in
    /// another epoch says nothing about it.
    pub fn covers(&self, write: &Self) -> bool {
        write.0.iter().all(|(source, written)| self.0.get(source).is_some_and(|seen| seen.covers(written)))
    }
}

impl SourceAsOf {
    fn recency_of(&self, offer: &Self) -> Recency {
        if self.epoch.id != offer.epoch.id {
            // Two epochs of one instant are told apart by their ids, so that every worker decides alike.
            let (ours, theirs) =
                ((self.epoch.created_at, &self.epoch.id), (offer.epoch.created_at, &offer.epoch.id));
            return match theirs > ours {
                true => Recency::Newer,
                false if self.epoch.lineage() == offer.epoch.lineage() => Recency::Stale,
                false => Recency::Earlier,
            };
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

    fn covers(&self, written: &Self) -> bool {
        self.epoch.id == written.epoch.id && written.recency_of(self) != Recency::Stale
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

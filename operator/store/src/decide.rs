//! What a batch does to a store, decided without one. Each implementation reads what [`decide`] asks for, and writes the
//! [`Outcome`] in the same transaction, so that all of them agree on every condition and number.

use std::collections::BTreeMap;

use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;

use crate::{Batch, Committed, Draft, Expected, StoreError, StoredObject, Write};

/// What a store has before a batch.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The store's own epoch and its revision.
    pub(crate) epoch: Epoch,
    pub(crate) revision: u64,
    /// How much of the batch's owner was seen.
    pub(crate) as_of: Option<SourceAsOf>,
    /// The highest of its writers; 0 if none had a number.
    pub(crate) fence: u64,
    /// The objects of the batch's owner that exist under the keys of the batch; others may be among them.
    pub(crate) objects: BTreeMap<Key, StoredObject>,
}

/// What a batch changes, and the answer to who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The last state of each object that is written or deleted, by key.
    pub(crate) changes: BTreeMap<Key, Change>,
    /// Set if it is news, as the next one.
    pub(crate) as_of: Option<SourceAsOf>,
    pub(crate) fence: Option<u64>,
    pub(crate) committed: Committed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The revision at which the object was before, if it existed.
    pub(crate) before: Option<u64>,
    pub(crate) after: After,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Written(StoredObject),
    /// At this revision.
    Deleted(u64),
}

impl Outcome {
    /// Nothing is to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.changes.is_empty() && self.as_of.is_none() && self.fence.is_none()
    }

    pub(crate) fn written(&self) -> impl Iterator<Item = &StoredObject> {
        self.changes.values().filter_map(|change| match &change.after {
            After::Written(object) => Some(object),
            After::Deleted(_) => None,
        })
    }

    pub(crate) fn deleted(&self) -> impl Iterator<Item = (&Key, u64)> {
        self.changes.iter().filter_map(|(key, change)| match change.after {
            After::Deleted(revision) => Some((key, revision)),
            After::Written(_) => None,
        })
    }
}

/// What `batch` does to a store that has `known`.
pub(crate) fn decide(batch: &Batch, known: Known) -> Result<Outcome, StoreError> {
    if batch.owner == Owner::Files {
        return Err(StoreError::NotKept { owner: batch.owner });
    }
    let (before, newest) = (known.revision, known.fence);
    if let Some(fence) = batch.fence.filter(|fence| *fence < newest) {
        return Err(StoreError::Fenced { fence, newest });
    }
    let mut writer = Writer { owner: batch.owner, revision: before, known, changes: BTreeMap::new() };
    let objects: Vec<_> = batch.writes.iter().map(|write| writer.apply(write)).collect::<Result<_, _>>()?;
    let Writer { mut revision, known, changes, .. } = writer;
    let seen = match batch.owner {
        Owner::Store => Some(seen_in(batch, &objects, &known.epoch, before, revision)),
        Owner::Kubernetes | Owner::Files => batch.as_of.clone(),
    };
    let as_of = seen.and_then(|seen| merged(known.as_of.as_ref(), seen));
    let fence = batch.fence.filter(|fence| *fence > newest);
    // A new fence, too, as some stores only notice by the revision that what was decided on isn't so any more.
    if (as_of.is_some() || fence.is_some()) && revision == before {
        revision += 1;
    }
    Ok(Outcome { changes, as_of, fence, committed: Committed { revision, objects } })
}

struct Writer {
    owner: Owner,
    revision: u64,
    known: Known,
    changes: BTreeMap<Key, Change>,
}

impl Writer {
    fn apply(&mut self, write: &Write) -> Result<Option<StoredObject>, StoreError> {
        let current = self.known.objects.get(&write.key);
        check(&write.key, write.expected, current)?;
        match (&write.draft, current) {
            (None, None) => Ok(None),
            (Some(draft), Some(current)) if is(draft, current) => Ok(Some(current.clone())),
            (None, Some(_)) => {
                self.revision += 1;
                self.note(&write.key, After::Deleted(self.revision));
                Ok(None)
            }
            (Some(draft), _) => {
                self.revision += 1;
                let object = self.object(&write.key, draft);
                self.note(&write.key, After::Written(object.clone()));
                Ok(Some(object))
            }
        }
    }

    fn object(&self, key: &Key, draft: &Draft) -> StoredObject {
        StoredObject {
            owner: self.owner,
            key: key.clone(),
            generation: draft.generation.unwrap_or_else(|| i64::try_from(self.revision).unwrap_or(i64::MAX)),
            revision: self.revision,
            labels: draft.labels.clone(),
            spec: draft.spec.clone(),
        }
    }

    fn note(&mut self, key: &Key, after: After) {
        let before = match self.changes.get(key) {
            Some(change) => change.before,
            None => self.known.objects.get(key).map(|object| object.revision),
        };
        match &after {
            After::Written(object) => drop(self.known.objects.insert(key.clone(), object.clone())),
            After::Deleted(_) => drop(self.known.objects.remove(key)),
        }
        self.changes.insert(key.clone(), Change { before, after });
    }
}

fn check(key: &Key, expected: Expected, current: Option<&StoredObject>) -> Result<(), StoreError> {
    let key = || key.clone();
    match (expected, current) {
        (Expected::Any, _) | (Expected::Absent, None) | (Expected::Present, Some(_)) => Ok(()),
        (Expected::Absent, Some(_)) => Err(StoreError::Exists { key: key() }),
        (Expected::Present | Expected::Revision(_), None) => Err(StoreError::NotFound { key: key() }),
        (Expected::Revision(expected), Some(current)) if expected == current.revision => Ok(()),
        (Expected::Revision(expected), Some(current)) => {
            Err(StoreError::Conflict { key: key(), expected, actual: current.revision })
        }
    }
}

/// Whether the object is what the draft asks for.
fn is(draft: &Draft, current: &StoredObject) -> bool {
    draft.spec == current.spec
        && draft.labels == current.labels
        && draft.generation.is_none_or(|generation| generation == current.generation)
}

/// For the store's own objects: how far each kind that this batch changed has come. A deletion raises its kind like any
/// other change.
fn seen_in(
    batch: &Batch,
    objects: &[Option<StoredObject>],
    epoch: &Epoch,
    before: u64,
    revision: u64,
) -> SourceAsOf {
    let mut as_of = SourceAsOf { epoch: epoch.clone(), revisions: BTreeMap::new() };
    for (write, object) in batch.writes.iter().zip(objects) {
        let changed = object.as_ref().map_or(revision, |object| object.revision);
        if changed > before {
            as_of.revisions.insert(write.key.kind(), revision);
        }
    }
    as_of
}

/// How much was seen after `seen`, if that is news; kinds that it doesn't name stay, unless it begins a new epoch.
fn merged(known: Option<&SourceAsOf>, seen: SourceAsOf) -> Option<SourceAsOf> {
    let merged = match known {
        Some(known) if known.epoch == seen.epoch => {
            let mut revisions = known.revisions.clone();
            revisions.extend(seen.revisions);
            SourceAsOf { revisions, ..seen }
        }
        _ => seen,
    };
    (known != Some(&merged)).then_some(merged)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

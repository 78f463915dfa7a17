use crate::{AsOf, Key, Object, Root, Snapshot};

/// What turns the snapshot with root `from` into the one with root `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    pub from: Root,
    pub to: Root,
    pub as_of: AsOf,
    pub upserts: Vec<Object>,
    pub removals: Vec<Key>,
}

/// Why a difference wasn't applied. The old snapshot stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("the difference starts at root {from}, but this is {at}")]
    WrongBase { from: Root, at: Root },
    #[error("the result has root {got}, but {expected} was promised")]
    WrongResult { expected: Root, got: Root },
}

/// The difference from `base` to `target`, in the order of the keys. Costs what differs, if one was made from the other.
pub fn diff(base: &Snapshot, target: &Snapshot) -> Diff {
    let mut upserts = Vec::new();
    let mut removals = Vec::new();
    for (key, _, new) in base.differences(target) {
        match new {
            Some(object) => upserts.push(object.clone()),
            None => removals.push(key.clone()),
        }
    }
    Diff { from: base.root(), to: target.root(), as_of: target.as_of().clone(), upserts, removals }
}

/// `base` changed by `diff`, if it starts there and ends where it says.
pub fn apply(diff: &Diff, base: &Snapshot) -> Result<Snapshot, ApplyError> {
    if diff.from != base.root() {
        return Err(ApplyError::WrongBase { from: diff.from, at: base.root() });
    }
    let next = base.edit(diff.upserts.iter().cloned(), &diff.removals, diff.as_of.clone());
    if next.root() == diff.to {
        Ok(next)
    } else {
        Err(ApplyError::WrongResult { expected: diff.to, got: next.root() })
    }
}

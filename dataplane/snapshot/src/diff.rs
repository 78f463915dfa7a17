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

/// The difference from `base` to `target`, in the order of the keys.
pub fn diff(base: &Snapshot, target: &Snapshot) -> Diff {
    let mut upserts = Vec::new();
    let mut removals = Vec::new();
    let (mut old, mut new) = (base.objects().peekable(), target.objects().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => break,
            // Most objects come from one snapshot into the next as they are.
            (Some(a), Some(b)) if a.is_shared_with(b) && a.key() == b.key() => {
                old.next();
                new.next();
            }
            (Some(_), None) => removals.extend(old.next().map(|object| object.key().clone())),
            (None, Some(_)) => upserts.extend(new.next().cloned()),
            (Some(a), Some(b)) => match a.key().cmp(b.key()) {
                std::cmp::Ordering::Less => removals.extend(old.next().map(|object| object.key().clone())),
                std::cmp::Ordering::Greater => upserts.extend(new.next().cloned()),
                std::cmp::Ordering::Equal => {
                    let changed = a.hash() != b.hash();
                    old.next();
                    upserts.extend(new.next().filter(|_| changed).cloned());
                }
            },
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

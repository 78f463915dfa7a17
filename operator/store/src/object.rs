use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;

/// An object as a store keeps it. Owner and key together name it, so an object of the admin API and the mirror of a custom
/// resource may have one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    pub owner: Owner,
    pub key: Key,
    /// In Kubernetes `metadata.generation`; else the revision of the object's last change, so that it isn't used again
    /// when an object is deleted and created anew.
    pub generation: i64,
    /// The revision of the object's last change.
    pub revision: u64,
    pub labels: BTreeMap<String, String>,
    /// The spec as JSON text. It isn't checked: what doesn't fit its kind is observed as invalid.
    pub spec: Arc<str>,
}

/// What an object is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// `None`: the store numbers it.
    pub generation: Option<i64>,
    pub labels: BTreeMap<String, String>,
    /// The spec as JSON text.
    pub spec: Arc<str>,
}

/// The condition under which a write happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// In any case. To delete what doesn't exist is no error then.
    Any,
    Absent,
    Present,
    /// Last changed at this revision.
    Revision(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub key: Key,
    pub expected: Expected,
    /// `None` deletes.
    pub draft: Option<Draft>,
}

/// Writes that happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub owner: Owner,
    pub writes: Vec<Write>,
    /// For a mirror: how much of the mirrored source these writes bring. For [`Owner::Store`] the store itself counts.
    pub as_of: Option<SourceAsOf>,
    /// Of a writer that is the only one for a time: the number of that time. The store refuses a lower one than it had before,
    /// from somebody who doesn't know yet that another one has taken over.
    pub fence: Option<u64>,
}

/// What a batch led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The store's revision afterwards.
    pub revision: u64,
    /// One entry per write, in order; `None` for a deleted object.
    pub objects: Vec<Option<StoredObject>>,
}

/// All objects of one owner, seen at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub revision: u64,
    /// `None`: nothing of this owner was ever written, which isn't the same as "it has no objects".
    pub as_of: Option<SourceAsOf>,
    pub objects: Vec<StoredObject>,
}

/// What changed after a revision, as far as a store can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    Since(ChangeSet),
    /// The store doesn't remember deletions that far back, or never had that revision: read all.
    TooOld,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// The store's revision at the instant of reading: where to go on from.
    pub revision: u64,
    pub as_of: Option<SourceAsOf>,
    /// The last state of each object that was written.
    pub written: Vec<StoredObject>,
    pub deleted: Vec<Key>,
}

/// The lives of a store before and after a new one began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    pub before: Epoch,
    pub after: Epoch,
}

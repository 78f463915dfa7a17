//! Shows statuses where people look: as conditions of the custom resources.

mod apply;
mod pace;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::Key;
use operator_core::ObjectStatus;
use operator_core::programmed::Programmed;

pub(crate) use task::{Told, show};

/// The field manager of all status writes, as `kubectl get --show-managed-fields` tells it.
pub const FIELD_MANAGER: &str = "komainu-status";

/// What there is to say about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub status: Arc<ObjectStatus>,
    pub programmed: Programmed,
}

impl Verdict {
    /// The same, told quickly where the status is shared.
    fn is(&self, other: &Self) -> bool {
        self.programmed == other.programmed
            && (Arc::ptr_eq(&self.status, &other.status) || self.status == other.status)
    }
}

/// Of all objects. Those of other owners may be among them; they are skipped.
pub type Verdicts = BTreeMap<Key, Verdict>;

//! World -> snapshot and statuses.

use std::sync::Arc;

use dataplane_snapshot::Snapshot;

use crate::{ObjectStatus, Statuses, World};

/// What the whole world comes to.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub snapshot: Snapshot,
    pub statuses: Statuses,
    /// Objects that lost their key to another source; [`Self::statuses`] has the winner's.
    pub conflicts: Vec<Arc<ObjectStatus>>,
}

/// What a pass leaves for the next one: its results, to be used again where the inputs are unchanged.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    snapshot: Snapshot,
}

/// One full pass. The result depends on `world` alone; `memo`, from the pass before or empty, only saves work.
pub fn plan(world: &World, memo: &Memo) -> (Plan, Memo) {
    let snapshot = memo.snapshot.with_as_of(world.as_of.clone());
    (Plan { snapshot: snapshot.clone(), ..Plan::default() }, Memo { snapshot })
}

//! The planning loop: what the sources say becomes one snapshot and the status of every object, again at each change.

mod judge;
mod measure;
mod metrics;
mod planning;
mod sources;
mod survey;

use std::sync::Arc;
use std::time::Instant;

use dataplane_snapshot::Snapshot;
use operator_core::{ListenerSettings, ObjectStatus, SourceView, Statuses, World};
use tokio::sync::watch;

pub use judge::judge;
pub use measure::measure;
pub use metrics::Metrics;
pub use sources::SourceSet;
pub use survey::survey;

/// One pass: the world as it was seen, and what it came to.
#[derive(Debug)]
pub struct Planned {
    pub world: World,
    pub snapshot: Arc<Snapshot>,
    pub statuses: Statuses,
    /// How many of them are of refused objects.
    pub refused: usize,
    /// Objects that lost their key to another source.
    pub conflicts: Vec<Arc<ObjectStatus>>,
    /// When the pass began that took the change in.
    pub seen: Instant,
}

/// What a source publishes: `None` until it has everything that it is asked for.
pub type Source = watch::Receiver<Option<Arc<SourceView>>>;

/// The results of the planning loop, the newest of each. `None` until every source has given a view.
#[derive(Clone, Debug)]
pub struct LeaderHandle {
    pub snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    /// Published right before its snapshot.
    pub planned: watch::Receiver<Option<Arc<Planned>>>,
}

pub struct Leader;

impl Leader {
    /// Plans at each change of a source: the first one at once, and what arrives during a pass together in the next one.
    /// The loop ends when nobody holds a receiver of the handle any more.
    pub fn start(
        listeners: Vec<ListenerSettings>,
        sources: impl Into<SourceSet>,
        metrics: Metrics,
    ) -> LeaderHandle {
        planning::start(Arc::new(listeners), sources.into(), metrics, operator_core::plan)
    }
}

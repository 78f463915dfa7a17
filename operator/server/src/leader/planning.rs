use std::sync::Arc;
use std::time::Instant;

use operator_core::{ListenerSettings, Memo, Plan, SourceView, World};
use tokio::sync::watch;

use super::sources::Sources;
use super::{LeaderHandle, Metrics, Planned, SourceSet};

/// `operator_core::plan`, or what a test puts in its place.
pub(super) type PlanFunction = fn(&World, &Memo) -> (Plan, Memo);

pub(super) fn start(
    listeners: Arc<Vec<ListenerSettings>>,
    sources: SourceSet,
    metrics: Metrics,
    plan: PlanFunction,
) -> LeaderHandle {
    let (snapshots, snapshot) = watch::channel(None);
    let (results, planned) = watch::channel(None);
    let mut world = World::default();
    world.separate_stores = sources.separate_stores;
    let mut planning = Planning { listeners, world, memo: Arc::default(), plan, metrics };
    let mut sources = Sources::new(sources);
    tokio::spawn(async move {
        loop {
            if let Some(views) = sources.views()
                && let Some(planned) = planning.pass(views).await
            {
                results.send_replace(Some(planned.clone()));
                snapshots.send_replace(Some(planned.snapshot.clone()));
            }
            tokio::select! {
                () = async { tokio::join!(results.closed(), snapshots.closed()); } => return,
                () = sources.changed() => {}
            }
        }
    });
    LeaderHandle { snapshot, planned }
}

struct Planning {
    listeners: Arc<Vec<ListenerSettings>>,
    /// Of the last pass that was a good one, as is the memo.
    world: World,
    memo: Arc<Memo>,
    plan: PlanFunction,
    metrics: Metrics,
}

impl Planning {
    /// `None` if the pass panicked: the last good result stays, and the next change is planned anew.
    async fn pass(&mut self, views: Vec<Arc<SourceView>>) -> Option<Arc<Planned>> {
        let (listeners, memo, plan) = (self.listeners.clone(), self.memo.clone(), self.plan);
        let before = self.world.clone();
        let start = Instant::now();
        // Not on this thread: tens of thousands of objects take a while. A panic ends only that thread's task.
        let pass = tokio::task::spawn_blocking(move || {
            let world = before.follow(listeners, views.iter().map(|view| &**view));
            let (plan, memo) = plan(&world, &memo);
            (world, plan, memo)
        });
        let (world, plan, memo) = match pass.await {
            Ok(done) => done,
            Err(error) => {
                self.metrics.failed();
                tracing::error!(%error, "planning failed; workers keep the last snapshot until the next change");
                return None;
            }
        };
        (self.world, self.memo) = (world.clone(), Arc::new(memo));
        let Plan { snapshot, statuses, refused, conflicts } = plan;
        let planned =
            Planned { world, snapshot: Arc::new(snapshot), statuses, refused, conflicts, seen: start };
        let elapsed = start.elapsed();
        self.metrics.planned(&planned, elapsed);
        tracing::debug!(root = %planned.snapshot.root(), objects = planned.snapshot.len(), ?elapsed, "planned");
        Some(Arc::new(planned))
    }
}

#[cfg(test)]
#[path = "planning_tests.rs"]
mod tests;
